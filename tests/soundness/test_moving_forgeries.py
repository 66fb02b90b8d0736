"""Attacks on calls that gather, compare and look functions up: consistent forgeries, and everything that refuses each.

The classes: G9 gathering, G10 maxima, G11 functions. Those that one line refuses, and nothing else, are in
``test_moving_single_checks.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.forge import Forgery
from tests.sample_moves import of_second
from tests.soundness.moving_forging import (
    APPLIES,
    ARGUMENTS,
    CALL,
    COMPARED,
    EIGHTS,
    ELEMENTS,
    EVEN_STAY,
    FIRST,
    FIRST_ID,
    FUNCTION,
    GATHERED,
    GATHERS,
    LEAST,
    MADE,
    MAXIMA,
    OTHER,
    OTHER_FUNCTION,
    SECOND,
    SECOND_ID,
    applied,
    applying,
    compare,
    comparing,
    descriptor_word,
    entry_of,
    follow,
    gathered,
    gathering,
    path_of,
    places,
    served,
)
from tests.soundness.tensor_forging import A1, list_at, operand, padding_row, put, vector_of
from zkvm.riscv.isa.tensors import LANES
from zkvm.stark.field.goldilocks import P

WORDS = "tensor_words"


@pytest.fixture(params=[gathering, comparing, applying], ids=lambda make: make.__name__)
def forged(request: pytest.FixtureRequest) -> Forgery:
    """A run of each kind."""
    made: Forgery = request.param()
    return made


def test_honest(forged: Forgery) -> None:
    assert forged.refusals() == set()
    assert forged.refusals(recount=False) == set()


# --- G9: gathering -------------------------------------------------------------------------------------------------------------------


def test_g9_rows_of_a_pattern_exchanged() -> None:
    """Both rows are read, each under the other's index."""
    forged = gathering()
    rows = [forged.row(GATHERS, index=index) for index in (0, 2)]
    cells = [{name: forged.cell(GATHERS, row, name) for name in ("pattern", *(f"place{k}" for k in range(8)))} for row in rows]
    elements = [vector_of(forged, GATHERS, row, "x") for row in rows]
    for row, other, values in zip(rows, reversed(cells), reversed(elements), strict=True):
        forged.write(GATHERS, row, **other)
        gathered(forged, row, dict(enumerate(values)))
    assert forged.refusals() == {"bus gather path"}


def test_g9_a_row_of_the_pattern_again() -> None:
    forged = gathering()
    first, row = (forged.row(GATHERS, index=index) for index in (0, 2))
    forged.write(
        GATHERS, row, pattern=forged.cell(GATHERS, first, "pattern"), **{f"place{k}": p for k, p in enumerate(places(forged, first))}
    )
    gathered(forged, row, dict(enumerate(vector_of(forged, GATHERS, first, "x"))))
    assert forged.refusals() == {"bus gather path"}


def test_g9_another_tensor_than_the_calls() -> None:
    """The row says that the first operand is the second."""
    forged = gathering()
    row = forged.row(GATHERS, index=2)
    forged.write(GATHERS, row, first=SECOND_ID, operand=SECOND_ID)
    gathered(forged, row, dict(enumerate(reversed(SECOND[0]))))
    assert forged.refusals() == {"bus gather path"}


def test_g9_operands_exchanged() -> None:
    """In all rows: the ends of the path are the call's."""
    forged = gathering([[1] * 8, of_second(*[9] * 8)])
    for index, value in ((0, SECOND[0][0]), (1, FIRST[1][0])):
        row = forged.row(GATHERS, index=index)
        forged.write(GATHERS, row, first=SECOND_ID, second=FIRST_ID, operand=(SECOND_ID, FIRST_ID)[index])
        gathered(forged, row, dict.fromkeys(range(LANES), value))
    for tensor, index, held in ((SECOND_ID, 0, SECOND[0]), (FIRST_ID, 1, FIRST[1])):
        row = padding_row(forged, ELEMENTS)
        forged.write(ELEMENTS, row, real=1, tensor=tensor, index=index)
        put(forged, ELEMENTS, row, "x", held)
    assert forged.refusals() == {"bus gather path"}


