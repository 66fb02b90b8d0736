"""G12: the row of an elementwise call: what it reads, when, and within which bounds. One line refuses each of these.

See ``test_single_checks.py``; forgeries of the rows of sums are in ``test_combining_forgeries.py``.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import bounds
from tests.soundness.combining_forging import (
    CALL,
    COMBINED,
    FACTORS,
    FIRST,
    FIRST_ID,
    MADE,
    ROWS,
    SECOND,
    SECOND_ID,
    bounded,
    combining,
    everywhere,
    follow,
    lay_out,
    path_of,
    too_large_a_weight,
)
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import (
    A0,
    A1,
    A2,
    A7,
    DESCRIPTOR_BYTES,
    FULL,
    IMPORTED,
    LAYER,
    QUARTER,
    TWO_16,
    TWO_32,
    Program,
    apart,
    descriptor_word,
    id_of,
    layer,
    lie,
    operand,
    put,
    results_row,
    vector_of,
)
from zkvm.riscv.chips.tensor.combine_call import WORDS
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.isa.tensors import COMBINE, EXPORT, IMPORT, MULTIPLY, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, RODATA, VECTORS

RESULTS = "tensor_results"

# --- the descriptor ------------------------------------------------------------------------------------------------------------------


def g12_another_word(number: int) -> Attack:
    """The run of one descriptor is given out for that of another."""

    def make() -> Forged:
        forged = combining(steps=3, strides=(4, 3, 3))
        label = ("operation", *(name.replace("_", " ") for name in WORDS), "steps")[number]
        descriptor_word(forged, COMBINED, number, {0: MULTIPLY, 13: 0}.get(number, 1))
        return forged, f"{CALL}: {label}"

    make.__name__ = f"g12_another_word_{number}"
    return make


def g12_an_operation_that_does_not_exist() -> Forged:
    """Bits from 8 on of the operation are for variants to come."""
    forged = combining()
    descriptor_word(forged, COMBINED, 0, COMBINE + (1 << 8))
    return forged, f"{CALL}: operation"


def g12_steps_that_mean_nothing() -> Forged:
    forged = combining(steps=3)
    descriptor_word(forged, COMBINED, 13, 7)
    return forged, f"{CALL}: steps"


def g12_fewer_vectors_than_the_descriptor_says() -> Forged:
    """Strides of 0: after each block all operands are where they were."""
    forged = combining(blocks=1, strides=(0, 0, 0))
    descriptor_word(forged, COMBINED, 1, 2)
    forged.write(CALL, 0, blocks=2)
    return forged, f"{CALL}: vectors of the result"


def g12_more_vectors_than_the_descriptor_says() -> Forged:
    forged = combining(blocks=2, strides=(0, 0, 0))
    descriptor_word(forged, COMBINED, 1, 1)
    forged.write(CALL, 0, blocks=1)
    return forged, f"{CALL}: vectors of the result"


def g12_channels(number: int) -> Attack:
    """Of no block: the executor refuses the call, and so must the machine."""

    def make() -> Forged:
        forged = combining(blocks=0)
        descriptor_word(forged, COMBINED, 2, number)
        forged.write(CALL, 0, channels=number, w_block=number)
        return forged, f"{CALL}: 1 to 2^16 channels"

    make.__name__ = f"g12_{number}_channels"
    return make


# --- bounds --------------------------------------------------------------------------------------------------------------------------


def g12_bounds_in_disorder() -> Forged:
    """hi = lo - 1: every sum may be called larger than the one or smaller than the other, and some may be called both."""
    forged = combining()
    bounded(forged, bounds(5, 4))
    return forged, f"{CALL}: bounds are in order"


def g12_a_least_result_below_2_16() -> Forged:
    """hi = lo - 2, but a unit of hi is counted with lo: results from lo - 2^16 on, which are no int16."""
    forged = combining()
    bounded(forged, bounds(5, 3), -1)
    return forged, f"{CALL}: least result"


def g12_a_weight_whose_room_has_a_large_limb() -> Forged:
    products = TWO_32 * QUARTER
    return too_large_a_weight(products, TWO_32 - products), f"{CALL}: 2^32 - (1 + weight) limit: low limb"


# --- operands ------------------------------------------------------------------------------------------------------------------------


def g12_the_call_itself_with_a_large_limb() -> Forged:
    """id - id - 1 = -1 as a low limb."""
    forged = combining(MULTIPLY, 2, 1, 0, (0, 0, 0), 0)
    operand(forged, COMBINED, A1, MADE)
    put_zeros(forged, "xy", first_low=-1, x_tensor=MADE, y_tensor=MADE)
    return forged, f"{CALL}: first operand is earlier: low limb"


def g12_the_call_itself_as_factors_with_a_large_limb() -> Forged:
    forged = combining(MULTIPLY, 3, 1, 0, (0, 0, 0), 0)
    operand(forged, COMBINED, A2, MADE)
    put_zeros(forged, "wv", second_low=-1, factors=MADE)
    return forged, f"{CALL}: second operand is earlier: low limb"


def put_zeros(forged: Forgery, stems: str, **cells: int) -> None:
    """The call and its rows say something else, and these terms are zeros."""
    forged.write(CALL, 0, **{name: value for name, value in cells.items() if name in forged.tables[CALL].chip.main})
    for row in path_of(forged):
        forged.write(ROWS, row, **{name: value for name, value in cells.items() if name in forged.tables[ROWS].chip.main})
        for stem in stems:
            put(forged, ROWS, row, stem, [0] * 8)
    follow(forged)


def g12_the_call_itself_as_second_element() -> Forged:
    """Of COMBINE the second operand is y. It counts nothing here, so the call is a function of x, which it reads besides."""
    forged = combining(COMBINE, 2, 1, 0, (0, 0, 0), 0)
    operand(forged, COMBINED, A2, MADE)
    forged.write(CALL, 0, second_low=TWO_16 - 1, y_tensor=MADE)
    for row in path_of(forged):
        forged.write(ROWS, row, y_tensor=MADE)
        put(forged, ROWS, row, "y", vector_of(forged, RESULTS, results_row(forged, 1, MADE), "x"))
    return forged, f"{CALL}: second operand is earlier: high limb"


def g12_an_operand_without_blocks() -> Forged:
    """Nothing is read, but the operand does not come before."""
    forged = combining(blocks=0)
    operand(forged, COMBINED, A2, MADE)
    forged.write(CALL, 0, a2=MADE, y_tensor=MADE, second_low=TWO_16 - 1)
    return forged, f"{CALL}: second operand is earlier: high limb"


# --- registers -----------------------------------------------------------------------------------------------------------------------


def g12_a_first_operand_of_its_own() -> Forged:
    """The call reads in a1 what it leaves there, how many results were above its bounds, and that is the handle of the other import."""
    other = {"a1": SECOND_ID, "first_low": MADE - SECOND_ID - 1, "x_tensor": SECOND_ID}
    forged = cutting(other, above=SECOND_ID)
    apart(forged, CALL, 0, "a1")
    everywhere(forged, **other)
    assert forged.cell(CALL, 0, "cut_above") == SECOND_ID
    return forged, f"{CALL}: a1 is later"


def cutting(cells: dict[str, int], above: int = 0, below: int = 0) -> Forgery:
    """An honest run with such bounds that so many results would be cut if the call and its rows had these cells."""
    for weight in (3, 2, 1, 0):
        forged = combining(weight=weight)
        everywhere(forged, **cells)
        rows = range(forged.tables[RESULTS].used)
        made = sorted(x for row in rows if forged.cell(RESULTS, row, "real") for x in vector_of(forged, RESULTS, row, "x"))
        low, high = made[below] if below else -(2**15), made[-above - 1] if above else 2**15 - 1
        if (sum(x < low for x in made), sum(x > high for x in made)) == (below, above):  # else some are equal
            return combining(weight=weight, limits=bounds(low, high))
    raise AssertionError("no such bounds")


def g12_a_second_operand_of_its_own() -> Forged:
    """Likewise in a2, with those below its bounds."""
    other = {"a2": FIRST_ID, "second_low": MADE - FIRST_ID - 1, "y_tensor": FIRST_ID}
    forged = cutting(other, below=FIRST_ID)
    apart(forged, CALL, 0, "a2")
    everywhere(forged, **other)
    assert forged.cell(CALL, 0, "cut_below") == FIRST_ID
    return forged, f"{CALL}: a2 is later"


def g12_a_call_of_its_own() -> Forged:
    """The program makes another system call."""
    forged = combining()
    written = apart(forged, CALL, 0, "a7")
    row = forged.row("add_immediate", t=written - opcodes.TIME_STEP + 1)
    imm = calls.WRITE.number - forged.cell("add_immediate", row, "v1")
    forged.program(forged.cell("add_immediate", row, "pc"), imm=imm % TWO_32)
    forged.write("add_immediate", row, imm=imm % TWO_32, vd=calls.WRITE.number, vd_low=calls.WRITE.number)
    forged.pass_on(A7, written, calls.WRITE.number)
    return forged, f"{CALL}: a7 is later"


def g12_a_descriptor_that_is_named_later() -> Forged:
    """The address that the program loads after the call."""
    words = (2, 3, 3, 16, 4, VECTORS, 3, CHANNELS + 16, FULL, 16, 1, VECTORS + 16, 2)
    other = Descriptor(COMBINE, *words)
    made = id_of(3)
    made_calls = [
        (Descriptor(IMPORT, len(FIRST)), 0, 0),
        (Descriptor(IMPORT, len(SECOND)), 0, 0),
        (other, FIRST_ID, SECOND_ID),
        (other._replace(taps=1), FIRST_ID, SECOND_ID),
        (Descriptor(EXPORT, 6, 8, 0, 0, 1), made, DATA),
    ]
    address = RODATA + DESCRIPTOR_BYTES * 2
    program = Program(made_calls, FACTORS, [(0, QUARTER, QUARTER)] * 5, FIRST + SECOND, [0] * 48, last=[("la", "a0", address)])
    forged = program.forged()
    row = forged.row(CALL, t=opcodes.TIME_STEP * made)
    time, before, own = (forged.cell(CALL, row, name) for name in ("t", "t_a0", "a0"))
    later = time + 3 * opcodes.TIME_STEP - 1  # of the second of two instructions
    assert own != address
    consumes(forged, A0, later, made, time)
    consumes(forged, A0, time, own, before)
    everywhere(forged, row, made, a0=address, t_a0=later, weight=other.taps, products=TWO_32, room_low=0)
    return forged, f"{CALL}: a0 is later"


def consumes(forged: Forgery, register: int, time: int, value: int, previous: int) -> None:
    """Who consumes what was produced at a time consumes another value, of another time."""
    chip, row, pair = forged.consumer(register, time)
    assert pair.receive is not None
    for expr, cell in zip(pair.receive.values[1:], (value, previous), strict=True):
        forged.tables[chip].main[expr.index, row] = cell


def g12_another_instruction() -> Forged:
    forged = combining()
    forged.program(forged.cell(CALL, 0, "pc"), imm=1)
    return forged, f"{CALL}: instruction"


def g12_rows_without_a_call() -> Forged:
    """A row without a flag that has blocks: anybody's tensor, of constants."""
    forged = combining(constant=True)
    nobody = MADE + 1
    row = forged.copy_row(CALL, 0)
    time = opcodes.TIME_STEP * nobody
    times = dict.fromkeys(("t", "t_a0", "t_a1", "t_a2", "t_a7"), time)
    forged.write(CALL, row, combines=0, a0=nobody, **times)
    for own in path_of(forged):
        made = results_row(forged, forged.cell(ROWS, own, "index"), MADE)
        for chip, held in ((ROWS, own), (RESULTS, made)):
            forged.write(chip, forged.copy_row(chip, held), tensor=nobody)
    return forged, f"{CALL}: padding has no blocks"


