"""Attacks on tensor calls in their runs: calls that do not happen (G7), elements of another layer (G2, G9), published digests (G14).

See ``test_tensor_forgeries.py``. What is told is consistent as far as it can be: what refuses it is where the lie meets the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import Vectors, digest_of
from tests.soundness.moving_forging import ELEMENTS, GATHERS, gathered
from tests.soundness.private_forging import CARRIED, DIGESTS, absorb, compare, digest_rows, state_before
from tests.soundness.tensor_forging import (
    A0,
    A1,
    A2,
    A7,
    CALL_INSTRUCTIONS,
    DESCRIPTOR_BYTES,
    END,
    FULL,
    QUARTER,
    TWO_32,
    Program,
    export_lane,
    follow_products,
    id_of,
    operand,
    product_row,
    put,
    read_by_products,
    vector_of,
)
from zkvm.riscv.chips.buses import JOURNAL
from zkvm.riscv.header import journal_closing
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.isa.poseidon2 import permute
from zkvm.riscv.isa.tensors import DIGEST, DIGEST_TAG, EXPORT, GATHER, IMPORT, LINEAR, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, PATTERNS, RODATA, VECTORS, Item

PRODUCTS, TILES, WORDS, CALL, IMPORTS = (f"tensor_{name}" for name in ("products", "tiles", "words", "call", "import"))
WRITES = "write_rows"
FIRST, SECOND = id_of(0), id_of(1)

# --- G7: calls that do not happen ------------------------------------------------------------------------------------------------------

PREPARED: tuple[Item, ...] = (("la", "a0", RODATA), ("li", "a1", 0), ("li", "a2", 0), ("nop",))
"""Before the export the registers are those of another import, and there is an instruction that does something else."""
PREPARING = 5
"""How many instructions these are."""
NEVER = CALL_INSTRUCTIONS + PREPARING
"""The id that the import would have if that instruction was its call."""
NINES = [9] * 8


def unreached() -> Forgery:
    """An import, what prepares another one, an export of the first, the end; behind it the call that the other one would need."""
    calls_ = [(Descriptor(IMPORT, 1), 0, 0), (Descriptor(EXPORT, 1, 8, 0, 0, 1), FIRST, DATA)]
    return Program(calls_, imported=[[5] * 8], ram=[0] * 8, last=PREPARED, ending=[*END, ("ecall",)]).forged()


def make_vector(forged: Forgery) -> None:
    """The rows of the call that does not happen."""
    row = forged.copy_row(IMPORTS, forged.row(IMPORTS, tensor=FIRST))
    forged.write(IMPORTS, row, tensor=NEVER)
    put(forged, IMPORTS, row, "x", NINES)


def call_it(forged: Forgery) -> None:
    """Its row: registers are read and written at the time of the other instruction, at the place behind the end."""
    time = opcodes.TIME_STEP * NEVER
    before = {A0: time - 9, A1: time - 5, A2: time - 1, A7: opcodes.TIME_STEP * FIRST}
    for register, previous in before.items():
        forged.follow(register, previous, time)
    forged.pass_on(A0, time, NEVER)
    row = forged.copy_row(CALL, forged.row(CALL, imports=1))
    times = {f"t_{name}": before[register] for name, register in (("a0", A0), ("a1", A1), ("a2", A2), ("a7", A7))}
    forged.write(CALL, row, pc=int(forged.image.program["pc"][-1]), t=time, **times)


def use_it(forged: Forgery) -> None:
    """The export is of what the call would have made."""
    operand(forged, 1, A1, NEVER, before=PREPARING)
    forged.add(CALL, forged.row(CALL, exports=1), first_low=FIRST - NEVER)
    forged.write(WORDS, forged.row(WORDS, operand=FIRST), operand=NEVER)
    for k, value in enumerate(NINES):
        export_lane(forged, NEVER, 0, k, value)


def test_calls_that_do_not_happen_are_honest_without_them() -> None:
    assert unreached().refusals() == set()
    assert (id_of(1) + PREPARING) * opcodes.TIME_STEP == unreached().cell(CALL, 1, "t")


def test_g7_a_call_behind_the_end() -> None:
    """The run stops before it. Its row and its rows agree with each other and with memory, but nobody gets there."""
    forged = unreached()
    make_vector(forged)
    call_it(forged)
    assert forged.refusals() == {"bus state"}


def test_g7_an_exit_that_goes_on_to_a_call() -> None:
    """Somebody gets there then, and the verifier has no last state."""
    forged = unreached()
    make_vector(forged)
    call_it(forged)
    call = forged.row(CALL, t=opcodes.TIME_STEP * NEVER)
    forged.write("ecall", forged.row("ecall", exit=1), next_pc=forged.cell(CALL, call, "pc"), next_t=forged.cell(CALL, call, "t"))
    assert forged.refusals() == {"bus state", "ecall: next pc", "ecall: next time"}


@pytest.mark.parametrize(
    ("rows", "row", "refusal"),
    [(True, True, "bus state"), (True, False, "bus import path"), (False, False, f"{WORDS}: exported vector")],
    ids=["with its row", "without it", "without any row"],
)
def test_g7_the_result_of_a_call_that_did_not_happen(rows: bool, row: bool, refusal: str) -> None:
    """The program guesses its handle, and writes down what nobody has computed."""
    forged = unreached()
    if rows:
        make_vector(forged)
    if row:
        call_it(forged)
    use_it(forged)
    assert forged.refusals() == {refusal}


# --- G2, G9: elements of another layer ---------------------------------------------------------------------------------------------------

HERE: Vectors = [[3 * k - 10 for k in range(8)], [7 - 5 * k for k in range(8)]]
THERE: Vectors = [[11 * k - 40 for k in range(8)], [60 - 9 * k for k in range(8)]]
WEIGHTS: Vectors = [[4, -8, 12, 0, 0, 0, 0, 0], [-16, 20, 24, 0, 0, 0, 0, 0]]
ROWS: Vectors = [[1, 2, 3, 4, 9, 10, 11, 12], [16, 15, 14, 13, 8, 7, 6, 5]]
"""Elements of both vectors of an operand."""


def layers(gathering: bool) -> tuple[Forgery, int, int, int]:
    """Two layers of one shape with the same weights, each of its own import, or of what one pattern gathers of it; an export of the first.

    Returns the tables, and the ids of both operands of the layers and of the first layer.
    """
    steps = [(Descriptor(IMPORT, 2), 0, 0), (Descriptor(IMPORT, 2), 0, 0)]
    if gathering:
        steps += [(Descriptor(GATHER, 2, channel_list=PATTERNS), own, 0) for own in (FIRST, SECOND)]
    here, there, made = id_of(len(steps) - 2), id_of(len(steps) - 1), id_of(len(steps))
    linear = Descriptor(LINEAR, 1, 3, 2, 0, 2, VECTORS, 2, CHANNELS, FULL)
    steps += [(linear, here, 0), (linear, there, 0), (Descriptor(EXPORT, 3, 8, 0, 0, 1), made, DATA)]
    channels = [(0, QUARTER, QUARTER)] * 3
    forged = Program(steps, WEIGHTS, channels, HERE + THERE, [0] * 24, ROWS if gathering else []).forged()
    assert forged.refusals() == set()
    return forged, here, there, made


def take(forged: Forgery, tap: int, there: int, made: int) -> None:
    """A tap of the first layer reads the operand of the other one, at its own place."""
    own, other = product_row(forged, tap, tensor=made), product_row(forged, tap, tensor=made + CALL_INSTRUCTIONS)
    assert forged.cell(PRODUCTS, other, "x_tensor") == there
    forged.write(PRODUCTS, own, x_tensor=there)
    put(forged, PRODUCTS, own, "a", vector_of(forged, PRODUCTS, other, "a"))


@pytest.mark.parametrize("gathering", [False, True])
@pytest.mark.parametrize("taps", [(0,), (1,), (0, 1)])
def test_g2_a_tap_of_another_layer(gathering: bool, taps: Sequence[int]) -> None:
    """Its elements, and not only its name: they are there, at the same place, and the sums are those of what is read."""
    forged, _, there, made = layers(gathering)
    for tap in taps:
        take(forged, tap, there, made)
    assert follow_products(forged, made)
    assert forged.refusals() == {"bus tap path"}


def test_g2_all_taps_of_another_layer() -> None:
    """The tile says so too, and then the call, which reads another handle than its register holds."""
    forged, here, there, made = layers(gathering=False)
    for tap in (0, 1):
        take(forged, tap, there, made)
    assert follow_products(forged, made)
    forged.write(TILES, forged.row(TILES, tensor=made), x_tensor=there)
    assert forged.refusals() == {"bus tile path"}
    forged.add(CALL, forged.row(CALL, t=opcodes.TIME_STEP * made), a1=there - here, first_low=here - there)
    assert forged.refusals() == {"bus memory"}


@pytest.mark.parametrize("rows", [(0,), (1,), (0, 1)])
def test_g9_elements_of_another_layer(rows: Sequence[int]) -> None:
    """What a layer's taps are gathered from is the operand of the other layer's: at the same places, and sums follow."""
    forged, here, _, made = layers(gathering=True)
    for index in rows:
        own, other = (forged.row(GATHERS, tensor=tensor, index=index) for tensor in (here, here + CALL_INSTRUCTIONS))
        forged.write(GATHERS, own, first=SECOND, operand=SECOND)
        values = vector_of(forged, GATHERS, other, "x")
        gathered(forged, own, dict(enumerate(values)))
        read_by_products(forged, here, index, values)
    assert follow_products(forged, made)
    assert {forged.cell(ELEMENTS, row, "tensor") for row in range(forged.tables[ELEMENTS].used)} == {FIRST, SECOND}
    assert forged.refusals() == {"bus gather path"}


# --- G14: digests that are published -----------------------------------------------------------------------------------------------------

CONTENT: Vectors = [[(29 * v + 7 * k) % 200 - 100 for k in range(8)] for v in range(6)]
DIGESTED = Descriptor(DIGEST, 2)
TOLD = 20
"""Bytes of a descriptor that the journal tells: what is digested."""
JOURNAL_CALL: tuple[Item, ...] = (("li", "a7", calls.WRITE.number), ("ecall",))


def publishing() -> Forgery:
    """Private weights, their digest; the journal has the descriptor of that, from ROM, and the digest in 16 words, from memory."""
    steps = [(Descriptor(IMPORT, 8), 0, 0), (DIGESTED, FIRST, 0), (Descriptor(EXPORT, 2, 8, 0, 96, 1), FIRST, DATA)]
    told: list[Item] = []
    for address, length in ((RODATA + DESCRIPTOR_BYTES, TOLD), (DATA, 64)):
        told += [("li", "a0", calls.FD_JOURNAL), ("la", "a1", address), ("li", "a2", length), *JOURNAL_CALL]
    return Program(steps, imported=[*CONTENT, *digest_of(CONTENT)], ram=[0] * 16, ending=[*told, *END]).forged()


def journal_of(digest: Vectors, descriptor: Descriptor = DIGESTED) -> bytes:
    """What is published."""
    return struct.pack("<14I", *descriptor)[:TOLD] + struct.pack("<16i", *digest[0], *digest[1])


def tell(forged: Forgery, journal: bytes) -> None:
    """The verifier is told another journal."""
    assert forged.closings[-1].bus is JOURNAL
    forged.closings = (*forged.closings[:-1], journal_closing(journal))


def write_down(forged: Forgery, word: int, value: int, **origin: int) -> None:
    """The journal's rows have another word of the descriptor or of the digest."""
    start = DATA if origin == {"in_ram": 1} else RODATA + DESCRIPTOR_BYTES
    row = forged.row(WRITES, address=start + 4 * word, **origin)
    forged.write(WRITES, row, **{f"byte_{k}": value >> 8 * k & 255 for k in range(4)})


