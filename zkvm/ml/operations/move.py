"""Data movement: copies of elements, as nested loops where their numbers allow it, else with a table of positions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zkvm.ml.arithmetic import IntArray
from zkvm.ml.code import CodeWriter
from zkvm.ml.ir import Operation

MAX_LOOPS = 6


@dataclass(eq=False)
class Move(Operation):
    """output[i] = element ``index[i]`` of the inputs laid end to end, or ``fill``, which may say something about the weights, where
    the index is -1."""

    index: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    fill: int = 0
    secret_fill: bool = False

    def evaluate(self, *inputs: IntArray) -> IntArray:
        """See :class:`Operation`."""
        pool = np.concatenate([*(array.reshape(-1) for array in inputs), np.array([self.fill], np.int64)])
        return pool[self.index.reshape(-1)].reshape(self.output.shape)

    def emit(self, code: CodeWriter) -> None:
        """See :class:`Operation`."""
        target, index = code.pointer(self.output), self.index.reshape(-1)
        if (index < 0).any():
            code.line(f"for (int i = 0; i < {len(index)}; i++) ({target})[i] = {code.number(self.fill, self.secret_fill)};")
        first = 0
        for value in self.inputs:
            places = np.nonzero((index >= first) & (index < first + value.size))[0]
            if len(places):
                _emit_copy(code, code.pointer(value), target, places, index[places] - first)
            first += value.size


def _emit_copy(code: CodeWriter, source: str, target: str, places: IntArray, elements: IntArray) -> None:
    """target[places[i]] = source[elements[i]] as loops, or by tables."""
    loops = _loops(places, elements)
    if loops is None:
        # By table: half the loads if the places are consecutive.
        table = code.constant(elements, private=False, label="index")
        if (np.diff(places) == 1).all():
            code.line(f"for (int i = 0; i < {len(places)}; i++) ({target})[{places[0]} + i] = ({source})[{table}[i]];")
        else:
            to = code.constant(places, private=False, label="index")
            code.line(f"for (int i = 0; i < {len(places)}; i++) ({target})[{to}[i]] = ({source})[{table}[i]];")
        return
    where, element = f"{places[0]}", f"{elements[0]}"
    for depth, (count, place_step, element_step) in enumerate(reversed(loops)):
        unroll = "UNROLL_FOUR " if depth == len(loops) - 1 else ""
        code.line(f"{'  ' * depth}{unroll}for (int i{depth} = 0; i{depth} < {count}; i{depth}++)")
        where += f" + i{depth} * {place_step}"
        element += f" + i{depth} * {element_step}"
    code.line(f"{'  ' * len(loops)}({target})[{where}] = ({source})[{element}];")


def _loops(places: IntArray, elements: IntArray) -> list[tuple[int, int, int]] | None:
    """Nested loops (count, place step, element step), innermost first, that visit the pairs in order; None if they do not nest."""
    loops: list[tuple[int, int, int]] = []
    pairs = np.stack([places, elements], axis=1)
    while len(pairs) > 1:
        if len(loops) == MAX_LOOPS:
            return None
        steps = np.diff(pairs, axis=0)
        same = (steps == steps[0]).all(axis=1)
        run = len(pairs) if same.all() else int(np.argmin(same)) + 1
        if len(pairs) % run:
            return None
        blocks = pairs.reshape(-1, run, 2)
        if not (np.diff(blocks, axis=1) == steps[0]).all():
            return None
        loops.append((run, int(steps[0][0]), int(steps[0][1])))
        pairs = blocks[:, 0]
    return loops or [(1, 0, 0)]
