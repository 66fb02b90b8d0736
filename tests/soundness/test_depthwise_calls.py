"""G15: the row of a call with windows: what it reads, when, and within which bounds. One line refuses each of these.

See ``test_single_checks.py``; forgeries of the rows of windows are in ``test_depthwise_forgeries.py``, what several lines refuse in
``test_depthwise_several_lines.py``.
"""

from __future__ import annotations

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import bounds
from tests.soundness.depthwise_forging import (
    CALL,
    LIST,
    LIST_AT,
    MADE,
    RESULTS,
    ROWS,
    UNIT,
    W_AT,
    W_ID,
    WINDOWED,
    X_AT,
    X_ID,
    Step,
    W,
    X,
    bounded,
    depthwise,
    everywhere,
    held,
    path_of,
    read,
    too_many_windows,
    walk,
)
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import (
    A0,
    A1,
    A2,
    A7,
    DESCRIPTOR_BYTES,
    FULL,
    TWO_16,
    TWO_32,
    Program,
    apart,
    descriptor_word,
    id_of,
    operand,
    results_row,
    vector_of,
)
from zkvm.riscv.chips.tensor.depthwise_call import WORDS
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.isa.tensors import DEPTHWISE, EXPORT, IMPORT, SCALED_DEPTHWISE, WINDOW_PRODUCTS, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, RODATA
from zkvm.stark.field.goldilocks import P

LABELS = {number: name.replace("_", " ") for name, (number, _) in WORDS.items()} | {0: "operation", 10: "limit"}
HONEST = [Step(last=0), Step(), Step(last=0), Step(end=1)]
"""A pair of two channels of two windows."""

# --- the descriptor ------------------------------------------------------------------------------------------------------------------


