"""G19: attacks on digested imports, which one line refuses: the machine without the line accepts them. And what several refuse.

See ``test_single_checks.py``; what is told is in ``absorb_lies.py``.
"""

from __future__ import annotations

import pytest

from tests.forge import Forgery
from tests.soundness.absorb_forging import (
    BYTES,
    CALL,
    CAPACITY,
    HELD,
    ROWS,
    SECOND,
    TENSOR,
    WORDS,
    absorb,
    absorb_all,
    call_row,
    digested,
    end,
    hold,
    leave,
    limbs_of,
    multiplied,
    path_of,
    permute_all,
    put_vector,
    read,
    size,
    state_after,
    tell,
    tell_limbs,
    vector,
)
from tests.soundness.absorb_lies import CALL_LIES, NINES, ROW_LIES, idle_call, nines
from tests.soundness.single import accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import TWO_32, descriptor_word, signed
from zkvm.riscv.isa.tensors import DIGEST_TAG
from zkvm.riscv.machine import machine
from zkvm.stark.field.goldilocks import P

FORGERIES = ROW_LIES + CALL_LIES
CHOSEN = ("g19_less_than_no_row_of_bytes", "g19_no_bytes_6", "g19_padding_says_a_digest", "g19_a_digest_of_fewer_rows")
"""Proven in every run of the tests; all of them in the slow tests."""
PROVEN = tuple(make for make in FORGERIES if make.__name__ in CHOSEN)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


# --- what several lines refuse ---------------------------------------------------------------------------------------------------------


def places(forged: Forgery) -> set[str]:
    """What refuses the tables: buses by their name, lines as they are."""
    return {where.partition(":")[0] if where.startswith("bus") else where for where in forged.refusals()}


def test_honest() -> None:
    """Also if everything that a forger computes again is computed again."""
    for forged in (digested(), digested(1, 0, second=(2, 3)), multiplied(2, 1)):
        assert forged.refusals() == set()
        before = limbs_of(forged)
        absorb_all(forged)
        assert forged.refusals() == set()
        assert limbs_of(forged) == before


def test_every_line_that_can_refuse_alone_does() -> None:
    """Those that cannot are named here; what they refuse together is below."""
    together = {f"{CALL}: padding has no {name}" for name in ("rows", "byte rows", *(f"capacity{k}" for k in CAPACITY))}
    together |= {f"{ROWS}: final is boolean", f"{CALL}: real is boolean"}
    together |= {f"{CALL}: element {k} of the digest is below p" for k in range(4)}
    lines = set()
    for chip in (machine().chips[machine().chip_number(name)] for name in (*HELD, CALL)):
        asked = [lookup.label for lookup in chip.air_buses.lookups if not lookup.serves]
        lines |= {f"{chip.name}: {label}" for label in (*(own.label for own in chip.air_constraints), *asked)}
    assert {line for _, line in (make() for make in FORGERIES)} == lines - together
    assert together < lines


# --- the path ----


@pytest.mark.parametrize("chip", HELD)
@pytest.mark.parametrize("twice", [False, True])
def test_g19_a_row_left_out_or_twice(chip: str, twice: bool) -> None:
    forged = digested(3, 3)
    _, row = [place for place in path_of(forged) if place[0] == chip][1]
    if twice:
        forged.copy_row(chip, row)
    else:
        forged.erase(chip, row)
    permute_all(forged)
    assert "bus absorb path" in places(forged)
    assert places(forged) <= {"bus absorb path", f"{WORDS}: exported vector"}


@pytest.mark.parametrize(("element", "value"), [(8, DIGEST_TAG + 1), (8, 0), (9, 1), (9, 3), (10, 0), (10, 1), (11, 1)])
def test_g19_another_capacity(element: int, value: int) -> None:
    """Everybody has the digest from there on: another version, other numbers of rows."""
    forged = digested()
    start = [DIGEST_TAG, 2, 2, 0]
    start[element - 8] = value
    state = absorb(forged, path_of(forged), start)
    end(forged, state)
    tell(forged, state[:4])
    assert places(forged) == {"bus absorb path"}


def test_g19_bytes_behind_int16() -> None:
    """The rows of bytes come last, with the indices and the numbers of rows that they then have."""
    forged = digested(1, 1)
    (_, small), (_, large) = path_of(forged)
    forged.write(BYTES, small, index=HELD[ROWS], left=0)
    forged.write(ROWS, large, index=0)
    state = absorb(forged, [(ROWS, large), (BYTES, small)], [DIGEST_TAG, 1, 1, 0])
    end(forged, state)
    tell(forged, state_after(forged, ROWS, large)[:4])
    for index in range(HELD[BYTES] + HELD[ROWS]):
        read(forged, index, vector(forged, index))
    assert places(forged) == {"bus absorb path"}


