"""G15: attacks on sums over windows, which one line refuses: the machine without the line accepts them.

See ``test_single_checks.py``; forgeries of the row of a call are in ``test_depthwise_calls.py``.
"""

from __future__ import annotations

import pytest

from tests.forge import Forgery
from tests.soundness.depthwise_forging import (
    CALL,
    MADE,
    RESULTS,
    ROWS,
    W_ID,
    WINDOWED,
    X_ID,
    Step,
    W,
    X,
    add_up,
    channel_at,
    depthwise,
    follow,
    path_of,
    read,
    walk,
)
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import descriptor_word, lane, padding_row, put, results_row, signed, vector_of
from zkvm.riscv.chips.tensor.depthwise import CONSTANT, STRIPS, SUMS_OF, WEIGHTS

VECTORS_READ = [stem for stems in STRIPS for stem in stems] + list(WEIGHTS)
NOTHING = [[0] * 8] * len(X)
FEWER, LAST, END = Step(last=0), Step(), Step(end=1)


def named(make: Attack, name: str) -> Attack:
    make.__name__ = name
    return make


# --- sums ----------------------------------------------------------------------------------------------------------------------------


def g15_another_sum(stem: str, k: int) -> Attack:
    def make() -> Forged:
        forged = depthwise()
        forged.add(ROWS, path_of(forged)[1], **{f"{stem}{k}": 640})
        follow(forged)
        return forged, f"{ROWS}: {stem}{k} is the sum"

    return named(make, f"g15_another_sum_{stem}{k}")


