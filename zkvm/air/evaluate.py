"""Walks straight-line expressions with numpy columns (the checker) or extension scalars (the verifier)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zkvm.air.expression import ADD, BUS, BUS_NEXT, CONST, MAIN, MUL, PARAM, PRE, SUB, Straight
from zkvm.field import extension, goldilocks
from zkvm.field.extension import Ext

Matrix = NDArray[np.uint64]


def evaluate_columns(code: Straight, main: Matrix, pre: Matrix) -> list[NDArray[np.uint64]]:
    """Values of the outputs on every row, for expressions of main and preprocessed columns only.

    Args:
        main: (w, n) uint64. pre: (v, n) uint64.

    Returns:
        One (n,) uint64 array per output.
    """
    rows = main.shape[1] if main.shape[0] else pre.shape[1]
    values: list[NDArray[np.uint64]] = []
    for kind, a, b in code.nodes:
        if kind == CONST:
            values.append(np.full(rows, a, np.uint64))
        elif kind == MAIN:
            values.append(main[a])
        elif kind == PRE:
            values.append(pre[a])
        elif kind == ADD:
            values.append(goldilocks.add(values[a], values[b]))
        elif kind == SUB:
            values.append(goldilocks.sub(values[a], values[b]))
        elif kind == MUL:
            values.append(goldilocks.mul(values[a], values[b]))
        else:
            raise ValueError("only main and preprocessed columns have values on rows")
    return [values[position] for position in code.outputs]


def evaluate_point(code: Straight, leaves: dict[int, Sequence[Ext]], params: Sequence[int]) -> list[Ext]:
    """Values of the outputs at one extension point.

    Args:
        leaves: by kind (MAIN, PRE, BUS, BUS_NEXT) the columns' values at the point. params: runtime constants, base field.
    """
    values: list[Ext] = []
    for kind, a, b in code.nodes:
        if kind == CONST:
            values.append((a, 0, 0))
        elif kind == PARAM:
            values.append((params[a], 0, 0))
        elif kind in (MAIN, PRE, BUS, BUS_NEXT):
            values.append(leaves[kind][a])
        elif kind == ADD:
            values.append(extension.ext_add(values[a], values[b]))
        elif kind == SUB:
            values.append(extension.ext_sub(values[a], values[b]))
        else:
            values.append(extension.ext_mul(values[a], values[b]))
    return [values[position] for position in code.outputs]