def publish(forged: Forgery, digest: Vectors) -> None:
    """The input has another digest, it is exported, and it is what the journal says."""
    for number, vector in enumerate(digest):
        put(forged, IMPORTS, forged.row(IMPORTS, index=6 + number), "x", vector)
        put(forged, WORDS, forged.row(WORDS, index=number), "x", vector)
        for k, value in enumerate(vector):
            forged.write(WORDS, forged.row(WORDS, index=number), **{f"neg{k}": int(value < 0)})
            word = 8 * number + k
            row = forged.row(WRITES, in_ram=1, address=DATA + 4 * word)
            forged.pass_on(DATA + 4 * word, forged.cell(WRITES, row, "t") + 1, value % TWO_32)
            write_down(forged, word, value % TWO_32, in_ram=1)
    tell(forged, journal_of(digest))


def digest_with(forged: Forgery, element: int, value: int) -> Vectors:
    """Let the rows digest what they hold from a capacity with another element; what comes out."""
    rows = digest_rows(forged)
    forged.write(DIGESTS, rows[0], **{f"before{element}": value})
    absorb(forged, rows[:2])
    state = permute(state_before(forged, rows[1]))
    forged.write(DIGESTS, rows[2], **{f"before{k}": state[k] for k in CARRIED})
    return compare(forged, rows[2], state)


