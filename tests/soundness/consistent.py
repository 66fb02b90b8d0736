"""Search for consistent forgeries: rows that satisfy everything, consume the same, and produce something else.

Start from an honest row. Fix what it consumes: state and chain tuples, value and time of each memory tuple, and what a chip leaves to the
prover on purpose. Add multiples of the limb weights and of -1 mod p to one, two or three other cells, then re-solve the equations for
the cells that appear linearly in them, in a random order. A row that no constraint and no table refuses must produce what the honest
row produces, at the same addresses: otherwise the instruction is not a function of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from tests.forge import U64, Flags, RowModel
from zkvm.riscv.chips.buses import MEMORY, PROGRAM, STATE
from zkvm.riscv.isa.opcodes import LAST_PC, LAST_TIME
from zkvm.stark.air.builder import Pair
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import CONST, MAIN, MUL, Expr, Straight, straighten
from zkvm.stark.field import goldilocks
from zkvm.stark.field.goldilocks import P

WEIGHTS = (1, 1 << 7, 1 << 8, 1 << 15, 1 << 16, 1 << 31, 1 << 32)
DELTAS = np.array([delta % P for weight in WEIGHTS for delta in (weight, -weight)], np.uint64)
CHUNK = 4096


class Search:
    """Forgeries of one honest row."""

    def __init__(self, rows: RowModel, main: U64, pre: U64, free: list[Expr], seed: int = 1) -> None:
        """``main`` (w, 1) and ``pre`` (v, 1): the row. ``free``: expressions that the prover may choose; they are held fixed."""
        self.rows, self.main, self.pre = rows, main, pre
        self.random = np.random.default_rng(seed)
        honest_inputs = self._inputs() + free
        values = evaluate_columns(straighten(honest_inputs), main, pre) if honest_inputs else []
        equations = [constraint.expr for constraint in rows.constraints]
        equations += [expr - int(value[0]) for expr, value in zip(honest_inputs, values, strict=True)]
        fields = [expr for lookup in rows.lookups if lookup.message.bus is PROGRAM for expr in lookup.message.values]  # a function of pc
        self.fixed = {expr.index for expr in honest_inputs + fields if expr.kind == MAIN}
        self.movable = [number for number in range(main.shape[0]) if number not in self.fixed]
        self.inputs = straighten(equations[len(rows.constraints) :]) if honest_inputs else None
        self.equations = [(straighten([expr]), sorted(_linear(expr) & set(self.movable))) for expr in equations]
        self.outputs = self._outputs(main)
        self.neutral = [not np.any(rows.pair_tuples(number, main, pre)) for number in range(len(rows.pairs))]
        assert not rows.refused(main, pre).any()

    def _inputs(self) -> list[Expr]:
        result: list[Expr] = []
        for number, pair in enumerate(self.rows.pairs):
            received, sent = self.rows.pair_tuples(number, self.main, self.pre)
            if pair.receive is None or not (received.any() or sent.any()):
                continue
            result += pair.receive.values[1:] if pair.receive.bus is MEMORY else pair.receive.values
        return [expr for expr in result if expr.kind != CONST]

    def _outputs(self, main: U64) -> U64:
        pre = np.repeat(self.pre, main.shape[1], axis=1)
        parts = []
        for number in range(len(self.rows.pairs)):
            received, sent = self.rows.pair_tuples(number, main, pre)
            parts += [received[:1], sent]
        for number in range(len(self.rows.lookups)):
            external = self.rows.external(number, main, pre)
            parts += [] if external is None else [external]
        for contribution in self.rows.chip.air_buses.contributions:
            added = [*contribution.message.values, *(expr for factor in contribution.factors for _, expr in factor)]
            parts.append(np.stack(evaluate_columns(straighten(added), main, pre)))
        return np.concatenate(parts)

    def candidates(self, count: int, size: int) -> tuple[U64, Flags]:
        """Rows with ``size`` cells changed: all choices if there are at most ``count``, else a sample; and which cells."""
        sets = np.array(list(combinations(self.movable, size)))
        whole = len(sets) * len(DELTAS) ** size
        numbers = np.arange(whole) if whole <= count else self.random.integers(0, whole, count)
        main = np.repeat(self.main, len(numbers), axis=1)
        touched = np.zeros(main.shape, bool)
        chosen, rest = sets[numbers % len(sets)], numbers // len(sets)
        lanes = np.arange(len(numbers))
        for position in range(size):
            columns = chosen[:, position]
            main[columns, lanes] = goldilocks.add(main[columns, lanes], DELTAS[rest % len(DELTAS)])
            touched[columns, lanes] = True
            rest = rest // len(DELTAS)
        return main, touched

    def solve(self, main: U64, touched: Flags) -> None:
        """Make equations hold by changing untouched cells, in a random order."""
        pre = np.repeat(self.pre, main.shape[1], axis=1)
        for number in self.random.permutation(len(self.equations)).tolist():
            code, columns = self.equations[number]
            open_lanes = _value(code, main, pre) != 0
            for column in self.random.permutation(np.array(columns, np.int64)).tolist():
                lanes = np.flatnonzero(open_lanes & ~touched[column])
                if not len(lanes):
                    continue
                part, part_pre = main[:, lanes], pre[:, lanes]
                rest = _value(code, part, part_pre)
                part[column] = goldilocks.add(part[column], np.uint64(1))
                slope = goldilocks.sub(_value(code, part, part_pre), rest)
                done = slope != 0
                lanes, step = lanes[done], goldilocks.mul(rest[done], goldilocks.inv(slope[done]))
                main[column, lanes] = goldilocks.sub(main[column, lanes], step)
                touched[column, lanes] = True
                open_lanes[lanes] = False

    def forged(self, main: U64) -> Flags:
        """Accepted rows with the same inputs and other outputs."""
        pre = np.repeat(self.pre, main.shape[1], axis=1)
        accepted = ~self.rows.refused(main, pre)
        if self.inputs is not None:
            accepted &= np.all(np.stack(evaluate_columns(self.inputs, main, pre)) == 0, axis=0)
        for number, neutral in enumerate(self.neutral):
            received, sent = self.rows.pair_tuples(number, main, pre)
            if neutral:  # to be live it would have to consume something more
                accepted &= ~np.any(received, axis=0)
                continue
            accepted &= np.any(received != sent, axis=0)  # else it consumes nothing, and something is left over
            if _sends_state(self.rows.pairs[number]):
                accepted &= np.isin(sent[0], self.rows.image.program["pc"]) | _is_last(sent)  # whoever consumes it looks its pc up
        result: Flags = accepted & np.any(self._outputs(main) != self.outputs, axis=0)
        return result

    def run(self, count: int, rounds: int = 2) -> Iterator[dict[str, int]]:
        """Look at up to ``count`` changes of each size; the changed cells of the forgeries found (at most one per chunk)."""
        for size in (1, 2, 3):
            if size > len(self.movable):
                break
            main, touched = self.candidates(count, size)
            for start in range(0, main.shape[1], CHUNK):
                part, marks = main[:, start : start + CHUNK].copy(), touched[:, start : start + CHUNK].copy()
                for number in range(rounds + 1):
                    bad = np.flatnonzero(self.forged(part))
                    if len(bad):
                        yield self._changes(part[:, bad[0]])
                        break
                    if number < rounds:
                        self.solve(part, marks)

    def _changes(self, column: U64) -> dict[str, int]:
        names = list(self.rows.chip.main)
        return {names[k]: int(column[k]) for k in np.flatnonzero(column != self.main[:, 0]).tolist()}


def _sends_state(pair: Pair) -> bool:
    return pair.send is not None and pair.send.bus is STATE


def _is_last(state: U64) -> Flags:
    """Which states the verifier consumes, for some exit code."""
    pc, time = state
    result: Flags = (pc >= np.uint64(LAST_PC)) & (pc < np.uint64(LAST_PC + (1 << 32))) & (time == np.uint64(LAST_TIME))
    return result


def _value(code: Straight, main: U64, pre: U64) -> U64:
    result: U64 = evaluate_columns(code, main, pre)[0]
    return result


def _linear(expr: Expr) -> set[int]:
    """Main columns in which an expression is affine."""
    return {column for column, power in _powers(expr).items() if power == 1}


def _powers(expr: Expr) -> dict[int, int]:
    """An upper bound of the degree in each main column."""
    if expr.left is None or expr.right is None:
        return {expr.index: 1} if expr.kind == MAIN else {}
    left, right = _powers(expr.left), _powers(expr.right)
    combine = sum if expr.kind == MUL else max
    return {column: combine((left.get(column, 0), right.get(column, 0))) for column in left | right}


def weakened(rows: RowModel, *labels: str) -> RowModel:
    """The model of the same chip without some lookups or constraints: what a forgotten line would allow."""
    dropped = set(labels)
    known = {constraint.label for constraint in rows.constraints} | {lookup.label for lookup in rows.lookups}
    assert dropped <= known
    other = RowModel(rows.chip, list(dict.fromkeys(rows.servers.values())), rows.image)
    kept = [constraint for constraint in rows.constraints if constraint.label not in dropped]
    other.constraints = kept
    other.constraint_code = straighten([constraint.expr for constraint in kept])
    both = [pair for pair in zip(rows.lookups, rows.lookup_codes, strict=True) if pair[0].label not in dropped]
    other.lookups, other.lookup_codes = [lookup for lookup, _ in both], [code for _, code in both]
    return other
