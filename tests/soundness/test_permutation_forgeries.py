"""H1, H2: attacks on permutations and on the call that asks for them.

Most are refused by one line: the machine without the line accepts them. See ``test_single_checks.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest

from tests.forge import Forgery, forgery
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.states import EDGES, before, state_bytes
from zkvm.riscv.isa import opcodes
from zkvm.riscv.isa.calls import PERMUTE
from zkvm.riscv.isa.poseidon2 import CONSTANTS, INNER_DIAGONAL, WIDTH, mix_inner, mix_outer
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.field.goldilocks import P

CALL, ROWS = "permute", "poseidon2"
STATES = (before(EDGES), list(range(WIDTH)), [9] * WIDTH, [9] * WIDTH)
AGAIN = 2
"""The first of two states that are alike."""
A0 = opcodes.REGISTER_BASE + 10
TWO_16, TWO_32 = 1 << 16, 1 << 32


@cache
def run() -> Execution:
    """A call for each state. Nothing reads what they leave, nor a0."""
    items: list[Item] = [("li", "a7", PERMUTE.number)]
    for number in range(len(STATES)):
        items += [("li", "a0", DATA + 96 * number), ("ecall",)]
    return execute(assemble([*items, ("li", "a0", 0), *EXIT], data=b"".join(map(state_bytes, STATES))))


def permuting() -> Forgery:
    return forgery(run())


def call_of(forged: Forgery, state: int = 0) -> int:
    """The row of the call for a state."""
    return forged.row(CALL, a0=DATA + 96 * state)


def row_of(forged: Forgery, state: int = 0) -> int:
    """The row that permutes it."""
    return forged.row(ROWS, **{f"in{k}": value for k, value in enumerate(STATES[state])})


def words_of(elements: Sequence[int]) -> list[int]:
    return [element >> shift & TWO_32 - 1 for element in elements for shift in (0, 32)]


def leave(forged: Forgery, words: Sequence[int], state: int = 0) -> None:
    """The call leaves these words, and memory has them in the end."""
    row = call_of(forged, state)
    time = forged.cell(CALL, row, "t") + 1
    for k, word in enumerate(words):
        forged.pass_on(DATA + 96 * state + 4 * k, time, word)
        forged.write(CALL, row, **{f"after{k}": word, f"low{k}": word % P % TWO_16})
        if k % 2:
            room = (TWO_32 - 1 - word) % P
            forged.write(CALL, row, **{f"inverse{k // 2}": pow(room, P - 2, P)})


def left(forged: Forgery, state: int = 0) -> list[int]:
    """The words that the call leaves."""
    return [forged.cell(CALL, call_of(forged, state), f"after{k}") for k in range(2 * WIDTH)]


def completed(state: Sequence[int], *, real: int = 1, lie: str = "", delta: int = 0) -> dict[str, int]:
    """The cells of a row that permutes, in which one is ``delta`` more than it should be, and all later ones follow from it."""

    def told(name: str, value: int) -> int:
        cells[name] = (value + delta * (name == lie)) % P
        return cells[name]

    cells = {f"in{k}": value % P for k, value in enumerate(state)} | {"real": real}
    elements = mix_outer([value % P for value in state])
    for r, added in enumerate(CONSTANTS):
        if len(CONSTANTS[r - 1]) == 1 and lie == f"x{r}_0":  # the sum of the state is read off this argument
            elements[1:] = [element + delta for element in elements[1:]]
        for k, constant in enumerate(added):
            x = elements[k] + real * constant
            x = told(f"x{r}_{k}", x) if r else x % P
            cube = told(f"c{r}_{k}", pow(x, 3, P))
            elements[k] = cube * cube * x % P
        elements = [element % P for element in (mix_outer if len(added) == WIDTH else mix_inner)(elements)]
    for k, element in enumerate(elements):
        told(f"out{k}", element)
    return cells


def permute_otherwise(forged: Forgery, cells: dict[str, int]) -> None:
    """The first state's row has these cells, and the call leaves what comes out."""
    forged.write(ROWS, row_of(forged), **cells)
    leave(forged, words_of([cells[f"out{k}"] for k in range(WIDTH)]))


def serve_nobody(forged: Forgery) -> None:
    """Make all rows padding, so that without the calls' question nothing is left over."""
    for row in range(forged.tables[ROWS].used):
        if forged.cell(ROWS, row, "real"):
            forged.erase(ROWS, row)