@pytest.mark.parametrize("told", [BYTES, ROWS])
def test_g19_rows_of_one_kind_as_the_other(told: str) -> None:
    """As many vectors in rows of the other kind: of bytes as int16, or the reverse; the call says what the descriptor does."""
    rows, byte_rows = (1, 3) if told == ROWS else (8, 0)
    forged = digested(1, 3) if told == BYTES else digested(8, 0)
    assert size(rows, byte_rows) == size(*((8, 0) if told == ROWS else (1, 3)))
    small = [[(13 * v + k) % 200 - 100 for k in range(8)] for v in range(24)]
    for index, values in enumerate(small):
        hold(forged, index, dict(enumerate(values)))
    absorb_all(forged)
    assert forged.refusals() == set()
    descriptor_word(forged, 0, 1, rows)
    descriptor_word(forged, 0, 2, byte_rows)
    assert places(forged) == {f"{CALL}: rows", f"{CALL}: byte rows"}
    forged.write(CALL, call_row(forged), rows=rows, byte_rows=byte_rows)
    assert places(forged) == {"bus absorb path"}


@pytest.mark.parametrize("chip", HELD)
@pytest.mark.parametrize(("name", "value"), [("tensor", SECOND), ("left", 9), ("index", 1)])
def test_g19_another_path_than_the_call_says(chip: str, name: str, value: int) -> None:
    forged = digested(1, 1, second=(1, 1))
    row = next(row for own, row in path_of(forged) if own == chip)
    forged.write(chip, row, **{name: value})
    assert "bus absorb path" in places(forged)


def test_g19_more_rows_of_bytes_than_there_are() -> None:
    """A row of bytes where none is left: the number falls below zero, and no row of int16 follows."""
    forged = digested(2, 2)
    small, large = path_of(forged)[:2], path_of(forged)[2:]
    row = forged.copy_row(*small[0])
    forged.write(BYTES, row, bytes_left=0, index=2 * HELD[BYTES])
    for place in large:
        forged.add(*place, index=HELD[BYTES])
    state = absorb(forged, [*small, (BYTES, row), *large])
    end(forged, state)
    tell(forged, state[:4])
    for index in range(size(2, 2)):
        read(forged, index, vector(forged, index))
    assert places(forged) == {"bus absorb path"}


def test_g19_the_digest_of_another_call() -> None:
    """Both calls say the digest of the other one; what rows say is by call."""
    forged = digested(1, 1, second=(1, 1))
    (own, other), rows = (path_of(forged, tensor)[-1] for tensor in (TENSOR, SECOND)), (call_row(forged), call_row(forged, SECOND))
    limbs = [[signed(forged.cell(CALL, row, f"lane{k}")) + (1 << 15) for k in range(16)] for row in rows]
    tell_limbs(forged, rows[0], limbs[1])
    tell_limbs(forged, rows[1], limbs[0])
    assert places(forged) == {f"{CALL}: digest"}
    for place, tensor in ((own, SECOND), (other, TENSOR)):
        forged.write(*place, tensor=tensor)
    assert "bus absorb path" in places(forged)


def test_g19_rows_of_two_calls_exchanged() -> None:
    """Each call has the other one's private input, and its digest: only where the rows begin it is seen."""
    forged = digested(1, 1, second=(1, 1))
    first, second = path_of(forged), path_of(forged, SECOND)
    for own, other in zip(first, second, strict=True):
        forged.write(*own, tensor=SECOND)
        forged.write(*other, tensor=TENSOR)
    for index in range(HELD[BYTES] + HELD[ROWS]):
        read(forged, index, vector(forged, index))
    assert places(forged) == {"bus absorb path", f"{CALL}: digest"}
    rows = call_row(forged), call_row(forged, SECOND)
    limbs = [[signed(forged.cell(CALL, row, f"lane{k}")) + (1 << 15) for k in range(16)] for row in rows]
    ends = [{f"capacity{k}": forged.cell(CALL, row, f"capacity{k}") for k in CAPACITY} for row in rows]
    for row, digest, capacity in zip(rows, reversed(limbs), reversed(ends), strict=True):
        tell_limbs(forged, row, digest)
        forged.write(CALL, row, **capacity)
    assert places(forged) == set()  # which input a call reads is the prover's choice