DESCRIPTOR_LIES: tuple[Attack, ...] = (
    *map(g12_another_word, range(len(WORDS) + 2)),
    g12_an_operation_that_does_not_exist,
    g12_steps_that_mean_nothing,
    g12_fewer_vectors_than_the_descriptor_says,
    g12_more_vectors_than_the_descriptor_says,
    *map(g12_channels, (0, (1 << 16) + 1, TWO_32 - 1)),
    g12_bounds_in_disorder,
    g12_a_least_result_below_2_16,
    g12_a_weight_whose_room_has_a_large_limb,
)
OPERAND_LIES: tuple[Attack, ...] = (
    g12_the_call_itself_with_a_large_limb,
    g12_the_call_itself_as_factors_with_a_large_limb,
    g12_the_call_itself_as_second_element,
    g12_an_operand_without_blocks,
    g12_a_first_operand_of_its_own,
    g12_a_second_operand_of_its_own,
    g12_a_call_of_its_own,
    g12_a_descriptor_that_is_named_later,
    g12_another_instruction,
    g12_rows_without_a_call,
)
FORGERIES = DESCRIPTOR_LIES + OPERAND_LIES
PROVEN = (g12_a_first_operand_of_its_own, g12_rows_without_a_call)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


# --- what several lines refuse ---------------------------------------------------------------------------------------------------------


