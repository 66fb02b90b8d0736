"""Lies about gathered vectors, each with the one line that refuses it: class G9 of ``test_moving_single_checks.py``."""

from __future__ import annotations

from tests.forge import Forgery
from tests.sample_moves import of_second
from tests.soundness.moving_forging import (
    CALL,
    EIGHTS,
    ELEMENTS,
    FIRST,
    FIRST_ID,
    GATHERED,
    GATHERS,
    IMPORTED,
    SECOND,
    SECOND_ID,
    all_kinds,
    gathered,
    gathering,
)
from tests.soundness.single import Attack, Forged
from tests.soundness.tensor_forging import A1, A2, TWO_16, export_lane, list_at, operand, padding_row, put
from zkvm.riscv.vm.assemble import PATTERNS
from zkvm.stark.field.goldilocks import P

FIRST_EARLIER, SECOND_EARLIER = (f"{CALL}: {name} operand is earlier: high limb" for name in ("first", "second"))


def calls_row(forged: Forgery, flag: str) -> int:
    return forged.row(CALL, **{flag: 1})


# --- G9: gathering -------------------------------------------------------------------------------------------------------------------


def g9_another_element() -> Forged:
    forged = gathering()
    gathered(forged, forged.row(GATHERS, index=0), {3: 999})
    return forged, f"{GATHERS}: element x3"


def g9_another_lane_of_the_vector() -> Forged:
    """Lane 1 in the place of lane 0: the vector is there, but its place says which lane."""
    forged = gathering()
    gathered(forged, forged.row(GATHERS, index=0), {3: FIRST[1][1]})
    return forged, f"{GATHERS}: element x3"


def g9_zero_for_an_element() -> Forged:
    forged = gathering()
    gathered(forged, forged.row(GATHERS, index=0), {3: 0})
    return forged, f"{GATHERS}: element x3"


def g9_another_place() -> Forged:
    forged = gathering()
    row = forged.row(GATHERS, index=0)
    gathered(forged, row, {3: FIRST[1][1]})
    forged.write(GATHERS, row, place3=10)
    return forged, f"{GATHERS}: pattern"


def g9_place_zero_for_an_element() -> Forged:
    forged = gathering()
    row = forged.row(GATHERS, index=0)
    gathered(forged, row, {3: 0})
    forged.write(GATHERS, row, place3=0)
    return forged, f"{GATHERS}: pattern"


def from_the_second(forged: Forgery) -> int:
    """The third row takes its elements from the second operand."""
    row = forged.row(GATHERS, index=2)
    gathered(forged, row, dict(enumerate(reversed(SECOND[0]))))
    forged.write(GATHERS, row, operand=SECOND_ID)
    return row


def g9_the_row_says_the_other_operand() -> Forged:
    forged = gathering()
    forged.write(GATHERS, from_the_second(forged), of_second=1)
    return forged, f"{GATHERS}: pattern"


def g9_the_other_operand() -> Forged:
    forged = gathering()
    from_the_second(forged)
    return forged, f"{GATHERS}: the operand"


def g9_elements_of_nobody() -> Forged:
    forged = gathering()
    forged.write(ELEMENTS, forged.row(ELEMENTS, tensor=FIRST_ID, index=1), x0=99)
    gathered(forged, forged.row(GATHERS, index=0), {3: 99, 4: 99})
    return forged, f"{ELEMENTS}: vector"


def g9_a_vector_whose_first_lane_has_place_zero() -> Forged:
    """Index - 1 / 8 mod p: zero would be what the prover likes, if somebody had made such a vector."""
    forged = gathering()
    row = padding_row(forged, ELEMENTS)
    forged.write(ELEMENTS, row, real=1, tensor=FIRST_ID, index=-pow(8, -1, P))
    put(forged, ELEMENTS, row, "x", EIGHTS)
    gathered(forged, forged.row(GATHERS, index=0), {2: EIGHTS[0]})
    return forged, f"{ELEMENTS}: vector"


def g9_padding_serves_an_element() -> Forged:
    forged = gathering()
    row = padding_row(forged, ELEMENTS)
    forged.write(ELEMENTS, row, tensor=FIRST_ID, index=1, x0=99, multiplicity0=1)
    gathered(forged, forged.row(GATHERS, index=0), {3: 99})
    return forged, f"{ELEMENTS}: padding serves no multiplicity0"