def test_g19_rows_with_the_permutation_of_another() -> None:
    """What comes out is exchanged between two rows: in and out are one tuple."""
    forged = digested(2, 0)
    first, second = path_of(forged)
    states = [state_after(forged, *place) for place in (first, second)]
    leave(forged, *first, states[1])
    leave(forged, *second, states[0])
    assert {f"{ROWS}: permutation", "bus absorb path"} <= places(forged)


# --- flags that are no bits, and padding ----


@pytest.mark.parametrize("flag", [2, -1, pow(2, -1, P)])
def test_g19_a_digest_said_so_often(flag: int) -> None:
    """The call asks once: a flag that is no bit has two lines against it."""
    forged = digested(1, 1)
    forged.write(*path_of(forged)[-1], final=flag)
    assert places(forged) == {f"{ROWS}: final is boolean", "bus digest made"}


@pytest.mark.parametrize("flag", [2, -1, pow(2, -1, P)])
@pytest.mark.parametrize("chip", HELD)
def test_g19_a_row_whose_flag_is_no_bit(chip: str, flag: int) -> None:
    """Then it keeps the capacity, which no permutation does, and asks so often for all it asks for."""
    forged = digested(1, 1)
    place = next(place for place in path_of(forged) if place[0] == chip)
    forged.write(*place, real=flag)
    keeps = {f"{chip}: padding keeps element {k}" for k in CAPACITY}
    assert {f"{chip}: real is boolean", "bus absorb path"} | keeps <= places(forged)


@pytest.mark.parametrize("flag", [2, -1, pow(2, -1, P)])
def test_g19_a_call_whose_flag_is_no_bit(flag: int) -> None:
    forged = digested(1, 1)
    forged.write(CALL, call_row(forged), real=flag)
    assert {f"{CALL}: real is boolean", f"{CALL}: padding has no rows", "bus state"} <= places(forged)


@pytest.mark.parametrize("chip", HELD)
def test_g19_rows_without_a_call(chip: str) -> None:
    """A row without flag is both ends of a path: other vectors under the name of a tensor, which nobody digests."""
    forged = digested(1, 1)
    first = next(place for place in path_of(forged) if place[0] == chip)
    row, call = forged.copy_row(*first), idle_call(forged, TENSOR)
    cells = {"index": 0, "left": 0, "bytes_left": 1} if chip == BYTES else {"index": 0, "left": 1, "final": 0}
    forged.write(chip, row, **cells)
    put_vector(forged, chip, row, 0, NINES)
    state = absorb(forged, [(chip, row)], [0, int(chip == ROWS), int(chip == BYTES), 0])
    name = "byte_rows" if chip == BYTES else "rows"
    forged.write(CALL, call, **{name: 1}, **{f"capacity{k}": state[k] for k in CAPACITY})
    read(forged, 0, nines(chip))
    assert places(forged) == {
        f"{CALL}: padding has no {name.replace('_', ' ')}",
        *(f"{CALL}: padding has no capacity{k}" for k in CAPACITY),
    }


# --- the digest's spelling ----


@pytest.mark.parametrize("element", range(4))
@pytest.mark.parametrize("small", [0, 1, TWO_32 - 2])
def test_g19_a_second_digest(element: int, small: int) -> None:
    """p more is the same element. The rows say a digest with so small an element without their permutation: nobody finds one for it."""
    forged = digested(1, 0)
    ((chip, row),) = path_of(forged)
    words = [9 + (small - 9) * (k == element) for k in range(4)]
    leave(forged, chip, row, [*words, *state_after(forged, chip, row)[4:]])
    permute_all(forged, [BYTES])
    tell(forged, words)
    assert places(forged) == {f"{ROWS}: permutation"}
    tell(forged, [word + P * (k == element) for k, word in enumerate(words)])
    assert places(forged) == {f"{ROWS}: permutation", f"{CALL}: element {element} of the digest is below p"}


@pytest.mark.parametrize("element", range(4))
def test_g19_an_element_that_is_p_less_one(element: int) -> None:
    """The greatest one has an upper half of ones, and no inverse; the lower one is zero."""
    forged = digested(1, 0)
    ((chip, row),) = path_of(forged)
    words = [P - 1 if k == element else 9 for k in range(4)]
    leave(forged, chip, row, [*words, *state_after(forged, chip, row)[4:]])
    permute_all(forged, [BYTES])
    tell(forged, words)
    assert places(forged) == {f"{ROWS}: permutation"}