def test_g12_another_lower_half_of_the_bounds() -> None:
    """Then the upper half is no integer: it is not in range, and its difference to one that is cannot be either."""
    forged = combining(blocks=0)
    forged.add(CALL, 0, low=1)
    assert forged.refusals() == {f"{CALL}: {line}" for line in ("greatest result", "bounds are in order")}


@pytest.mark.parametrize("name", "yw")
def test_g12_a_block_of_another_length(name: str) -> None:
    """What an operand moves over a block is what it moves over all of them: the end of the path says it again."""
    forged = combining(strides=(4, 3, 3), steps=3)
    forged.add(CALL, 0, **{f"{name}_block": -1})
    for row in path_of(forged):
        forged.add(ROWS, row, **{f"{name}_jump": 1})
    lay_out(forged, [(3, 3), (3, 3)])
    assert forged.refusals() == {f"{CALL}: {name} over the channels", "bus combine path"}


def test_g12_rows_of_two_calls_exchanged() -> None:
    """Two calls that differ in their weights: each takes a row of the other."""
    combine = Descriptor(COMBINE, 1, 2, 1, 0, 2, VECTORS, 2, CHANNELS, FULL, 0, 2, VECTORS + 32, 3)
    made = [
        (Descriptor(IMPORT, len(FIRST)), 0, 0),
        (combine, id_of(0), id_of(0)),
        (combine._replace(taps=2), id_of(0), id_of(0)),
        (Descriptor(EXPORT, 2, 8, 0, 0, 1), id_of(1), DATA),
        (Descriptor(EXPORT, 2, 8, 0, 0, 1), id_of(2), DATA + 64),
    ]
    forged = Program(made, FACTORS, [(0, QUARTER, QUARTER)] * 2, FIRST, [0] * 32).forged()
    rows = [path_of(forged, tensor)[1] for tensor in (id_of(1), id_of(2))]
    for row, tensor in zip(rows, (id_of(2), id_of(1)), strict=True):
        forged.write(ROWS, row, tensor=tensor)
    before = vector_of(forged, RESULTS, results_row(forged, 1, id_of(1)), "x")
    follow(forged, rows)
    assert vector_of(forged, RESULTS, results_row(forged, 1, id_of(1)), "x") != before
    assert forged.refusals() == {"bus combine path"}


def test_g12_a_sum_among_those_of_a_layer() -> None:
    """Under the key of a tile: a second result takes it. The row of the sum has no call, and nothing else refuses it."""
    combine = Descriptor(COMBINE, 1, 1, 0, 0, 0, VECTORS, 0, CHANNELS, FULL, 0, 0, VECTORS, 0)
    program = layer()
    forged = replace(program, calls=[*program.calls, (combine, IMPORTED, LAYER)]).forged()
    row = forged.copy_row(ROWS, path_of(forged, id_of(len(program.calls)))[0])
    forged.write(ROWS, row, tensor=LAYER)
    forged.copy_row(RESULTS, results_row(forged, 0))
    for k, u in enumerate(vector_of(forged, ROWS, row, "u")):
        lie(forged, 0, k, u)
    assert forged.refusals() == {"bus combine path"}