def test_g9_an_element_that_nobody_made() -> None:
    """Beyond the operand's end: the executor would trap."""
    forged = gathering([[1, 2, 3, 4, 5, 6, 7, 8]])
    beyond = 8 * len(FIRST) + 1
    constants = forged.image.tensors
    assert constants is not None
    patterns = constants.patterns.copy()
    patterns[0, 7] = forged["patterns.place7"][0] = beyond
    forged.image = replace(forged.image, tensors=replace(constants, patterns=patterns))
    forged.write(GATHERS, 0, place7=beyond)
    gathered(forged, 0, {7: 99})
    assert forged.refusals() == {f"{GATHERS}: element x7"}
    row = padding_row(forged, ELEMENTS)
    forged.write(ELEMENTS, row, real=1, tensor=FIRST_ID, index=3, x0=99)
    assert forged.refusals() == {f"{ELEMENTS}: vector"}


def test_g9_a_vector_of_elements_in_other_lanes() -> None:
    """A row of elements can not be turned: what it looks up has the order of what it serves."""
    forged = gathering()
    row = forged.row(ELEMENTS, tensor=FIRST_ID, index=1)
    put(forged, ELEMENTS, row, "x", [*FIRST[1][1:], FIRST[1][0]])
    gathered(forged, forged.row(GATHERS, index=0), dict.fromkeys((3, 4), FIRST[1][1]))
    assert forged.refusals() == {f"{ELEMENTS}: vector"}


def test_g9_elements_served_by_two_rows_are_the_same() -> None:
    """A vector may have two rows of elements: they say the same, and their multiplicities add up."""
    forged = gathering()
    forged.copy_row(ELEMENTS, forged.row(ELEMENTS, tensor=FIRST_ID, index=1))
    assert forged.refusals() == set()


def test_g9_a_vector_left_out_or_twice() -> None:
    forged = gathering()
    forged.erase(GATHERS, forged.row(GATHERS, index=2))
    assert forged.refusals() == {"bus gather path", f"{WORDS}: exported vector"}
    forged = gathering()
    row = forged.copy_row(GATHERS, forged.row(GATHERS, index=2))
    forged.write(GATHERS, row, pattern=forged.cell(GATHERS, forged.row(GATHERS, index=0), "pattern"))
    for k, place in enumerate(places(forged, forged.row(GATHERS, index=0))):
        forged.write(GATHERS, row, **{f"place{k}": place})
    gathered(forged, row, dict(enumerate(vector_of(forged, GATHERS, forged.row(GATHERS, index=0), "x"))))
    assert forged.refusals() == {"bus gather path"}


@pytest.mark.parametrize("make", [gathering, applying])
def test_g9_multiplicities(make: Callable[[], Forgery]) -> None:
    forged = make()
    columns = {ELEMENTS: ("zeros", "multiplicity1"), "patterns": ("multiplicity",), "functions": ("multiplicity2",)}
    for chip, names in columns.items():
        for name in names if chip in forged.tables else ():
            forged.add(chip, 0, **{name: 1})
            bus = {"patterns": "pattern", "functions": "function"}.get(chip, "element")
            assert forged.refusals(recount=False) == {f"bus {bus}"}
            forged.add(chip, 0, **{name: -1})


def test_g9_a_pattern_that_is_not_aligned() -> None:
    """The address of a row's second half: a 32nd mod p is in no table."""
    forged = gathering([[1] * 8])
    address = forged.cell(CALL, forged.row(CALL, gathers=1), "channel_list") + 16
    descriptor_word(forged, 2, 8, address)
    list_at(forged, forged.row(CALL, gathers=1), address)
    forged.write(GATHERS, 0, pattern=address * pow(32, -1, P))
    assert forged.refusals() == {f"{GATHERS}: pattern"}


