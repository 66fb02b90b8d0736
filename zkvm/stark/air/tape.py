"""Lowers straight-line expressions to a tape of integers that one kernel runs over blocks of rows.

Nothing is compiled per chip. Subexpressions of constants and challenges only (*uniform* ones) are computed once per proof and
become entries of the constant pool; registers are reused after their last use; ``a - b k`` with a constant k is one operation, and so
is a fingerprint of any length. Operations with any number of operands are followed by a row for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.expression import ADD, BUS, BUS_NEXT, CONST, EXT_MUL, EXT_STEP, MAIN, MUL, PAIR, PARAM, PRE, SUB, Straight
from zkvm.stark.air.operations import (
    OP_ACC,
    OP_ADD,
    OP_ADDK,
    OP_BUS,
    OP_COPY,
    OP_EXT_MUL,
    OP_EXT_SUM,
    OP_FILL,
    OP_MAIN,
    OP_MUL,
    OP_MULK,
    OP_NEXT,
    OP_OUT,
    OP_PRE,
    OP_RSUBK,
    OP_SUB,
    OP_SUBMULK,
    OP_TERM,
)
from zkvm.stark.field.goldilocks import P

ROW = 10
"""Integers in a row of a tape."""
EXT = 3
"""Coordinates of an extension element."""
ACC_TERMS = 8
"""Most constraints that one operation accumulates: each waits in a register for the others."""

_LOADS = {MAIN: OP_MAIN, PRE: OP_PRE, BUS: OP_BUS, BUS_NEXT: OP_NEXT}


@dataclass(frozen=True, slots=True)
class Tape:
    """A lowered program.

    Attributes:
        code: (t, 10) int32 rows (operation, a, b, dst, a1, a2, b1, b2, dst1, dst2).
        registers: number of registers used.
        uniform: (k, 3) uint64, nodes of the constant pool, in the form of :class:`Straight` (leaves CONST and PARAM).
        outputs: number of accumulated challenge powers or output columns.
    """

    code: NDArray[np.int32]
    registers: int
    uniform: NDArray[np.uint64]
    outputs: int

    def pool(self, params: Sequence[int]) -> NDArray[np.uint64]:
        """Values of the constant pool for these runtime constants (base-field integers)."""
        values: list[int] = []
        for kind, a, b in self.uniform.tolist():
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


@dataclass(frozen=True, slots=True)
class _Sum:
    """A constant of the extension plus base values times constants.

    Attributes:
        start: the constant's place in the pool.
        terms: for each value its node, and the place of its factor in the pool.
    """

    start: int
    terms: list[tuple[int, int]]


class _Lowering:
    """State of one lowering: which node sits in which register, and how often it is still needed."""

    def __init__(self, program: Straight) -> None:
        self.nodes = program.nodes
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
        self.uses = [0] * len(program.nodes)
        self.groups: dict[tuple[int, int, int], dict[int, int]] = {}
        self.sums: dict[tuple[int, int], _Sum] = {}
        for output in program.outputs:
            self.uses[output] += 1
        self._count_uses()

    def _count_uses(self) -> None:
        """How many operations read each node; what only the inside of an extension operation needs has none."""
        for number in range(len(self.nodes) - 1, -1, -1):
            kind, a, b = self.nodes[number]
            if self.uses[number] == 0 or kind < ADD:
                continue
            operands: Iterable[int] = (a, b)
            if kind >= EXT_MUL:
                first = kind - (kind - EXT_MUL) % EXT
                group = self.groups.setdefault((first, a, b), {})
                operands = () if group else self._operands(first, a, b)  # the three coordinates are one operation
                group[kind - first] = number
            for operand in operands:
                self.uses[operand] += 1

    def coordinates(self, pair: int) -> list[int]:
        """The three nodes of a triple."""
        _, first, rest = self.nodes[pair]
        _, second, third = self.nodes[rest]
        return [first, second, third]

    def _operands(self, first: int, a: int, b: int) -> list[int]:
        """Nodes that an extension operation reads from registers."""
        if first == EXT_MUL:
            return self.coordinates(a) + self.coordinates(b)
        return [value for value, _ in self._sum(a, b).terms]

    def _sum(self, a: int, b: int) -> _Sum:
        """A fingerprint's steps from the last to the first: constants on the way join the start, another start becomes terms."""
        if (a, b) in self.sums:
            return self.sums[a, b]
        terms: list[tuple[int, int]] = []
        constants: list[list[int]] = []
        step: tuple[int, int] | None = (a, b)
        coordinates: list[int] = []
        while step is not None:
            _, value, factor = self.nodes[step[1]]
            terms.append((value, self.pooled_triple(self.coordinates(factor), negated=True)))
            coordinates = self.coordinates(step[0])
            while all(self.nodes[node][0] == SUB and self.uniform[self.nodes[node][2]] for node in coordinates):
                constants.append([self.nodes[node][2] for node in coordinates])
                coordinates = [self.nodes[node][1] for node in coordinates]
            step = self._step(coordinates)
        zero = self.pool_entry((CONST, 0, 0))
        start = [zero] * EXT
        if all(self.uniform[node] for node in coordinates):
            start = [self.pooled(node) for node in coordinates]
        else:
            one = self.pool_entry((CONST, 1, 0))
            terms += [(node, self.pool_triple([one if k == c else zero for k in range(EXT)])) for c, node in enumerate(coordinates)]
        for triple in constants:
            start = [self.pool_entry((SUB, entry, self.pooled(node))) for entry, node in zip(start, triple, strict=True)]
        return self.sums.setdefault((a, b), _Sum(self.pool_triple(start), terms[::-1]))

    def _step(self, coordinates: list[int]) -> tuple[int, int] | None:
        """Operands of the step that these are the coordinates of, if they are."""
        _, a, b = self.nodes[coordinates[0]]
        return (a, b) if [self.nodes[node] for node in coordinates] == [(EXT_STEP + c, a, b) for c in range(EXT)] else None

    def pooled_triple(self, nodes: list[int], *, negated: bool = False) -> int:
        """Three uniform nodes, or their negatives, as consecutive entries of the pool: position of the first."""
        entries = [self.pooled(node) for node in nodes]
        if negated:
            zero = self.pool_entry((CONST, 0, 0))
            entries = [self.pool_entry((SUB, zero, entry)) for entry in entries]
        return self.pool_triple(entries)

    def pool_triple(self, entries: list[int]) -> int:
        """Three entries of the pool as consecutive ones: position of the first."""
        key = (entries[0], entries[1], entries[2])
        if key not in self.triples:
            zero = self.pool_entry((CONST, 0, 0))
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
        sources = [self.compute(operand) for operand in operands]
        for operand in operands:
            self.done(operand)  # the operation reads all lanes of its operands before it writes: registers may be reused
        target, *others = [self.allocate() for _ in range(EXT)]
        if first == EXT_MUL:
            left, left1, left2, right, right1, right2 = sources
            self.code.append((OP_EXT_MUL, left, right, target, left1, left2, right1, right2, *others))
        else:
            total = self._sum(a, b)
            self.code.append((OP_EXT_SUM, len(sources), total.start, target, 0, 0, 0, 0, *others))
            self.code += [(OP_TERM, source, factor) for source, (_, factor) in zip(sources, total.terms, strict=True)]
        group = self.groups[first, a, b]
        for c, register in enumerate((target, *others)):
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
        program: the expressions.
        groups: for each output the accumulator that takes it, times the challenge power of its number; None: each output is written to
            the output column of its number.

    Returns:
        The tape; it accumulates if ``groups`` is given.
    """
    state = _Lowering(program)
    waiting: list[int] = []
    for number, output in enumerate(program.outputs):
        register = state.compute(output)
        if groups is None:
            state.code.append((OP_OUT, register, 0, number))
            state.done(output)
            continue
        waiting.append(number)
        if len(waiting) == ACC_TERMS or number + 1 == len(groups) or groups[number + 1] != groups[number]:
            state.code.append((OP_ACC, len(waiting), groups[number]))
            state.code += [(OP_TERM, state.place[program.outputs[term]], term) for term in waiting]
            for term in waiting:
                state.done(program.outputs[term])
            waiting = []
    code = np.zeros((len(state.code), ROW), np.int32)
    for position, row in enumerate(state.code):
        code[position, : len(row)] = row
    return Tape(code, max(state.registers, 1), np.array(state.pool_nodes, np.uint64).reshape(-1, 3), len(program.outputs))
