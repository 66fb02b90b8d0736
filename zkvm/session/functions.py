"""Functions without loops: how many rows of each chip a call takes at most, whatever way it goes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.opcodes import ECALL, JAL, JALR, SINK
from zkvm.riscv.records import Image
from zkvm.session.blocks import Block

Weights = NDArray[np.int64]
UNKNOWN = -1
"""Where a call leads that the program alone does not say: through a register, or to the host."""


def with_functions(
    image: Image, blocks: list[Block], weights: Weights, counts: NDArray[np.int64]
) -> tuple[list[Block], Weights, NDArray[np.bool_]]:
    """Blocks and weights in which a call of a function without loops is an instruction with the most rows that it can take.

    Args:
        image: the program.
        blocks: of all of it.
        weights: (chips, program rows), rows of each chip that an instruction uses.
        counts: (program rows,), how often one run executed them.

    Returns:
        Blocks, in which such calls are no calls any more; weights, with them; (program rows,) bool, what is in such functions.
    """
    calls = call_targets(image)
    functions = _Functions(blocks, weights, calls)
    while True:
        bounded = {entry: most for entry in functions.entries if (most := functions.most(entry)) is not None}
        # What others enter without a call, or by a call through a register, is not counted by its calls.
        roots = {0, *(entry for entry in functions.entries if entry not in bounded)}
        shared = set().union(*(functions.reach(root) for root in roots))
        excluded = {
            entry for entry in bounded if functions.reach(entry) & shared or counts[blocks[entry].first] != functions.called(entry, counts)
        }
        if not excluded:
            break
        functions.exclude(excluded)
    heavier, inside = weights.copy(), np.zeros(len(counts), np.bool_)
    for row, target in calls.items():
        if target in bounded:
            heavier[:, row] += bounded[target]
    for entry in bounded:
        for number in functions.reach(entry):
            inside[blocks[number].first : blocks[number].end] = True
    changed = [
        replace(block, calls=any(calls[row] not in bounded for row in functions.calls_of[number])) for number, block in enumerate(blocks)
    ]
    return changed, heavier, inside


def call_targets(image: Image) -> dict[int, int]:
    """Rows of calls, and the number of the row that they lead to, or UNKNOWN."""
    program = image.program
    row_of = {pc: row for row, pc in enumerate(program["pc"].astype(np.int64).tolist())}
    operations, linked = program["op"].astype(np.int64), program["rd"] != SINK
    rows = np.flatnonzero((np.isin(operations, (JAL, JALR)) & linked) | (operations == ECALL)).tolist()
    return {row: row_of.get(int(program["imm"][row]), UNKNOWN) if operations[row] == JAL else UNKNOWN for row in rows}


@dataclass
class _Functions:
    """The functions of a program, named by the number of their first block."""

    blocks: list[Block]
    weights: Weights
    calls: dict[int, int]

    def __post_init__(self) -> None:
        number_of = {block.first: number for number, block in enumerate(self.blocks)}
        # A call leads to a block: rows of targets become numbers of blocks, in place.
        self.calls.update({row: number_of.get(target, UNKNOWN) for row, target in self.calls.items()})
        self.entries = sorted({target for target in self.calls.values() if target != UNKNOWN})
        rows = np.array(sorted(self.calls), np.int64)
        self.calls_of = [rows[np.searchsorted(rows, block.first) : np.searchsorted(rows, block.end)].tolist() for block in self.blocks]
        self._most: dict[int, NDArray[np.int64] | None] = {}
        self._reach: dict[int, set[int]] = {}
        self._excluded: set[int] = set()

    def exclude(self, entries: set[int]) -> None:
        """Functions that are not to be bounded."""
        self._excluded |= entries
        self._most.clear()

    def called(self, entry: int, counts: NDArray[np.int64]) -> int:
        """How often a run called a function directly."""
        return int(sum(counts[row] for row, target in self.calls.items() if target == entry))

    def reach(self, entry: int) -> set[int]:
        """The blocks of a function."""
        if entry not in self._reach:
            found, stack = {entry}, [entry]
            while stack:
                new = set(self.blocks[stack.pop()].following) - found
                found |= new
                stack += new
            self._reach[entry] = found
        return self._reach[entry]

    def most(self, entry: int) -> NDArray[np.int64] | None:
        """The most rows of each chip that a call takes; None if it has a loop, or calls what is not bounded."""
        if entry not in self._most:
            self._most[entry] = None  # while it is computed: who calls himself is not bounded
            order = None if entry in self._excluded else self._order(entry)
            self._most[entry] = None if order is None else self._longest(entry, order)
        return self._most[entry]

    def _order(self, entry: int) -> list[int] | None:
        """The blocks, every one after those that follow it; None if there is a loop."""
        order: list[int] = []
        state: dict[int, bool] = {}
        stack = [(entry, False)]
        while stack:
            number, done = stack.pop()
            if done:
                state[number] = True
                order.append(number)
            elif state.get(number) is None:
                state[number] = False
                stack.append((number, True))
                stack += [(following, False) for following in self.blocks[number].following]
            elif not state[number]:
                return None
        return order

    def _longest(self, entry: int, order: list[int]) -> NDArray[np.int64] | None:
        most: dict[int, NDArray[np.int64]] = {}
        for number in order:
            block = self.blocks[number]
            own = self.weights[:, block.first : block.end].sum(axis=1)
            for row in self.calls_of[number]:
                inner = None if self.calls[row] == UNKNOWN else self.most(self.calls[row])
                if inner is None:
                    return None
                own = own + inner
            most[number] = own + np.max([most[following] for following in block.following], axis=0) if block.following else own
        return most[entry]
