"""How many rows of each chip any run of a program uses that takes the same loops: whatever the sides of its other branches.

A proof shows the heights of its tables. A compiled model's loops have fixed lengths, but some of its instructions are skipped or not as the
data want it. Their counts are bounded by the program: between a branch and the place where its two ways meet again (its immediate
post-dominator), a run takes one path, and there are finitely many if no loop lies between. So from the counts of one run
follow bounds for all: of each such region, for each chip, the path that uses most rows, as often as the branch was executed. A function
without loops (software floats) has a bound itself, which its calls take over; no other calls may lie in a region.

What is not bounded this way (loops whose length depends on the data) is counted as that run did it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution, Image
from zkvm.session.blocks import Block, find_blocks
from zkvm.session.functions import with_functions
from zkvm.session.profiling import serving_chips
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol.params import MAX_HEIGHT, MIN_HEIGHT
from zkvm.stark.tables import Padding

BY_PROGRAM = "program"
"""Padding to what any run of the program may use, as far as its branches tell."""
PadTo = int | str
SHARE, LEAST = 32, 64
"""What a bound leaves free, for what is not bounded: a part of it, and so many rows. Times shift with the branches, and refresh rows with
them; some ways meet again in several places."""
STEPS_OF_TWO = 4
"""Bounds are rounded up to this many binary digits and the leading one, so that bounds of two runs that differ a little become equal."""

Rows = dict[str, int]


def check_padding(pad_to: PadTo) -> None:
    """Whether tables can be padded so: to a height, not at all (0), or by the program.

    Raises:
        UsageError: they cannot.
    """
    if isinstance(pad_to, str):
        if pad_to != BY_PROGRAM:
            raise UsageError(f"padding to {pad_to!r}: a number of rows or {BY_PROGRAM!r} is needed")
    elif pad_to and (not MIN_HEIGHT <= pad_to <= MAX_HEIGHT or pad_to & (pad_to - 1)):
        raise UsageError(f"padding to {pad_to} rows: a power of two from {MIN_HEIGHT} to {MAX_HEIGHT} is needed")


def padding(pad_to: PadTo, execution: Execution) -> Padding:
    """The padding of a whole run's tables, once the run is known."""
    return pad_to if isinstance(pad_to, int) else room(bounded_rows(execution))


def room(rows: Rows) -> Rows:
    """Bounds with what they leave free, rounded up."""
    return {name: with_room(count) if count else 0 for name, count in rows.items()}