def test_publishing_is_honest() -> None:
    forged = publishing()
    assert forged.refusals() == set()
    publish(forged, digest_of(CONTENT))
    assert forged.refusals() == set()
    tell(forged, journal_of(digest_of(CONTENT)))
    assert forged.refusals() == set()


@pytest.mark.parametrize(("element", "value"), [(8, DIGEST_TAG + 1), (8, 0), (9, 1), (9, 3)], ids=["version", "none", "fewer", "more"])
def test_g14_a_published_digest_of_another_version(element: int, value: int) -> None:
    """Of the same weights, digested as another version of this digest would, or as so many rows: everybody agrees but the call."""
    forged = publishing()
    digest = digest_with(forged, element, value)
    assert digest != digest_of(CONTENT)
    publish(forged, digest)
    assert forged.refusals() == {"bus digest path"}


@pytest.mark.parametrize(("word", "value"), [(0, DIGEST + 1), (1, 1), (1, 3), (4, 16)])
def test_g14_a_published_digest_under_another_descriptor(word: int, value: int) -> None:
    """The digest is right, and the journal says that it is of something else: the words come from the program."""
    forged = publishing()
    write_down(forged, word, value, in_rom=1)
    told = DIGESTED._replace(**{DIGESTED._fields[word]: value})
    tell(forged, journal_of(digest_of(CONTENT), told))
    assert forged.refusals() == {f"{WRITES}: word in ROM"}


def test_g14_a_journal_of_another_digest_or_descriptor() -> None:
    """What the verifier is told is not what was written."""
    other = digest_with(publishing(), 8, DIGEST_TAG + 1)
    for journal in (journal_of(other), journal_of(digest_of(CONTENT), DIGESTED._replace(blocks=3))):
        forged = publishing()
        tell(forged, journal)
        assert forged.refusals() == {"bus journal"}