# --- rows that permute otherwise --------------------------------------------------------------------------------------------------------


def h1_another_cell(name: str, line: str) -> Attack:
    def make() -> Forged:
        forged = permuting()
        permute_otherwise(forged, completed(STATES[0], lie=name, delta=8))
        return forged, f"{ROWS}: {name} {line}"

    make.__name__ = f"h1_another_{name}"
    return make


def h1_twice_the_constants() -> Forged:
    """A row that is twice real adds every constant twice, and serves two calls."""
    forged = permuting()
    cells = completed(STATES[AGAIN], real=2)
    rows = [row for row in range(forged.tables[ROWS].used) if forged.cell(ROWS, row, "in0") == STATES[AGAIN][0]]
    forged.write(ROWS, rows[0], **cells)
    forged.erase(ROWS, rows[1])
    for state in (AGAIN, AGAIN + 1):
        leave(forged, words_of([cells[f"out{k}"] for k in range(WIDTH)]), state)
    return forged, f"{ROWS}: real is boolean"


def h1_padding_permutes() -> Forged:
    """A padding row permutes without constants, and nobody is answered."""
    forged = permuting()
    permute_otherwise(forged, completed(STATES[0], real=0))
    serve_nobody(forged)
    return forged, f"{CALL}: permutation"


# --- calls ------------------------------------------------------------------------------------------------------------------------------


def h2_skipped() -> Forged:
    """The state stays what it was."""
    forged = permuting()
    leave(forged, words_of(STATES[0]))
    serve_nobody(forged)
    return forged, f"{CALL}: permutation"


def h2_the_output_of_another_row() -> Forged:
    forged = permuting()
    first, second = left(forged, 0), left(forged, 1)
    leave(forged, second, 0)
    leave(forged, first, 1)
    serve_nobody(forged)
    return forged, f"{CALL}: permutation"


def h2_elements_exchanged() -> Forged:
    forged = permuting()
    words = left(forged, 1)
    leave(forged, [*words[2:4], *words[:2], *words[4:]], 1)
    serve_nobody(forged)
    return forged, f"{CALL}: permutation"


def h2_not_canonical(place: int) -> Attack:
    """An element below 2^32 - 1 plus p: the same mod p, and two words."""

    def make() -> Forged:
        forged = permuting()
        assert EDGES[place] + P < 1 << 64
        leave(forged, words_of([element + P * (k == place) for k, element in enumerate(EDGES)]))
        return forged, f"{CALL}: element {place} after is canonical"

    make.__name__ = f"h2_not_canonical_{EDGES[place]}"
    return make


def h2_a_low_word_of_33_bits() -> Forged:
    """The low word takes what the high word leaves."""
    forged = permuting()
    words = left(forged)
    leave(forged, [*words[:20], words[20] + TWO_32, words[21] - 1, *words[22:]])
    return forged, f"{CALL}: word 20 after: high limb"


def h2_a_high_word_of_more_than_32_bits() -> Forged:
    """The low word is 0, and the high word whatever makes the element."""
    forged = permuting()
    words = left(forged)
    high = (words[20] * pow(TWO_32, -1, P) + words[21]) % P
    leave(forged, [*words[:20], 0, high, *words[22:]])
    return forged, f"{CALL}: word 21 after: high limb"


def h2_a_limb_of_17_bits() -> Forged:
    """A word of 33 bits whose upper limb fits, because the lower one does not."""
    forged = permuting()
    words = left(forged)
    word, upper = words[20] + TWO_32, words[21] - 1
    leave(forged, [*words[:20], word, upper, *words[22:]])
    forged.write(CALL, call_of(forged), low20=word % P - ((word >> 16) % TWO_16 << 16))
    return forged, f"{CALL}: word 20 after: low limb"