def g15_another_word(number: int) -> Attack:
    """The run of one descriptor is given out for that of another."""

    def make() -> Forged:
        forged = depthwise(scaled=number == 10)
        descriptor_word(forged, WINDOWED, number, {0: SCALED_DEPTHWISE, 10: UNIT // 2}.get(number, 0))
        return forged, f"{CALL}: {LABELS[number]}"

    make.__name__ = f"g15_another_word_{number}"
    return make


def g15_an_operation_that_does_not_exist() -> Forged:
    """Bits from 8 on of the operation are for variants to come."""
    forged = depthwise()
    descriptor_word(forged, WINDOWED, 0, DEPTHWISE + (1 << 8))
    return forged, f"{CALL}: operation"


def g15_blocks(number: int) -> Attack:
    """Fewer or more than are made."""

    def make() -> Forged:
        forged = depthwise()
        descriptor_word(forged, WINDOWED, 1, number)
        forged.write(CALL, 0, blocks=number)
        return forged, f"{CALL}: vectors of the result"

    make.__name__ = f"g15_{number}_blocks"
    return make


def g15_x_from_elsewhere() -> Forged:
    forged = depthwise()
    forged.add(CALL, 0, x_over=1)
    everywhere(forged, x_end=forged.cell(ROWS, 0, "x_end") + 1)
    return forged, f"{CALL}: x over the windows"


def g15_weights_from_elsewhere() -> Forged:
    forged = depthwise()
    forged.add(CALL, 0, rows=1)
    everywhere(forged, w_end=forged.cell(ROWS, 0, "w_end") + 2)
    return forged, f"{CALL}: windows of all channels"


def g15_another_list(scaled: bool) -> Attack:
    """Channels from the one behind the first on."""

    def make() -> Forged:
        forged = depthwise(2, scaled=scaled)
        forged.add(CALL, 0, list_start=1)
        for row in path_of(forged):
            forged.add(ROWS, row, channel_end=1)
        walk(forged, HONEST)
        if scaled:  # the table of channels has a row for the one that is behind, instead of the first
            row, last = (forged.row("tensor_channels", index=len(W) + LIST_AT + k) for k in (0, 1))
            lanes = held(forged, W_ID, len(W) + LIST_AT + 2)
            cells = {"index": forged.cell("tensor_channels", last, "index") + 1, "bias_low": lanes[0], "bias_high": lanes[1]}
            scale, step = (forged.cell("tensor_channels", last, name) for name in ("scale", "step"))
            cells |= {"factor": lanes[2], "bias": (lanes[0] + TWO_16 * lanes[1]) * step, "multiplier": lanes[2] * scale}
            forged.write("tensor_channels", row, **cells)
        return forged, f"{CALL}: first channel"

    make.__name__ = f"g15_another_list_{'of_vectors' if scaled else 'of_the_image'}"
    return make


def g15_the_images_channels_for_private_ones() -> Forged:
    """Both have one limit."""
    forged = depthwise(2, scaled=True)
    forged.write(CALL, 0, list_start=CHANNELS // 16)
    for row in path_of(forged):
        forged.write(ROWS, row, channel_end=CHANNELS // 16 + 2)
    walk(forged, HONEST)
    for row in range(forged.tables["tensor_channels"].used):
        forged.erase("tensor_channels", row)
    return forged, f"{CALL}: first channel"


def g15_channels(number: int) -> Attack:
    """Of no block: the executor refuses the call, and so must the machine."""

    def make() -> Forged:
        forged = depthwise(0)
        descriptor_word(forged, WINDOWED, 2, number)
        forged.write(CALL, 0, channels=number, rows=2 * number)
        return forged, f"{CALL}: 1 to 2^16 channels"

    make.__name__ = f"g15_{number}_channels"
    return make


def g15_windows(number: int) -> Attack:
    """Of no block. Where nothing is rescaled, the limit is any element of the field, so their product may be 15."""

    def make() -> Forged:
        forged = depthwise(0)
        descriptor_word(forged, WINDOWED, 3, number)
        cells = {"windows": number, "rows": 2 * number, "x_over": 3 * number, "limit": pow(number, -1, P)}
        forged.write(CALL, 0, **cells, products=WINDOW_PRODUCTS, room_low=(TWO_32 - WINDOW_PRODUCTS) % TWO_16)
        return forged, f"{CALL}: 1 to 2^16 windows"

    make.__name__ = f"g15_{number}_windows"
    return make


# --- bounds --------------------------------------------------------------------------------------------------------------------------


def g15_bounds_in_disorder() -> Forged:
    """hi = lo - 1: every sum may be called larger than the one or smaller than the other."""
    forged = depthwise()
    bounded(forged, bounds(5, 4))
    return forged, f"{CALL}: bounds are in order"


def g15_a_least_result_below_2_16() -> Forged:
    """hi = lo - 2, but a unit of hi is counted with lo: results from lo - 2^16 on, which are no int16."""
    forged = depthwise()
    bounded(forged, bounds(5, 3), -1)
    return forged, f"{CALL}: least result"


TOO_MANY = WINDOW_PRODUCTS * 2 << 29


def g15_too_large_a_limit() -> Forged:
    return too_many_windows(WINDOW_PRODUCTS * 2 * UNIT), f"{CALL}: 15 windows limit"


def g15_products_without_a_bound() -> Forged:
    return too_many_windows(TOO_MANY), f"{CALL}: 2^32 - 15 windows limit: high limb"


def g15_products_whose_room_has_a_large_limb() -> Forged:
    return too_many_windows(TOO_MANY, TWO_32 - TOO_MANY), f"{CALL}: 2^32 - 15 windows limit: low limb"


# --- operands ------------------------------------------------------------------------------------------------------------------------


def g15_weights_of_the_call_itself(large: bool) -> Attack:
    """Of elements that are zeros, so that results are what the biases say."""

    def make() -> Forged:
        forged = depthwise(2, 1, 1, (0, 0, 0), x=[[0] * 8] * len(X))
        (row,) = path_of(forged)
        operand(forged, WINDOWED, A2, MADE)
        descriptor_word(forged, WINDOWED, 6, 0)
        forged.write(CALL, 0, second_low=-1 if large else TWO_16 - 1, w=0)
        forged.write(ROWS, row, w_tensor=MADE, w_end=4)
        read(forged, row)
        return forged, f"{CALL}: second operand is earlier: {'low' if large else 'high'} limb"

    make.__name__ = f"g15_weights_of_the_call_itself{'_with_a_large_limb' if large else ''}"
    return make


def g15_x_of_a_later_call(large: bool) -> Attack:
    """Two calls make their tensors from one another: zeros. A tensor of windows is too short to be made of itself."""

    def make() -> Forged:
        listed = [(0, UNIT, UNIT)]
        first, second = id_of(2), id_of(3)
        words = (1, 1, 0, 0, 0, 0, CHANNELS, FULL, 0, 0)
        made = [
            (Descriptor(IMPORT, 6), 0, 0),
            (Descriptor(IMPORT, 2), 0, 0),
            (Descriptor(DEPTHWISE, 2, *words), X_ID, W_ID),
            (Descriptor(DEPTHWISE, 4, *words), X_ID, first),
            (Descriptor(EXPORT, 4, 8, 0, 0, 1), second, DATA),
        ]
        forged = Program(made, [], listed, [[0] * 8] * 6 + [[7] * 8] * 2, [0] * 32).forged()
        operand(forged, WINDOWED, A1, second)
        less = first - second - 1
        forged.write(CALL, 0, first_low=less if large else less % TWO_16)
        (row,) = path_of(forged, first)
        forged.write(ROWS, row, x_tensor=second)
        return forged, f"{CALL}: first operand is earlier: {'low' if large else 'high'} limb"

    make.__name__ = f"g15_x_of_a_later_call{'_with_a_large_limb' if large else ''}"
    return make


def g15_an_operand_without_blocks() -> Forged:
    """Nothing is read, but the operand does not come before."""
    forged = depthwise(0)
    operand(forged, WINDOWED, A2, MADE)
    forged.write(CALL, 0, a2=MADE, second_low=TWO_16 - 1)
    return forged, f"{CALL}: second operand is earlier: high limb"


# --- registers -----------------------------------------------------------------------------------------------------------------------


def g15_a_first_operand_of_its_own() -> Forged:
    """The call reads in a1 what it leaves there, how many results were above its bounds, and that is the handle of the other import."""
    other = {"a1": W_ID, "first_low": MADE - W_ID - 1, "x_tensor": W_ID}
    forged = cutting(other, above=W_ID)
    apart(forged, CALL, 0, "a1")
    everywhere(forged, **other)
    assert forged.cell(CALL, 0, "cut_above") == W_ID
    return forged, f"{CALL}: a1 is later"


def g15_a_second_operand_of_its_own() -> Forged:
    """Likewise in a2, with those below its bounds."""
    other = {"a2": X_ID, "second_low": MADE - X_ID - 1, "w_tensor": X_ID}
    forged = cutting(other, below=X_ID)
    apart(forged, CALL, 0, "a2")
    everywhere(forged, **other)
    assert forged.cell(CALL, 0, "cut_below") == X_ID
    return forged, f"{CALL}: a2 is later"


def cutting(cells: dict[str, int], above: int = 0, below: int = 0) -> Forgery:
    """An honest run with such bounds that so many results would be cut if the call and its rows had these cells."""
    for steps in ((3, 1, 2), (2, 1, 2), (1, 1, 2), (1, 2, 1)):
        forged = depthwise(steps=steps)
        everywhere(forged, **cells)
        rows = range(forged.tables[RESULTS].used)
        made = sorted(x for row in rows if forged.cell(RESULTS, row, "real") for x in vector_of(forged, RESULTS, row, "x"))
        low, high = made[below] if below else -(2**15), made[-above - 1] if above else 2**15 - 1
        if (sum(x < low for x in made), sum(x > high for x in made)) == (below, above):  # else some are equal
            return depthwise(steps=steps, limits=bounds(low, high))
    raise AssertionError("no such bounds")


def g15_a_call_of_its_own() -> Forged:
    """The program makes another system call."""
    forged = depthwise()
    written = apart(forged, CALL, 0, "a7")
    row = forged.row("add_immediate", t=written - opcodes.TIME_STEP + 1)
    imm = calls.WRITE.number - forged.cell("add_immediate", row, "v1")
    forged.program(forged.cell("add_immediate", row, "pc"), imm=imm % TWO_32)
    forged.write("add_immediate", row, imm=imm % TWO_32, vd=calls.WRITE.number, vd_low=calls.WRITE.number)
    forged.pass_on(A7, written, calls.WRITE.number)
    return forged, f"{CALL}: a7 is later"


def g15_a_descriptor_that_is_named_later() -> Forged:
    """The address that the program loads after the call."""
    other = Descriptor(DEPTHWISE, 2, 2, 2, 16 * X_AT, 3, 16 * W_AT, 1, CHANNELS + 16 * LIST_AT, FULL, 0, 2)
    made = id_of(3)
    made_calls = [
        (Descriptor(IMPORT, len(X)), 0, 0),
        (Descriptor(IMPORT, len(W)), 0, 0),
        (other, X_ID, W_ID),
        (other._replace(y_stride=4), X_ID, W_ID),
        (Descriptor(EXPORT, 4, 8, 0, 0, 1), made, DATA),
    ]
    address = RODATA + DESCRIPTOR_BYTES * WINDOWED
    forged = Program(made_calls, [], LIST, X + W, [0] * 32, last=[("la", "a0", address)]).forged()
    row = forged.row(CALL, t=opcodes.TIME_STEP * made)
    time, before, own = (forged.cell(CALL, row, name) for name in ("t", "t_a0", "a0"))
    later = time + 3 * opcodes.TIME_STEP - 1  # of the second of two instructions
    assert own != address
    consumes(forged, A0, later, made, time)
    consumes(forged, A0, time, own, before)
    everywhere(forged, row, made, a0=address, t_a0=later, third=other.y_stride)
    return forged, f"{CALL}: a0 is later"


def consumes(forged: Forgery, register: int, time: int, value: int, previous: int) -> None:
    """Who consumes what was produced at a time consumes another value, of another time."""
    chip, row, pair = forged.consumer(register, time)
    assert pair.receive is not None
    for expr, cell in zip(pair.receive.values[1:], (value, previous), strict=True):
        forged.tables[chip].main[expr.index, row] = cell


def g15_another_instruction() -> Forged:
    forged = depthwise()
    forged.program(forged.cell(CALL, 0, "pc"), imm=1)
    return forged, f"{CALL}: instruction"


def g15_rows_without_a_call() -> Forged:
    """A row without a flag that has blocks: anybody's tensor, of constants."""
    forged = depthwise(2, constant=True)
    nobody = MADE + 1
    row = forged.copy_row(CALL, 0)
    time = opcodes.TIME_STEP * nobody
    times = dict.fromkeys(("t", "t_a0", "t_a1", "t_a2", "t_a7"), time)
    forged.write(CALL, row, listed=0, a0=nobody, **times)
    for own in path_of(forged):
        forged.write(ROWS, forged.copy_row(ROWS, own), tensor=nobody)
    for index in range(4):
        forged.write(RESULTS, forged.copy_row(RESULTS, results_row(forged, index, MADE)), tensor=nobody)
    return forged, f"{CALL}: padding has no blocks"


DESCRIPTOR_LIES: tuple[Attack, ...] = (
    *map(g15_another_word, LABELS),
    g15_an_operation_that_does_not_exist,
    *map(g15_blocks, (2, 6)),
    g15_x_from_elsewhere,
    g15_weights_from_elsewhere,
    *map(g15_another_list, (False, True)),
    g15_the_images_channels_for_private_ones,
    *map(g15_channels, (0, (1 << 16) + 1, TWO_32 - 1)),
    *map(g15_windows, ((1 << 16) + 1, TWO_32 - 1)),
    g15_bounds_in_disorder,
    g15_a_least_result_below_2_16,
    g15_too_large_a_limit,
    g15_products_without_a_bound,
    g15_products_whose_room_has_a_large_limb,
)
OPERAND_LIES: tuple[Attack, ...] = (
    *map(g15_weights_of_the_call_itself, (False, True)),
    *map(g15_x_of_a_later_call, (False, True)),
    g15_an_operand_without_blocks,
    g15_a_first_operand_of_its_own,
    g15_a_second_operand_of_its_own,
    g15_a_call_of_its_own,
    g15_a_descriptor_that_is_named_later,
    g15_another_instruction,
    g15_rows_without_a_call,
)
FORGERIES = DESCRIPTOR_LIES + OPERAND_LIES
PROVEN = (g15_a_first_operand_of_its_own, g15_rows_without_a_call)
"""Proven in every run of the tests; all of them in the slow tests."""


test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)
