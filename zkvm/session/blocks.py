"""The blocks of a program: consecutive instructions that are executed one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zkvm.riscv.isa.opcodes import ECALL, JAL, JALR, SINK, TRAP
from zkvm.riscv.isa.semantics import TAKEN
from zkvm.riscv.records import Image


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive instructions that are executed one after the other.

    Attributes:
        first: its first program row.
        end: the row after its last one.
        following: numbers of the blocks that may come next; none if that is not known, as after a return.
        calls: whether it calls a function or the host.
    """

    first: int
    end: int
    following: tuple[int, ...]
    calls: bool


def find_blocks(image: Image) -> list[Block]:
    """The blocks of a program, in the order of its rows."""
    program = image.program
    pcs, operations = program["pc"].astype(np.int64), program["op"].astype(np.int64)
    row_of = {pc: row for row, pc in enumerate(pcs.tolist())}
    linked = program["rd"] != SINK
    branches = np.isin(operations, list(TAKEN))
    jumps = (operations == JAL) & ~linked
    leaves = ((operations == JALR) & ~linked) | (operations == TRAP)
    calls = (np.isin(operations, (JAL, JALR)) & linked) | (operations == ECALL)
    leaders = {0, *(np.flatnonzero(branches | jumps | leaves) + 1).tolist(), *(np.flatnonzero(np.diff(pcs) != 4) + 1).tolist()}
    leaders |= {row_of[target] for target in program["imm"][branches | jumps].tolist() if target in row_of}
    starts = sorted(leader for leader in leaders if leader < len(program))
    number_of = {start: number for number, start in enumerate(starts)}

    def following(last: int) -> Iterable[int]:
        after = last + 1 if last + 1 < len(program) and pcs[last + 1] == pcs[last] + 4 else None
        target = row_of.get(int(program["imm"][last]))
        if branches[last]:
            return (row for row in (after, target) if row is not None)
        if jumps[last]:
            return () if target is None else (target,)
        return () if leaves[last] or after is None else (after,)

    blocks = []
    for start, end in zip(starts, [*starts[1:], len(program)], strict=True):
        numbers = tuple(dict.fromkeys(number_of[row] for row in following(end - 1)))
        blocks.append(Block(start, end, numbers, bool(calls[start:end].any())))
    return blocks