ROW_LIES: tuple[Attack, ...] = (
    *(h1_another_cell(f"out{k}", "is what it follows from") for k in (0, 7)),
    *(h1_another_cell(f"x{place}", "is what it follows from") for place in ("1_0", "3_11", "5_0", "25_0", "26_0", "26_5", "29_3")),
    *(h1_another_cell(f"c{place}", "is the cube") for place in ("0_0", "0_11", "4_0", "25_0", "29_11")),
    h1_twice_the_constants,
    h1_padding_permutes,
)
CALL_LIES: tuple[Attack, ...] = (
    h2_skipped,
    h2_the_output_of_another_row,
    h2_elements_exchanged,
    *(h2_not_canonical(place) for place in (0, 1, 2, 3)),
    h2_a_low_word_of_33_bits,
    h2_a_high_word_of_more_than_32_bits,
    h2_a_limb_of_17_bits,
)
FORGERIES = ROW_LIES + CALL_LIES
PROVEN = (ROW_LIES[3], h1_padding_permutes, CALL_LIES[3])

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


def test_honest() -> None:
    forged = permuting()
    assert forged.refusals() == set()
    assert left(forged) == words_of(EDGES)
    assert completed(STATES[0]).items() <= {name: forged.cell(ROWS, row_of(forged), name) for name in forged.tables[ROWS].chip.main}.items()
    assert INNER_DIAGONAL[0] == P - 2


# --- what several lines refuse ----------------------------------------------------------------------------------------------------------


def test_h1_rows_without_a_question_and_questions_without_a_row() -> None:
    """A row for each question: one too many is served to nobody, and one row does not answer two."""
    forged = permuting()
    row = forged.copy_row(ROWS, row_of(forged))
    assert forged.refusals() == {"bus permutation"}
    forged.erase(ROWS, row)
    assert forged.refusals() == set()
    forged.erase(ROWS, row_of(forged, AGAIN))
    assert forged.refusals() == {"bus permutation"}
    forged.erase(ROWS, row_of(forged))
    assert forged.refusals() == {f"{CALL}: permutation"}
    forged.write(ROWS, row_of(forged, AGAIN), real=2)
    assert f"{ROWS}: real is boolean" in forged.refusals()


@pytest.mark.parametrize("delta", [1, 2, 4, 96, -4, TWO_32])
def test_h2_written_at_another_address(delta: int) -> None:
    """The words are where a0 says, and a0 is what the register holds."""
    forged = permuting()
    row = call_of(forged)
    address = forged.cell(CALL, row, "a0") + delta
    last = address + 92
    forged.write(CALL, row, a0=address, address_low=last % TWO_16 // 4)
    found = forged.refusals()
    assert "bus memory" in found
    assert (f"{CALL}: address: high limb" in found) == (delta in (1, 2, TWO_32))


def test_h2_words_of_a_wrong_access() -> None:
    """A word that was not there, or an access that is not later."""
    forged = permuting()
    row = call_of(forged)
    forged.add(CALL, row, before3=1)
    assert {f"{CALL}: permutation", "bus memory"} == forged.refusals()
    forged.add(CALL, row, before3=-1)
    forged.write(CALL, row, t3=forged.cell(CALL, row, "t") + 1)
    assert {f"{CALL}: word 3 is later", "bus memory"} == forged.refusals()


@pytest.mark.parametrize("result", [1, TWO_32 - 38])
def test_h2_another_result(result: int) -> None:
    forged = permuting()
    forged.pass_on(A0, forged.cell(CALL, call_of(forged), "t"), result)
    assert forged.refusals() == {"bus memory"}


def test_h2_a_call_left_out_or_in_padding() -> None:
    """Without the row nobody continues; a row that is not real is neutral, so it changes no word."""
    forged = permuting()
    forged.erase(CALL, call_of(forged))
    assert {"bus state", "bus memory"} <= forged.refusals()
    forged = permuting()
    forged.write(CALL, call_of(forged), real=0)
    found = forged.refusals()
    assert "bus state" in found
    assert any(label.endswith("keeps its time unless live") for label in found)
    assert any(label.endswith("keeps its value unless live") for label in found)


@pytest.mark.parametrize("number", [0, PERMUTE.number - 1, PERMUTE.number + 1])
def test_h2_another_number(number: int) -> None:
    """The program puts another number into a7, and the row of a permutation goes on with its own."""
    forged = permuting()
    row = forged.row("add_immediate", vd=PERMUTE.number)
    imm = (number - forged.cell("add_immediate", row, "v1")) % TWO_32
    forged.program(forged.cell("add_immediate", row, "pc"), imm=imm)
    forged.write("add_immediate", row, imm=imm, vd=number, vd_low=number % TWO_16)
    assert forged.refusals() == {"bus memory"}