# --- G10: maxima ---------------------------------------------------------------------------------------------------------------------


def test_g10_the_first_in_the_middle() -> None:
    """What was largest before is forgotten."""
    forged = comparing()
    rows = path_of(forged)
    forged.write(MAXIMA, rows[1], first=1)
    compare(forged, rows)
    assert forged.refusals() == {"bus maximum path", "bus maxima"}


def test_g10_no_first() -> None:
    """The first has something largest before it: nobody has sent it."""
    forged = comparing()
    rows = path_of(forged)
    forged.write(MAXIMA, rows[0], first=0)
    put(forged, MAXIMA, rows[0], "m", [60] * 8)
    put(forged, MAXIMA, rows[0], "y", [60] * 8)
    for row in rows[1:3]:
        put(forged, MAXIMA, row, "m", [60] * 8)
        put(forged, MAXIMA, row, "y", [60] * 8)
    served(forged, 0, [60] * 8)
    assert forged.refusals() == {"bus maximum path", "bus maxima"}


@pytest.mark.parametrize(("one", "other"), [(1, 4), (1, 2)], ids=["of another result", "of another tap"])
def test_g10_largest_before_exchanged(one: int, other: int) -> None:
    forged = comparing()
    rows = path_of(forged)
    before = [vector_of(forged, MAXIMA, rows[k], "m") for k in (one, other)]
    assert before[0] != before[1]
    for k, values in zip((one, other), reversed(before), strict=True):
        put(forged, MAXIMA, rows[k], "m", values)
    follow(forged, rows)
    assert forged.refusals() == {"bus maxima"}


def test_g10_a_tap_left_out_or_twice() -> None:
    forged = comparing()
    rows = path_of(forged)
    forged.erase(MAXIMA, rows[1])
    compare(forged, [row for row in rows if row != rows[1]])
    assert forged.refusals() == {"bus maximum path", "bus maxima"}
    forged = comparing()
    forged.copy_row(MAXIMA, path_of(forged)[1])
    assert forged.refusals() == {"bus maximum path", "bus maxima"}


def test_g10_another_vector() -> None:
    """A vector that exists, in the place of the tap's own."""
    forged = comparing()
    rows = path_of(forged)
    forged.add(MAXIMA, rows[1], operand_index=4, next_operand_index=4)
    put(forged, MAXIMA, rows[1], "x", COMPARED[5])
    compare(forged, rows)
    assert forged.refusals() == {"bus maximum path"}


def test_g10_a_step_of_its_own() -> None:
    """A result that takes its vectors in other steps, and comes back to where the next begins."""
    forged = comparing()
    rows = path_of(forged)
    for row, at, following in zip(rows[:3], (0, 2, 4), (2, 4, 2), strict=True):
        forged.write(MAXIMA, row, step=2, back=-2, operand_index=at, next_operand_index=following)
        put(forged, MAXIMA, row, "x", COMPARED[at])
    compare(forged, rows)
    assert forged.refusals() == {"bus maximum path"}


def test_g10_results_exchanged() -> None:
    forged = comparing()
    rows = path_of(forged)
    for row in rows[:6]:
        forged.write(MAXIMA, row, index=1 - forged.cell(MAXIMA, row, "index"))
    compare(forged, rows)
    assert forged.refusals() == {"bus maximum path"}


def test_g10_flags_of_padding() -> None:
    """A row that reads no vector and says that it is first and last of a result, which it would make."""
    forged = comparing()
    row = padding_row(forged, MAXIMA)
    forged.write(MAXIMA, row, first=1, last=1, tensor=MADE, index=3, left=1, multiplicity=0)
    put(forged, MAXIMA, row, "x", EIGHTS)
    put(forged, MAXIMA, row, "y", EIGHTS)
    assert {f"{MAXIMA}: padding has no first", f"{MAXIMA}: padding has no last"} <= forged.refusals()


