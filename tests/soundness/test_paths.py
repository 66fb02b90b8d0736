"""No path closes on itself: proven from the constraints, for every value of every cell that is no bit.

Rows of a call are on a path because buses balance; a circle of rows would balance without a call. A circle comes back to each number in its
tuples. So in each row that moves on some number grows by one, and no row takes it back: with fewer rows than p nothing comes back. The
paths of states, words of memory, zero words and chains have an order that is range-checked instead, and those between segments the order of
these.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.soundness.polynomials import Polynomial, plus, substitute
from tests.soundness.test_padding import CHIPS, differences, settings
from zkvm.riscv.chips.buses import CHAIN, MEMORY, SEGMENT_STATE, SEGMENT_WORD, STATE, ZERO_LIST
from zkvm.riscv.chips.tensor.digesting import DigestChip
from zkvm.stark.air.builder import BusBuilder, Pair
from zkvm.stark.air.chip import Chip
from zkvm.stark.air.columns import Row
from zkvm.stark.field.goldilocks import P

ORDERED = {STATE, MEMORY, ZERO_LIST, CHAIN, SEGMENT_STATE, SEGMENT_WORD}
Steps = dict[str, tuple[tuple[int, ...], ...]]
STEPS: Steps = {
    "tensor_import: path": ((1, 1),),
    "tensor_words: path": ((3, 1),),
    "tensor_tiles: tiles": ((1, 1),),
    "tensor_products: path": ((3, 1),),
    **{f"tensor_wide_products: path of {down} {right}": ((3, 1),) for down in (0, 1) for right in (0, 1)},
    "tensor_results: path": ((3, 1),),
    "tensor_gather: path": ((1, 1),),
    "tensor_maxima: path": ((1, 1), (2, -1)),  # the next result, or the next vector of one
    "tensor_apply: path": ((1, 1),),
    "tensor_combine: path": ((1, 1),),
    "tensor_digest: path": ((1, -1),),
    **{f"tensor_absorb{kind}: path": ((1, -1, 2, -1),) for kind in ("", "_bytes")},  # of both kinds together there is one left less
    "tensor_depthwise: path": ((1, 1, 3, -1), (2, -1)),  # a channel further in what is made and in what is left, or a window
    "blake3_words: path": ((1, 1),),
    **{f"blake3_mixing: path of {word}": ((2, 1),) for word in ("a", "b", "c", "d", "first", "second")},
}
"""What grows with each row, or falls: place in the tuple, and by how much, or several of both, which are added. Of two the second one
counts where the first stands still."""
ENDS = {
    *(f"tensor_call: {name} path" for name in ("import", "words", "tile", "gather", "maximum", "apply", "digest")),
    "tensor_absorb_call: path",
    "tensor_combine_call: path",
    *(f"tensor_tiles: {label}" for label in ("taps", "results of half 0", "results of half 1")),
    "tensor_combine: result",
    "tensor_depthwise_call: path",
    *(f"tensor_depthwise: result of block {block}" for block in (0, 1)),
    "blake3_call: path",
    *(f"blake3_words: path of {word}" for word in ("chaining", "last", "first", "second")),
}
"""Pairs of rows that hold both ends of a path, hence one row for each: it takes back what the rows between have moved on."""


def pairs_of(chip: Chip) -> Iterator[tuple[str, Pair]]:
    """The pairs that are neither an order's nor half a pair, with their names."""
    for pair in chip.air_buses.pairs:
        if pair.receive is not None and pair.send is not None and pair.receive.bus not in ORDERED:
            yield f"{chip.name}: {pair.label}", pair


def closing(chip: Chip, steps: Steps) -> list[str]:
    """Which pairs move something on, and not what has to grow, in some setting of the bits. Each moves in some."""
    found, moving = [], dict.fromkeys(steps, 0)
    pairs = {name: differences(pair) for name, pair in pairs_of(chip) if name in steps}
    for setting, span in settings(chip):
        for name, parts in pairs.items():
            moved = [span.reduce(substitute(part, setting)) for part in parts]
            if any(moved):
                moving[name] += 1
                growth = [grown(moved, step) for step in steps[name]]
                found += [] if next((number for number in growth if number != 0), 0) in (1, 2) else [f"{name} in {setting}"]
    assert all(moving.values())
    return found


def grown(moved: list[Polynomial], step: tuple[int, ...]) -> int | None:
    """By how much a sum of values of the tuple grows; None if that is no number."""
    together: Polynomial = {}
    for place, sign in zip(step[::2], step[1::2], strict=True):
        together = plus(together, moved[place], sign)
    return None if any(together[monomial] for monomial in set(together) - {()}) else together.get((), 0) % P


def test_every_pair_is_a_step_or_an_end() -> None:
    firsts = (chip for chip in CHIPS.values() if chip.first is None)  # second instances have the same pairs
    assert {name for chip in firsts for name, _ in pairs_of(chip)} == set(STEPS) | ENDS
    assert not set(STEPS) & ENDS


@pytest.mark.parametrize("name", sorted({name.partition(":")[0] for name in STEPS}))
def test_no_path_closes(name: str) -> None:
    assert closing(CHIPS[name], {own: steps for own, steps in STEPS.items() if own.startswith(f"{name}:")}) == []


def test_a_row_that_goes_back_is_noticed() -> None:
    """And one that moves a vector on without counting it."""

    class Backwards(DigestChip):
        def interactions(self, buses: BusBuilder, row: Row) -> None:
            super().interactions(buses, row)
            (pair,) = buses.pairs
            assert pair.receive is not None
            assert pair.send is not None
            buses.pairs = [Pair(pair.label, pair.send, pair.receive)]

    class Uncounted(DigestChip):
        def interactions(self, buses: BusBuilder, row: Row) -> None:
            super().interactions(buses, row)
            (pair,) = buses.pairs
            assert pair.receive is not None
            assert pair.send is not None
            values = (*pair.receive.values[:2], *pair.send.values[2:])
            buses.pairs = [Pair(pair.label, pair.receive, type(pair.send)(pair.send.bus, values))]

    for wrong in (Backwards(), Uncounted()):
        ((name, _),) = pairs_of(wrong)
        assert closing(wrong, {name: STEPS[name]})