def g9_padding_serves_zero() -> Forged:
    """Zeros of a tensor that there is not: the executor would trap."""
    forged = gathering([[1, 0, 0, 0, 0, 0, 0, 2], of_second(*[0] * 8)])
    nothing = 5
    operand(forged, 2, A2, nothing)
    forged.write(CALL, calls_row(forged, "gathers"), second_low=GATHERED - nothing - 1)
    for index in (0, 1):
        forged.write(GATHERS, index, second=nothing)
    forged.write(GATHERS, 1, operand=nothing)
    row = forged.row(ELEMENTS, tensor=SECOND_ID)
    forged.write(ELEMENTS, row, real=0, tensor=nothing)
    return forged, f"{ELEMENTS}: padding serves no zeros"


def g9_padding_serves_a_vector() -> Forged:
    forged = gathering()
    row = padding_row(forged, GATHERS)
    forged.write(GATHERS, row, tensor=GATHERED, index=0, multiplicity=1)
    put(forged, GATHERS, row, "x", EIGHTS)
    for k, value in enumerate(EIGHTS):
        export_lane(forged, GATHERED, 0, k, value)
    return forged, f"{GATHERS}: padding serves nothing"


def of_itself(second: bool) -> Forged:
    """A gather of the first eight elements of what it makes: any eight."""
    places = list(range(1, 9))
    forged = gathering([of_second(*places) if second else places])
    operand(forged, 2, A2 if second else A1, GATHERED)
    name = "second" if second else "first"
    forged.write(CALL, calls_row(forged, "gathers"), **{f"{name}_low": TWO_16 - 1})
    forged.write(GATHERS, 0, **{name: GATHERED, "operand": GATHERED})
    forged.write(ELEMENTS, 0, tensor=GATHERED, index=0)
    put(forged, ELEMENTS, 0, "x", EIGHTS)
    gathered(forged, 0, dict(enumerate(EIGHTS)))
    return forged, SECOND_EARLIER if second else FIRST_EARLIER


def g9_the_call_itself() -> Forged:
    return of_itself(False)


def g9_the_call_itself_as_second_operand() -> Forged:
    return of_itself(True)


def g9_an_operand_that_no_row_reads() -> Forged:
    """Not earlier, though the pattern takes nothing of it: the executor traps."""
    forged = gathering([[1] * 8])
    operand(forged, 2, A2, GATHERED + 1)
    forged.write(CALL, calls_row(forged, "gathers"), second_low=TWO_16 - 2)
    forged.write(GATHERS, 0, second=GATHERED + 1)
    return forged, SECOND_EARLIER


def g9_another_pattern_than_the_descriptor_says() -> Forged:
    """The pattern that begins a row later: it has enough rows."""
    forged = gathering([[place] * 8 for place in (1, 2, 2)], 2)
    list_at(forged, calls_row(forged, "gathers"), PATTERNS + 32)
    for row, place in enumerate((2, 2)):
        forged.add(GATHERS, row, pattern=1)
        forged.write(GATHERS, row, **{f"place{k}": place for k in range(8)})
        gathered(forged, row, dict.fromkeys(range(8), FIRST[0][place - 1]))
    return forged, f"{CALL}: channel list"


def g9_another_operation_gathers() -> Forged:
    """An import has a path of gathered vectors besides its own: two entries for one vector."""
    forged = all_kinds()
    forged.write(CALL, calls_row(forged, "imports"), gathered=1)
    list_at(forged, calls_row(forged, "imports"), PATTERNS)
    row = forged.copy_row(GATHERS, 0)
    forged.write(GATHERS, row, tensor=IMPORTED)
    gathered(forged, row, dict.fromkeys(range(8), 8))
    return forged, f"{CALL}: vectors that are gathered"


def g9_less_than_no_vector() -> Forged:
    """A row of elements that counts -1 takes back that the export read what nobody made."""
    forged = gathering()
    row, told = padding_row(forged, ELEMENTS), [*range(7), 999]
    forged.write(ELEMENTS, row, real=-1, tensor=GATHERED, index=0)
    put(forged, ELEMENTS, row, "x", told)
    for k, value in enumerate(told):
        export_lane(forged, GATHERED, 0, k, value)
    return forged, f"{ELEMENTS}: real is boolean"


LIES: tuple[Attack, ...] = (
    g9_another_element,
    g9_another_lane_of_the_vector,
    g9_zero_for_an_element,
    g9_another_place,
    g9_place_zero_for_an_element,
    g9_the_row_says_the_other_operand,
    g9_the_other_operand,
    g9_elements_of_nobody,
    g9_a_vector_whose_first_lane_has_place_zero,
    g9_padding_serves_an_element,
    g9_padding_serves_zero,
    g9_padding_serves_a_vector,
    g9_less_than_no_vector,
    g9_the_call_itself,
    g9_the_call_itself_as_second_operand,
    g9_an_operand_that_no_row_reads,
    g9_another_pattern_than_the_descriptor_says,
    g9_another_operation_gathers,
)
