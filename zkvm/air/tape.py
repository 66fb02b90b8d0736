"""Lowers straight-line expressions to a tape of integers that one kernel runs over blocks of rows.

Nothing is compiled per chip. Subexpressions of constants and challenges only (*uniform* ones) are computed once per proof and
become entries of the constant pool; registers are reused after their last use; ``a - b k`` with a constant k is one operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.air.expression import ADD, BUS, BUS_NEXT, CONST, EXT_MUL, MAIN, MUL, PAIR, PARAM, PRE, SUB, Straight
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
    OP_EXT_MUL,  # (dst, dst1, dst2) = (a, a1, a2) (b, b1, b2) over the extension
    OP_EXT_STEP,  # (dst, dst1, dst2) = (a, a1, a2) - b K, K the pool's triple at b1
    OP_EXT_FIRST,  # (dst, dst1, dst2) = A - b K, A the pool's triple at a, K at b1
) = range(18)  # fmt: skip

ROW = 10
"""Integers in a row of a tape."""
EXT = 3
"""Coordinates of an extension element."""

_LOADS = {MAIN: OP_MAIN, PRE: OP_PRE, BUS: OP_BUS, BUS_NEXT: OP_NEXT}


@dataclass(frozen=True, slots=True)
class Tape:
    """A lowered program.

    Attributes:
        code: (t, 10) int32 rows (operation, a, b, dst, a1, a2, b1, b2, dst1, dst2). registers: number of registers used.
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
        self.groups: dict[tuple[int, int, int], dict[int, int]] = {}
        for number, (kind, a, b) in enumerate(program.nodes):
            if kind >= EXT_MUL:
                first = kind - (kind - EXT_MUL) % EXT
                group = self.groups.setdefault((first, a, b), {})
                if not group:
                    for operand in self._operands(first, a, b):
                        self.uses[operand] += 1
                group[kind - first] = number
            elif kind >= ADD and kind != PAIR:
                self.uses[a] += 1
                self.uses[b] += 1
        for output in program.outputs:
            self.uses[output] += 1
        self.code: list[tuple[int, ...]] = []
        self.free: list[int] = []
        self.registers = 0
        self.place: dict[int, int] = {}
        self.pool_nodes: list[tuple[int, int, int]] = []
        self.pool_index: dict[tuple[int, int, int], int] = {}
        self.triples: dict[tuple[int, int, int], int] = {}
        self.uniform = [kind in (CONST, PARAM) for kind, _, _ in program.nodes]
        for number, (kind, a, b) in enumerate(program.nodes):
            if kind >= ADD and kind < PAIR:
                self.uniform[number] = self.uniform[a] and self.uniform[b]

    def coordinates(self, pair: int) -> list[int]:
        """The three nodes of a triple."""
        _, first, rest = self.nodes[pair]
        _, second, third = self.nodes[rest]
        return [first, second, third]

    def _operands(self, kind: int, a: int, b: int) -> list[int]:
        """Nodes that an extension operation reads from registers."""
        if kind == EXT_MUL:
            return self.coordinates(a) + self.coordinates(b)
        return [*self.coordinates(a), self.nodes[b][1]]

    def pooled_triple(self, nodes: list[int]) -> int:
        """Three uniform nodes as consecutive entries of the pool: position of the first."""
        key = (nodes[0], nodes[1], nodes[2])
        if key not in self.triples:
            zero = self.pool_entry((CONST, 0, 0))
            entries = [self.pooled(node) for node in nodes]
            self.triples[key] = len(self.pool_nodes)
            self.pool_nodes += [(ADD, entry, zero) for entry in entries]
        return self.triples[key]

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
        if kind >= EXT_MUL:
            return self._extension(node, kind, a, b)
        if kind == SUB and self._is_scaled(b):
            return self._subtract_scaled(node, a, b)
        if self.uniform[a] or self.uniform[b]:
            return self._with_constant(node, kind, a, b)
        left, right = self.compute(a), self.compute(b)
        self.done(a)
        self.done(b)
        return self.emit({ADD: OP_ADD, SUB: OP_SUB, MUL: OP_MUL}[kind], left, right, node)

    def _extension(self, node: int, kind: int, a: int, b: int) -> int:
        """Emit one extension operation; all of its coordinates that some expression needs get their registers."""
        first = kind - (kind - EXT_MUL) % EXT
        operands = self._operands(first, a, b)
        if first == EXT_MUL:
            sources = [self.compute(operand) for operand in operands]
            row = (OP_EXT_MUL, sources[0], sources[3], sources[1], sources[2], sources[4], sources[5])
        else:
            value = self.compute(operands[3])
            factor = self.pooled_triple(self.coordinates(self.nodes[b][2]))
            if all(self.uniform[operand] for operand in operands[:3]):
                row = (OP_EXT_FIRST, self.pooled_triple(operands[:3]), value, 0, 0, factor, 0)
            else:
                sources = [self.compute(operand) for operand in operands[:3]]
                row = (OP_EXT_STEP, sources[0], value, sources[1], sources[2], factor, 0)
        for operand in operands:
            self.done(operand)  # the operation reads all lanes of its operands before it writes: registers may be reused
        registers = [self.allocate() for _ in range(EXT)]
        operation, left, right, *others = row
        self.code.append((operation, left, right, registers[0], *others, registers[1], registers[2]))
        group = self.groups[first, a, b]
        for c, register in enumerate(registers):
            if c in group:
                self.place[group[c]] = register
            else:
                self.free.append(register)
        return self.place[node]

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
    code = np.zeros((len(state.code), ROW), np.int32)
    for position, row in enumerate(state.code):
        code[position, : len(row)] = row
    return Tape(code, max(state.registers, 1), tuple(state.pool_nodes), len(program.outputs))
