"""Lowers straight-line expressions to a tape of integers that one kernel runs over blocks of rows.

Nothing is compiled per chip. Subexpressions of constants and challenges only (*uniform* ones) are computed once per proof and
become entries of the constant pool; registers are reused after their last use; ``a - b k`` with a constant k is one operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.air.expression import ADD, BUS, BUS_NEXT, CONST, MAIN, MUL, PARAM, PRE, SUB, Straight
from zkvm.field.goldilocks import P

(
    OP_MAIN, OP_PRE, OP_BUS, OP_NEXT,  # dst = column a
    OP_ADD, OP_SUB, OP_MUL,  # dst = a op b
    OP_ADDK, OP_MULK, OP_RSUBK,  # dst = a + k, a k, k - a, k = pool[b]
    OP_FILL,  # dst = pool[a]
    OP_SUBMULK,  # dst = dst - a k: accumulates in place
    OP_COPY,  # dst = a
    OP_ACC,  # group b accumulates register a times the next challenge power (dst is its number)
    OP_OUT,  # output dst = register a
) = range(15)  # fmt: skip

_LOADS = {MAIN: OP_MAIN, PRE: OP_PRE, BUS: OP_BUS, BUS_NEXT: OP_NEXT}


@dataclass(frozen=True, slots=True)
class Tape:
    """A lowered program.

    Attributes:
        code: (t, 4) int32 rows (operation, a, b, dst). registers: number of registers used.
        uniform: nodes of the constant pool, in the form of :class:`Straight` (leaves CONST and PARAM).
        outputs: number of accumulated challenge powers or output columns.
    """

    code: NDArray[np.int32]
    registers: int
    uniform: tuple[tuple[int, int, int], ...]
    outputs: int

    def pool(self, params: Sequence[int]) -> NDArray[np.uint64]:
        """Values of the constant pool for these runtime constants (base-field integers)."""
        values: list[int] = []
        for kind, a, b in self.uniform:
            if kind == CONST:
                values.append(a)
            elif kind == PARAM:
                values.append(params[a])
            elif kind == ADD:
                values.append((values[a] + values[b]) % P)
            elif kind == SUB:
                values.append((values[a] - values[b]) % P)
            else:
                values.append(values[a] * values[b] % P)
        return np.array(values or [0], np.uint64)


class _Lowering:
    """State of one lowering: which node sits in which register, and how often it is still needed."""

    def __init__(self, program: Straight) -> None:
        self.nodes = program.nodes
        self.uses = [0] * len(program.nodes)
        for kind, a, b in program.nodes:
            if kind >= ADD:
                self.uses[a] += 1
                self.uses[b] += 1
        for output in program.outputs:
            self.uses[output] += 1
        self.code: list[tuple[int, int, int, int]] = []
        self.free: list[int] = []
        self.registers = 0
        self.place: dict[int, int] = {}
        self.pool_nodes: list[tuple[int, int, int]] = []
        self.pool_index: dict[tuple[int, int, int], int] = {}
        self.uniform = [kind in (CONST, PARAM) for kind, _, _ in program.nodes]
        for number, (kind, a, b) in enumerate(program.nodes):
            if kind >= ADD:
                self.uniform[number] = self.uniform[a] and self.uniform[b]

    def pooled(self, node: int) -> int:
        kind, a, b = self.nodes[node]
        key = (kind, self.pooled(a), self.pooled(b)) if kind >= ADD else (kind, a, b)
        return self.pool_entry(key)

    def pool_entry(self, key: tuple[int, int, int]) -> int:
        if key not in self.pool_index:
            self.pool_index[key] = len(self.pool_nodes)
            self.pool_nodes.append(key)
        return self.pool_index[key]

    def allocate(self) -> int:
        if self.free:
            return self.free.pop()
        self.registers += 1
        return self.registers - 1

    def emit(self, operation: int, a: int, b: int, node: int, dst: int | None = None) -> int:
        dst = self.allocate() if dst is None else dst
        self.code.append((operation, a, b, dst))
        self.place[node] = dst
        return dst

    def done(self, node: int) -> None:
        """One use of a node is over; its register is free after the last."""
        self.uses[node] -= 1
        if self.uses[node] == 0 and node in self.place:
            self.free.append(self.place.pop(node))

    def compute(self, node: int) -> int:
        """Emit what is needed to have ``node`` in a register; returns the register."""
        if node in self.place:
            return self.place[node]
        kind, a, b = self.nodes[node]
        if self.uniform[node]:
            return self.emit(OP_FILL, self.pooled(node), 0, node)
        if kind in _LOADS:
            return self.emit(_LOADS[kind], a, 0, node)
        if kind == SUB and self._is_scaled(b):
            return self._subtract_scaled(node, a, b)
        if self.uniform[a] or self.uniform[b]:
            return self._with_constant(node, kind, a, b)
        left, right = self.compute(a), self.compute(b)
        self.done(a)
        self.done(b)
        return self.emit({ADD: OP_ADD, SUB: OP_SUB, MUL: OP_MUL}[kind], left, right, node)

    def _is_scaled(self, node: int) -> bool:
        kind, a, b = self.nodes[node]
        return kind == MUL and self.uniform[a] != self.uniform[b] and self.uses[node] == 1 and node not in self.place

    def _subtract_scaled(self, node: int, a: int, b: int) -> int:
        _, x, y = self.nodes[b]
        value, factor = (x, y) if self.uniform[y] else (y, x)
        if self.uniform[a]:
            dst = self.allocate()
            self.code.append((OP_FILL, self.pooled(a), 0, dst))
            register = self.compute(value)
        else:
            register = self.compute(value)
            left = self.compute(a)
            if self.uses[a] == 1:
                self.place.pop(a)  # reuse its register in place
                self.uses[a] = 0
                dst = left
            else:
                dst = self.allocate()
                self.code.append((OP_COPY, left, 0, dst))
                self.done(a)
        self.code.append((OP_SUBMULK, register, self.pooled(factor), dst))
        self.done(value)
        self.place[node] = dst
        return dst

    def _with_constant(self, node: int, kind: int, a: int, b: int) -> int:
        value, other = (a, b) if self.uniform[b] else (b, a)
        register = self.compute(value)
        constant = self.pooled(other)
        if kind == SUB and value == a:
            zero = self.pool_entry((CONST, 0, 0))
            operation, constant = OP_ADDK, self.pool_entry((SUB, zero, constant))
        else:
            operation = {ADD: OP_ADDK, SUB: OP_RSUBK, MUL: OP_MULK}[kind]
        self.done(value)
        return self.emit(operation, register, constant, node)


def lower(program: Straight, groups: Sequence[int] | None = None) -> Tape:
    """A tape that computes every output of ``program``.

    Args:
        groups: for each output the accumulator that takes it, times the challenge power of its number; None: each output is
            written to the output column of its number.
    """
    state = _Lowering(program)
    for number, output in enumerate(program.outputs):
        register = state.compute(output)
        if groups is None:
            state.code.append((OP_OUT, register, 0, number))
        else:
            state.code.append((OP_ACC, register, groups[number], number))
        state.done(output)
    code = np.array(state.code, np.int32).reshape(-1, 4)
    return Tape(code, max(state.registers, 1), tuple(state.pool_nodes), len(program.outputs))
