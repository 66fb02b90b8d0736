"""Attacks on calls that gather, compare and look functions up, which one line refuses: the machine without the line accepts them.

See ``test_single_checks.py``. The classes: G9 gathering, G10 maxima, G11 functions.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.forge import Forgery
from tests.sample_moves import of_second
from tests.soundness.cheating import skip_own_checks
from tests.soundness.moving_forging import (
    APPLIES,
    ARGUMENTS,
    CALL,
    COMPARED,
    EIGHTS,
    ELEMENTS,
    FIRST,
    FIRST_ID,
    FUNCTION,
    GATHERED,
    GATHERS,
    IMPORTED,
    IMPORTS,
    LEAST,
    MADE,
    MAXIMA,
    OTHER,
    OTHER_FUNCTION,
    SECOND,
    SECOND_ID,
    all_kinds,
    applied,
    applying,
    compare,
    comparing,
    entry_of,
    gathered,
    gathering,
    lay_out,
    path_of,
)
from tests.soundness.proven import CHOSEN, expected, verdict
from tests.soundness.single import refused_by
from tests.soundness.tensor_forging import A1, A2, TWO_16, export_lane, operand, padding_row, put, vector_of
from zkvm.errors import RejectReason
from zkvm.riscv.machine import machine
from zkvm.riscv.vm.assemble import PATTERNS, VECTORS
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.prover.preprocessed import commit_preprocessed

Forged = tuple[Forgery, str]
"""Forged tables and the one line that refuses them."""
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
    forged.write(CALL, calls_row(forged, "gathers"), channel_list=PATTERNS + 32)
    for row, place in enumerate((2, 2)):
        forged.add(GATHERS, row, pattern=1)
        forged.write(GATHERS, row, **{f"place{k}": place for k in range(8)})
        gathered(forged, row, dict.fromkeys(range(8), FIRST[0][place - 1]))
    return forged, f"{CALL}: channel list"


def g9_another_operation_gathers() -> Forged:
    """An import has a path of gathered vectors besides its own: two entries for one vector."""
    forged = all_kinds()
    forged.write(CALL, calls_row(forged, "imports"), gathered=1, channel_list=PATTERNS)
    row = forged.copy_row(GATHERS, 0)
    forged.write(GATHERS, row, tensor=IMPORTED)
    gathered(forged, row, dict.fromkeys(range(8), 8))
    return forged, f"{CALL}: vectors that are gathered"


# --- G10: maxima ---------------------------------------------------------------------------------------------------------------------


def largest(forged: Forgery, bigger: str) -> tuple[int, int]:
    """The last row of a result and a lane where the vector, or the largest before, is the larger one; there the other one is taken."""
    smaller = "m" if bigger == "x" else "x"
    for row in path_of(forged):
        own, other = (vector_of(forged, MAXIMA, row, stem) for stem in (bigger, smaller))
        found = [k for k in range(8) if own[k] > other[k]]
        if forged.cell(MAXIMA, row, "last") and found:
            forged.write(MAXIMA, row, **{f"y{found[0]}": other[found[0]]})
            export_lane(forged, MADE, forged.cell(MAXIMA, row, "index"), found[0], other[found[0]])
            return row, found[0]
    raise AssertionError("no such lane")


def g10_smaller_than_an_element() -> Forged:
    forged = comparing()
    _, k = largest(forged, "x")
    return forged, f"{MAXIMA}: y{k} is not below x{k}"


def g10_smaller_than_the_largest_before() -> Forged:
    forged = comparing()
    _, k = largest(forged, "m")
    return forged, f"{MAXIMA}: y{k} is not below m{k}"


def g10_not_attained() -> Forged:
    forged = comparing()
    row = path_of(forged)[2]
    value = vector_of(forged, MAXIMA, row, "y")[4] + 1
    forged.write(MAXIMA, row, y4=value)
    export_lane(forged, MADE, 0, 4, value)
    return forged, f"{MAXIMA}: y4 is m4 or x4"


def g10_the_first_is_larger() -> Forged:
    forged = comparing(taps=1)
    forged.add(MAXIMA, 0, y4=1)
    export_lane(forged, MADE, 0, 4, COMPARED[0][4] + 1)
    return forged, f"{MAXIMA}: y4 of the first is x4"


def g10_a_vector_of_nobody() -> Forged:
    forged = comparing()
    rows = path_of(forged)
    put(forged, MAXIMA, rows[1], "x", EIGHTS)
    compare(forged, rows)
    return forged, f"{MAXIMA}: vector"


def g10_the_last_too_early() -> Forged:
    """Two vectors for the first result, and four for the next: the path ends where it should."""
    forged = comparing()
    lay_out(forged, [(2, 3), (4, 3), (3, 3)])
    return forged, f"{MAXIMA}: the last has no taps behind it"


def g10_the_last_too_late() -> Forged:
    forged = comparing()
    lay_out(forged, [(4, 3), (2, 3), (3, 3)])
    return forged, f"{MAXIMA}: the last has no taps behind it"


def g10_other_taps_for_the_next() -> Forged:
    forged = comparing()
    lay_out(forged, [(3, 4), (4, 2), (2, 3)])
    return forged, f"{MAXIMA}: taps of the next result"


def g10_another_vector_next() -> Forged:
    """The second vector of a result is left out, and the third is compared twice."""
    forged = comparing()
    rows = path_of(forged)
    forged.add(MAXIMA, rows[0], next_operand_index=1)
    forged.add(MAXIMA, rows[1], operand_index=1)
    put(forged, MAXIMA, rows[1], "x", COMPARED[2])
    compare(forged, rows)
    return forged, f"{MAXIMA}: vector of the next row"


def g10_a_maximum_of_less_is_served() -> Forged:
    """The largest of two of three vectors, under the name of the result."""
    forged = comparing()
    rows = path_of(forged)
    own, whole = (vector_of(forged, MAXIMA, row, "y") for row in rows[1:3])
    assert own != whole
    forged.write(MAXIMA, rows[1], multiplicity=1)
    for k, value in enumerate(own):
        export_lane(forged, MADE, 0, k, value)
    return forged, f"{MAXIMA}: padding serves nothing"


def g10_the_call_itself() -> Forged:
    forged = comparing(1, 1)
    operand(forged, 1, A1, MADE)
    forged.write(CALL, calls_row(forged, "maxima"), first_low=TWO_16 - 1)
    forged.write(MAXIMA, 0, operand=MADE)
    put(forged, MAXIMA, 0, "x", EIGHTS)
    compare(forged, [0])
    return forged, FIRST_EARLIER


def g10_fewer_taps_than_the_descriptor_says() -> Forged:
    forged = comparing()
    forged.write(CALL, calls_row(forged, "maxima"), taps=2, products=2, back=1)
    lay_out(forged, [(2, 2)] * 3, taps=2)
    return forged, f"{CALL}: taps"


def g10_another_operation_compares() -> Forged:
    forged = all_kinds()
    forged.write(CALL, calls_row(forged, "imports"), compared=1, taps=1, products=1, x=VECTORS)
    row = forged.copy_row(MAXIMA, 0)
    forged.write(MAXIMA, row, tensor=IMPORTED)
    for k in range(8):
        export_lane(forged, IMPORTED, 0, k, 8)
    return forged, f"{CALL}: vectors that are compared"


# --- G11: functions ------------------------------------------------------------------------------------------------------------------


def g11_another_entry() -> Forged:
    forged = applying()
    x, y = (vector_of(forged, APPLIES, 0, stem) for stem in "xy")
    applied(forged, 0, x, [y[0], y[0], *y[2:]])
    return forged, f"{APPLIES}: entry y1"


def g11_an_argument_without_an_entry() -> Forged:
    forged = applying()
    x, y = ([value, *vector_of(forged, APPLIES, 0, stem)[1:]] for stem, value in (("x", 5000), ("y", 7)))
    put(forged, IMPORTS, forged.row(IMPORTS, index=0), "x", x)
    applied(forged, 0, x, y)
    return forged, f"{APPLIES}: entry y0"


def g11_an_argument_of_nobody() -> Forged:
    forged = applying()
    applied(forged, 0, [2] * 8, [2] * 8)
    return forged, f"{APPLIES}: vector"


def g11_padding_serves() -> Forged:
    forged = applying()
    row = padding_row(forged, APPLIES)
    forged.write(APPLIES, row, tensor=MADE, index=0, multiplicity=1)
    applied(forged, row, [0] * 8, EIGHTS)
    return forged, f"{APPLIES}: padding serves nothing"


def g11_the_call_itself() -> Forged:
    """Even numbers stay: any of them is an entry for itself."""
    forged = applying()
    operand(forged, 1, A1, MADE)
    forged.write(CALL, calls_row(forged, "applies"), first_low=TWO_16 - 1)
    for row in (0, 1):
        forged.write(APPLIES, row, operand=MADE)
        applied(forged, row, [2 * row + 6] * 8, [2 * row + 6] * 8)
    return forged, FIRST_EARLIER


def other_function(forged: Forgery) -> None:
    """Rows take the entries of the other function."""
    for row, vector in enumerate(ARGUMENTS):
        forged.write(APPLIES, row, function=entry_of(OTHER_FUNCTION))
        applied(forged, row, vector, [OTHER[x - LEAST] for x in vector])


def g11_another_function_than_the_descriptor_says() -> Forged:
    forged = applying()
    forged.write(CALL, calls_row(forged, "applies"), channel_list=OTHER_FUNCTION)
    other_function(forged)
    return forged, f"{CALL}: channel list"


def g11_another_operation_applies() -> Forged:
    forged = all_kinds()
    forged.write(CALL, calls_row(forged, "imports"), applied=1, x=VECTORS, channel_list=FUNCTION)
    row = forged.copy_row(APPLIES, 0)
    forged.write(APPLIES, row, tensor=IMPORTED)
    applied(forged, row, [8] * 8, [8] * 8)
    return forged, f"{CALL}: vectors that are applied"


FORGERIES: tuple[Callable[[], Forged], ...] = tuple(
    make for name, make in list(globals().items()) if name.startswith(("g9_", "g10_", "g11_"))
)
PROVEN = (g9_elements_of_nobody, g10_the_last_too_early, g11_another_entry)
"""Proven in every run of the tests; all of them in the slow tests."""


def name_of(make: Callable[[], Forged]) -> str:
    return make.__name__


@pytest.mark.parametrize("make", FORGERIES, ids=name_of)
def test_one_line_refuses(make: Callable[[], Forged]) -> None:
    refused_by(*make())


@pytest.mark.parametrize("make", PROVEN, ids=name_of)
def test_without_the_line_the_verifier_accepts(make: Callable[[], Forged], monkeypatch: pytest.MonkeyPatch) -> None:
    forged, line = make()
    assert forged.refusals() == {line}
    with monkeypatch.context() as patch:
        skip_own_checks(patch)
        assert verdict(forged) is expected({line})
    assert verdict(forged, refused_by(forged, line)) is None


@pytest.mark.slow
@pytest.mark.parametrize("make", [make for make in FORGERIES if make not in PROVEN], ids=name_of)
def test_without_the_line_the_verifier_accepts_every_one(make: Callable[[], Forged], monkeypatch: pytest.MonkeyPatch) -> None:
    test_without_the_line_the_verifier_accepts(make, monkeypatch)