def g15_padding_contributes(stem: str, k: int) -> Attack:
    """Products of a row that is on no path, to the sum of a result."""

    def make() -> Forged:
        forged = depthwise()
        row = padding_row(forged, ROWS)
        place = k + 8 * SUMS_OF.index(stem)
        strip = STRIPS[0][place // 8]
        forged.write(ROWS, row, tensor=MADE, index=1, channels=2, **{f"{strip}{place % 8}": 40, "w0": 64})
        add_up(forged, row)
        for other in range(16):  # an element is read by one tap of one result
            if other != place:
                assert not forged.cell(ROWS, row, f"{SUMS_OF[other // 8]}{other % 8}")
        follow(forged)
        return forged, f"{ROWS}: {stem}{k} is 0 on padding"

    return named(make, f"g15_padding_contributes_to_{stem}{k}")


def g15_a_vector_of_nobody(stem: str) -> Attack:
    def make() -> Forged:
        forged = depthwise()
        row = path_of(forged)[3]
        put(forged, ROWS, row, stem, range(100, 108))
        add_up(forged, row)
        follow(forged)
        return forged, f"{ROWS}: vector {stem}"

    return named(make, f"g15_a_vector_of_nobody_as_{stem}")


def g15_x_elsewhere() -> Forged:
    forged = depthwise()
    row = path_of(forged)[2]
    forged.add(ROWS, row, x_left=1)
    read(forged, row)
    follow(forged)
    return forged, f"{ROWS}: windows that x is before the end"


def g15_weights_of_another_window() -> Forged:
    forged = depthwise()
    row = path_of(forged)[2]
    forged.add(ROWS, row, w_left=1)
    read(forged, row)
    follow(forged)
    return forged, f"{ROWS}: windows that w is before the end"


# --- the path ------------------------------------------------------------------------------------------------------------------------


def g15_a_window_is_left_out() -> Forged:
    """The last of the first channel, which the second has besides its own."""
    forged = depthwise(2)
    walk(forged, [LAST, FEWER, FEWER, END])
    return forged, f"{ROWS}: the last has no windows behind it"


def g15_a_channel_is_left_out() -> Forged:
    forged = depthwise(4, windows=1, exported=[0, *range(2, 8)])
    walk(forged, [END, LAST, LAST, END])
    return forged, f"{ROWS}: the end has no channels behind it"


def g15_a_channel_of_fewer_windows() -> Forged:
    forged = depthwise(2)
    walk(forged, [FEWER, Step(windows=1), END])
    return forged, f"{ROWS}: windows of the next channel"


def g15_blocks_of_other_channels() -> Forged:
    """A result has two vectors, the second one without the first channel's products, and others have none."""
    forged = depthwise(4, windows=1, exported=[0, 1, 2, 3, 5])
    walk(forged, [LAST, Step(end=1, channels=1), Step(end=1, channels=3), LAST])
    return forged, f"{ROWS}: back to all channels"


def three_blocks() -> Forgery:
    """A run of four; the descriptor and the call say three."""
    forged = depthwise(4, windows=1, exported=[0, 1, 2, 3])
    descriptor_word(forged, WINDOWED, 1, 3)
    forged.write(CALL, 0, blocks=3, results=6)
    return forged


def g15_one_block_and_a_half() -> Forged:
    """Behind two channels one is left, and the path ends where an odd number of blocks does."""
    forged = three_blocks()
    walk(forged, [LAST, Step(end=1, channels=1), END])
    return forged, f"{ROWS}: back to all channels"


def g15_the_end_before_the_last() -> Forged:
    """With one channel a pair has two results of one number more; what the first window adds to the other one is zero."""
    forged = depthwise(2, 1, 2, (6, 0, 0), x=[*NOTHING[:7], *X[7:]], exported=[1])
    walk(forged, [Step(last=0, end=1), LAST])
    return forged, f"{ROWS}: only the last is the end"


def g15_padding_ends_a_channel() -> Forged:
    """Its only window has no row, and the next channel has one more."""
    forged = depthwise(2, windows=1)
    walk(forged, [Step(real=0), FEWER, END])
    return forged, f"{ROWS}: padding is not the last"


def g15_two_windows_at_once() -> Forged:
    """A row that is real twice takes two steps, and its sums must be 0: the window behind it is left out."""
    w = [[0] * 8 if v in (8, 9) else vector for v, vector in enumerate(W)]
    forged = depthwise(2, 1, 3, (1, 0, 0), w=w)
    walk(forged, [Step(last=0, real=2), END])
    return forged, f"{ROWS}: real is boolean"


def g15_two_channels_at_once() -> Forged:
    """The second of them takes the sum of a channel that is not there, which is 0."""
    forged = depthwise(2, 3, 1, (0, 1, 2))
    walk(forged, [Step(last=2), FEWER, END])
    return forged, f"{ROWS}: last is boolean"


def g15_an_end_that_counts_twice() -> Forged:
    """Twice as many channels are left behind it, and the blocks overlap."""
    forged = depthwise(6, 1, 1, (0, 1, 2), exported=[0, 1, 3, 4, 5])
    walk(forged, [Step(end=2), LAST, END])
    return forged, f"{ROWS}: end is boolean"


FORGERIES: tuple[Attack, ...] = (
    *(g15_another_sum(stem, k) for stem in SUMS_OF for k in range(8)),
    *(g15_padding_contributes(stem, k) for stem in SUMS_OF for k in range(8)),
    *map(g15_a_vector_of_nobody, VECTORS_READ),
    g15_x_elsewhere,
    g15_weights_of_another_window,
    g15_a_window_is_left_out,
    g15_a_channel_is_left_out,
    g15_a_channel_of_fewer_windows,
    g15_blocks_of_other_channels,
    g15_one_block_and_a_half,
    g15_the_end_before_the_last,
    g15_padding_ends_a_channel,
    g15_two_windows_at_once,
    g15_two_channels_at_once,
    g15_an_end_that_counts_twice,
)
PROVEN = (g15_x_elsewhere, g15_a_window_is_left_out, g15_padding_ends_a_channel)
"""Proven in every run of the tests; all of them in the slow tests."""


test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


# --- what several lines refuse ---------------------------------------------------------------------------------------------------------


def places(forged: Forgery) -> set[str]:
    return {where.partition(":")[0] if where.startswith("bus") else where for where in forged.refusals()}


def test_g15_sums_of_two_results_exchanged() -> None:
    """Each result takes the sums of the other block: they are under other keys."""
    forged = depthwise()
    rows = [results_row(forged, index, MADE) for index in (0, 2)]
    sums = [vector_of(forged, RESULTS, row, "sum") for row in rows]
    assert sums[0] != sums[1]
    for row, own in zip(rows, reversed(sums), strict=True):
        for k, value in enumerate(own):
            lane(forged, row, k, value)
    assert {where for where in places(forged) if "exported" not in where} == {"bus sums"}


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("twice", [False, True])
def test_g15_a_row_left_out_or_twice(number: int, twice: bool) -> None:
    forged = depthwise(2)
    row = path_of(forged)[number]
    if twice:
        forged.copy_row(ROWS, row)
    else:
        forged.erase(ROWS, row)
    follow(forged)
    assert places(forged) == {"bus depthwise path"} | ({"bus out path"} if number % 2 else set())


OTHERS = {
    "x_tensor": W_ID - X_ID,
    "w_tensor": X_ID - W_ID,
    "w_end": -2,
    "span": -1,
    "windows": 1,
}
"""What is added to a constant of a row; 1 to the others."""


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", CONSTANT)
def test_g15_a_row_of_another_constant(name: str, last: bool) -> None:
    """What the call says goes from row to row: one that takes something else hands it on."""
    forged = depthwise(windows=1 if last else 2)
    row = path_of(forged)[0]
    forged.add(ROWS, row, **{name: OTHERS.get(name, 1)})
    cell = {key: signed(forged.cell(ROWS, row, key)) for key in ("left", "channels_left", "windows", "x_step")}
    renewed = cell["windows"] if last else 0
    forged.write(ROWS, row, x_left=cell["left"] * cell["x_step"], w_left=cell["channels_left"] * cell["windows"], renewed=renewed)
    read(forged, row)
    if last and name in ("low", "span", "limit", "channels", "channel_end"):
        told_results(forged, row, name)
    follow(forged)
    unlisted = {"tensor_results: channel"} if name == "limit" and last else set()
    assert {where for where in places(forged) if "exported" not in where} == {"bus depthwise path"} | unlisted


def told_results(forged: Forgery, row: int, name: str) -> None:
    """The results of a last row have the names, channels and bounds that it says."""
    index, channels, end, left = (signed(forged.cell(ROWS, row, key)) for key in ("index", "channels", "channel_end", "channels_left"))
    old = channels - (name == "channels")
    for before, after in ((index, index), (index + old, index + channels)):
        made = results_row(forged, before, MADE)
        if name in ("low", "span", "limit"):
            forged.write(RESULTS, made, **{name: signed(forged.cell(ROWS, row, name))})
        else:
            forged.write(RESULTS, made, index=after, tile=after, **channel_at(forged, end - left))


@pytest.mark.parametrize("name", ["index", "left", "channels_left"])
def test_g15_a_row_elsewhere(name: str) -> None:
    """A row is where the one before says, and not where it would like to be."""
    forged = depthwise(steps=(1, 1, 2))
    row = path_of(forged)[0]
    forged.add(ROWS, row, **{name: 1})
    left, channels_left, windows, step = (forged.cell(ROWS, row, key) for key in ("left", "channels_left", "windows", "x_step"))
    forged.write(ROWS, row, x_left=left * step, w_left=channels_left * windows)
    read(forged, row)
    follow(forged)
    assert forged.refusals() == {"bus depthwise path"}


RESULT_OTHERS = {"channel": 1, "low": 1, "span": -1, "limit": 1, "index": 6, "tensor": X_ID - MADE, "tile": 1, "half": 1, "high1": 1}


@pytest.mark.parametrize("name", RESULT_OTHERS)
def test_g15_a_result_of_its_own(name: str) -> None:
    """Another channel, bound or name than the row of the sum says. All sums are 0, so their keys do not matter."""
    forged = depthwise(x=NOTHING)
    row = results_row(forged, 0, MADE)
    forged.add(RESULTS, row, **{name: RESULT_OTHERS[name]}, **({"high0": -1} if name == "high1" else {}))
    if name == "channel":
        forged.write(RESULTS, row, **channel_at(forged, forged.cell(RESULTS, row, name)))
    for k in range(8):
        lane(forged, row, k)
    unlisted = {"tensor_results: channel"} if name == "limit" else set()
    assert {where for where in places(forged) if "exported" not in where} == {"bus out path"} | unlisted


def test_g15_an_odd_number_of_blocks() -> None:
    """The path never stops between both blocks of a pair: the second one is as much on it as the first."""
    forged = three_blocks()
    walk(forged, [LAST, END, LAST])
    assert places(forged) == {"bus depthwise path"}
