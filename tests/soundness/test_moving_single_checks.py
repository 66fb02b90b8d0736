"""Attacks on calls that gather, compare and look functions up, which one line refuses: the machine without the line accepts them.

See ``test_single_checks.py``. The classes: G9 gathering, G10 maxima, G11 functions.
"""

from __future__ import annotations

import pytest

from tests.forge import Forgery
from tests.soundness.gathering_lies import FIRST_EARLIER, LIES, calls_row, g9_elements_of_nobody
from tests.soundness.moving_forging import (
    APPLIES,
    ARGUMENTS,
    CALL,
    COMPARED,
    EIGHTS,
    FIRST,
    FUNCTION,
    GATHERS,
    IMPORTED,
    IMPORTS,
    LEAST,
    MADE,
    MAXIMA,
    OTHER,
    OTHER_FUNCTION,
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
from tests.soundness.proven import CHOSEN, verdict
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import A1, TWO_16, export_lane, list_at, operand, padding_row, put, vector_of
from zkvm.errors import RejectReason
from zkvm.riscv.machine import machine
from zkvm.riscv.vm.assemble import VECTORS
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.prover.preprocessed import commit_preprocessed

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
    list_at(forged, calls_row(forged, "applies"), OTHER_FUNCTION)
    other_function(forged)
    return forged, f"{CALL}: channel list"


def g11_another_operation_applies() -> Forged:
    forged = all_kinds()
    forged.write(CALL, calls_row(forged, "imports"), applied=1, x=VECTORS)
    list_at(forged, calls_row(forged, "imports"), FUNCTION)
    row = forged.copy_row(APPLIES, 0)
    forged.write(APPLIES, row, tensor=IMPORTED)
    applied(forged, row, [8] * 8, [8] * 8)
    return forged, f"{CALL}: vectors that a function is applied to"


FORGERIES: tuple[Attack, ...] = (
    *LIES,
    g10_smaller_than_an_element,
    g10_smaller_than_the_largest_before,
    g10_not_attained,
    g10_the_first_is_larger,
    g10_a_vector_of_nobody,
    g10_the_last_too_early,
    g10_the_last_too_late,
    g10_other_taps_for_the_next,
    g10_another_vector_next,
    g10_a_maximum_of_less_is_served,
    g10_the_call_itself,
    g10_fewer_taps_than_the_descriptor_says,
    g10_another_operation_compares,
    g11_another_entry,
    g11_an_argument_without_an_entry,
    g11_an_argument_of_nobody,
    g11_padding_serves,
    g11_the_call_itself,
    g11_another_function_than_the_descriptor_says,
    g11_another_operation_applies,
)
PROVEN = (g9_elements_of_nobody, g10_the_last_too_early, g11_another_entry)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


# --- constants -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["patterns.place0", "functions.entry1"])
def test_g9_other_patterns_or_functions(column: str) -> None:
    """In the prover's own tables: nothing but the root in the image ID refuses them."""
    forged = gathering() if column.startswith("patterns") else applying()
    if column.startswith("patterns"):
        forged[column][0] = 2
        forged.write(GATHERS, 0, place0=2)
        gathered(forged, 0, {0: FIRST[0][1]})
    else:
        row = (ARGUMENTS[0][1] - LEAST) // 4
        assert (ARGUMENTS[0][1] - LEAST) % 4 == 1
        forged[column][row] = 77
        for number, vector in enumerate(ARGUMENTS):
            y = vector_of(forged, APPLIES, number, "y")
            applied(forged, number, vector, [77 if x == ARGUMENTS[0][1] else value for x, value in zip(vector, y, strict=True)])
    assert forged.refusals() == set()
    columns = preprocess(machine(), forged.image)
    name = column.split(".")[0]
    columns[name] = forged.tables[name].pre
    own = commit_preprocessed(machine(), columns, CHOSEN.blowup)
    assert verdict(forged, tables=own) is RejectReason.MERKLE
    assert verdict(forged, tables=own, believed=True) is None