def with_room(count: int) -> int:
    """A number with what it leaves free, rounded up."""
    more = count + count // SHARE + LEAST
    return -(-more // _step(more)) * _step(more)


def rounded_down(count: int) -> int:
    """A number with so many of its first digits as bounds have."""
    return count - count % _step(count)


def _step(count: int) -> int:
    return 1 << max(0, count.bit_length() - 1 - STEPS_OF_TWO)


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """What an instruction stands for at most, in every run of a program that takes the same loops.

    An instruction is one; with a branch goes the longest way to where its ways meet, with a call of a function without loops the longest
    way through it, and the instructions on those ways stand for nothing themselves. So each sum over executed instructions is the same for
    every input, if it is taken between two that stand for something.

    Attributes:
        names: of the chips that prove instructions.
        rows: (chips, program rows) int64: rows of each chip.
        steps: (program rows,) int64: instructions.
    """

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    steps: NDArray[np.int64]

    def bounds(self, counts: NDArray[np.int64]) -> Rows:
        """Rows of each chip, from how often each instruction was executed: (program rows,)."""
        return dict(zip(self.names, (self.rows @ counts).tolist(), strict=True))


def ways_of(image: Image, counts: NDArray[np.int64]) -> Ways:
    """What the instructions of a program stand for.

    Args:
        image: the program.
        counts: (program rows,) int64, how often a whole run executed each: which functions are entered by their calls alone.
    """
    names, weights = _weights(image)
    weights = np.concatenate([weights, np.ones((1, weights.shape[1]), np.int64)])
    blocks, weights, inside = with_functions(image, find_blocks(image), weights, counts)
    total = weights.copy()
    for branch, region in _regions(blocks):
        total[:, blocks[branch].end - 1] += _longest(blocks, branch, region, weights)
        for number in region:
            inside[blocks[number].first : blocks[number].end] = True
    total[:, inside] = 0
    return Ways(tuple(names), total[:-1], total[-1])


def counts_of(steps: NDArray[Any], image: Image) -> NDArray[np.int64]:
    """How often executed instructions, (k,) :data:`zkvm.riscv.records.STEP`, were each of the program: (program rows,) int64."""
    return np.bincount(steps["row"], minlength=len(image.program)).astype(np.int64, copy=False)


def bounded_rows(execution: Execution, ways: Ways | None = None, own: Machine | None = None) -> Rows:
    """Rows of each chip, by name, that no run exceeds which takes the same loops as this one.

    Args:
        execution: a run, or a segment of one that begins and ends where every run does.
        ways: of the whole run; None: this is one.
        own: its machine; None: that of whole runs.
    """
    chips = (own or machine()).chips
    used = {chip.name: chip.rows(execution) for chip in chips if chip.first is None and not len(chip.preprocessed)}
    counts = counts_of(execution.steps, execution.image)
    bounds = (ways or ways_of(execution.image, counts)).bounds(counts)
    return used | {name: max(used[name], bound) for name, bound in bounds.items()}


def _weights(image: Image) -> tuple[list[str], NDArray[np.int64]]:
    """Names of the chips that prove instructions, and (chips, program rows) int64: how many rows each instruction may use of each.

    A load may find its word in RAM or in ROM: it counts for both chips.
    """
    chips, _ = serving_chips()
    operations = image.program["op"].astype(np.int64)
    names = sorted({str(name) for name in chips.reshape(-1) if name})
    weights = [np.any(chips[:, operations] == name, axis=0) for name in names]
    return names, np.array(weights, np.int64)


def _regions(blocks: list[Block]) -> list[tuple[int, list[int]]]:
    """Branches with the blocks between them and where their ways meet again, none inside another's, in topological order."""
    meets = _post_dominators(blocks)
    before: list[set[int]] = [set() for _ in blocks]
    for number, block in enumerate(blocks):
        for following in block.following:
            before[following].add(number)
    found: dict[int, list[int]] = {}
    for branch, block in enumerate(blocks):
        if len(block.following) == 2 and meets[branch] is not None:
            region = _region(blocks, branch, meets[branch], before)
            if region:
                found[branch] = region
    inside = {number for region in found.values() for number in region}
    return [(branch, region) for branch, region in found.items() if branch not in inside]


def _region(blocks: list[Block], branch: int, meeting: int | None, before: list[set[int]]) -> list[int] | None:
    """The blocks between, in topological order; None if a loop, a call or another way in is among them."""
    order: list[int] = []
    state: dict[int, bool] = {}  # whether all that follows a block was seen
    stack = [(following, False) for following in blocks[branch].following if following != meeting]
    while stack:
        number, done = stack.pop()
        if done:
            state[number] = True
            order.append(number)
        elif state.get(number) is None:
            if number == branch or blocks[number].calls:
                return None
            state[number] = False
            stack.append((number, True))
            stack += [(following, False) for following in blocks[number].following if following != meeting]
        elif not state[number]:
            return None  # a loop
    order.reverse()
    within = {branch, *order}
    return None if any(before[number] - within for number in order) else order


def _longest(blocks: list[Block], branch: int, region: list[int], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each chip, the most rows on a way through the region: (chips,) int64."""
    nothing = np.zeros(len(weights), np.int64)
    most: dict[int, NDArray[np.int64]] = {}
    for number in reversed(region):
        own = weights[:, blocks[number].first : blocks[number].end].sum(axis=1)
        most[number] = own + np.max([most.get(following, nothing) for following in blocks[number].following], axis=0)
    return np.asarray(np.max([most.get(following, nothing) for following in blocks[branch].following], axis=0), np.int64)


def _post_dominators(blocks: list[Block]) -> list[int | None]:
    """For each block the first one that every way from it to the end of its function passes; None without one.

    Source: K. D. Cooper, T. J. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm", 2001, on the reversed graph.
    """
    end = len(blocks)
    following = [block.following or (end,) for block in blocks]
    before: list[list[int]] = [[] for _ in range(end + 1)]
    for number, numbers in enumerate(following):
        for other in numbers:
            before[other].append(number)
    order, position = _postorder(before, end)
    immediate: list[int | None] = [None] * (end + 1)
    immediate[end] = end
    changed = True
    while changed:
        changed = False
        for number in reversed(order[:-1]):
            known = [other for other in following[number] if immediate[other] is not None]
            new = known[0]
            for other in known[1:]:
                new = _meeting(immediate, position, new, other)
            changed |= immediate[number] != new
            immediate[number] = new
    return [None if meeting == end else meeting for meeting in immediate[:end]]


def _postorder(edges: list[list[int]], start: int) -> tuple[list[int], dict[int, int]]:
    """Nodes that are reached, the start last, and their places in that order."""
    order: list[int] = []
    seen = {start}
    stack = [(start, iter(edges[start]))]
    while stack:
        node, others = stack[-1]
        for other in others:
            if other not in seen:
                seen.add(other)
                stack.append((other, iter(edges[other])))
                break
        else:
            order.append(node)
            stack.pop()
    return order, {node: place for place, node in enumerate(order)}


def _meeting(immediate: list[int | None], position: dict[int, int], first: int, second: int) -> int:
    """The nearest common post-dominator."""
    while first != second:
        while position[first] < position[second]:
            up = immediate[first]
            assert up is not None
            first = up
        while position[second] < position[first]:
            up = immediate[second]
            assert up is not None
            second = up
    return first