def test_g10_no_taps() -> None:
    """A result of no vectors: its path would go once round the field."""
    forged = comparing(1, 1)
    descriptor_word(forged, 1, 3, 0)
    forged.write(CALL, forged.row(CALL, maxima=1), taps=0, products=0, back=3)
    forged.write(MAXIMA, 0, taps=0, left=0, back=3, renewed=0, next_operand_index=3)
    assert f"{MAXIMA}: the last has no taps behind it" in forged.refusals()


# --- G11: functions ------------------------------------------------------------------------------------------------------------------


def test_g11_entries_of_another_function() -> None:
    forged = applying()
    forged.write(APPLIES, 0, function=entry_of(OTHER_FUNCTION))
    applied(forged, 0, ARGUMENTS[0], [OTHER[x - LEAST] for x in ARGUMENTS[0]])
    assert forged.refusals() == {"bus apply path"}


def test_g11_a_function_that_begins_elsewhere() -> None:
    """By one entry, in all rows."""
    forged = applying()
    for row, vector in enumerate(ARGUMENTS):
        forged.write(APPLIES, row, function=entry_of(FUNCTION + 2))
        applied(forged, row, vector, [EVEN_STAY[x - LEAST + 1] for x in vector])
    assert forged.refusals() == {"bus apply path"}


def test_g11_an_odd_address() -> None:
    """Between two entries: one half mod p is in no table."""
    forged = applying()
    descriptor_word(forged, 1, 8, FUNCTION + 1)
    list_at(forged, forged.row(CALL, applies=1), FUNCTION + 1)
    for row in (0, 1):
        forged.write(APPLIES, row, function=entry_of(FUNCTION) + (P + 1) // 2)
    assert forged.refusals() == {f"{APPLIES}: entry y{k}" for k in range(LANES)}


def test_g11_padding_of_the_table() -> None:
    """Padding of the functions is entry 0 of address 0; an argument that comes there is no int16."""
    forged = applying()
    x, y = (vector_of(forged, APPLIES, 0, stem) for stem in "xy")
    applied(forged, 0, [-entry_of(FUNCTION), *x[1:]], [0, *y[1:]])
    assert forged.refusals() == {f"{APPLIES}: vector", f"{APPLIES}: entry y0"}


def test_g11_another_vector() -> None:
    forged = applying()
    forged.write(APPLIES, 1, operand_index=0)
    applied(forged, 1, ARGUMENTS[0], vector_of(forged, APPLIES, 0, "y"))
    assert forged.refusals() == {"bus apply path"}


def test_g11_a_vector_left_out_or_twice() -> None:
    forged = applying()
    forged.erase(APPLIES, 1)
    assert forged.refusals() == {"bus apply path", f"{WORDS}: exported vector"}
    forged = applying()
    row = forged.copy_row(APPLIES, 1)
    forged.write(APPLIES, row, operand_index=0)
    applied(forged, row, ARGUMENTS[0], vector_of(forged, APPLIES, 0, "y"))
    assert forged.refusals() == {"bus apply path"}


def test_g11_padding_that_steps() -> None:
    """A row that is not real takes the operand on, and the next one reads another vector."""
    forged = applying()
    row = padding_row(forged, APPLIES)
    cells = {name: forged.cell(APPLIES, 0, name) for name in ("tensor", "index", "operand", "operand_index", "stride", "function")}
    forged.write(APPLIES, row, **cells)
    forged.write(APPLIES, 0, operand_index=1)
    applied(forged, 0, ARGUMENTS[1], vector_of(forged, APPLIES, 1, "y"))
    assert forged.refusals() == {"bus apply path", f"{APPLIES}: padding has no stride"}


def test_g11_a_call_of_the_future() -> None:
    """An operand that is not earlier, alone: the register says which, and every path holds it."""
    forged = applying()
    operand(forged, 1, A1, GATHERED)
    assert forged.refusals() == {f"{CALL}: first operand is earlier: high limb", "bus apply path"}
