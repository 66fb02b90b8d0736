"""Evaluates straight-line expressions on numpy columns (for the checker) or on extension scalars at one point (for the verifier)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.expression import ADD, CONST, EXT_MUL, EXT_STEP, MAIN, MUL, PAIR, PARAM, PRE, SUB, Straight
from zkvm.stark.field import goldilocks
from zkvm.stark.field.extension import Ext, ext_mul
from zkvm.stark.field.goldilocks import P

Matrix = NDArray[np.uint64]


def evaluate_columns(code: Straight, main: Matrix, pre: Matrix) -> list[NDArray[np.uint64]]:
    """Values of the outputs on every row, for expressions of main and preprocessed columns only.

    Args:
        code: the expressions.
        main: (w, n) uint64.
        pre: (v, n) uint64, the preprocessed columns.

    Returns:
        One (n,) uint64 array for each output.

    Raises:
        ValueError: the expressions read bus columns or runtime constants.
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


def evaluate_point(code: Straight, leaves: Mapping[int, Sequence[Ext]], params: Sequence[int]) -> list[Ext]:
    """Values of the outputs at one extension point, canonical.

    Sums and steps of fingerprints are not reduced on the way: Python's integers have room for them, and products reduce.

    Args:
        code: the expressions.
        leaves: for each kind of column (MAIN, PRE, BUS, BUS_NEXT) its columns' values at the point.
        params: the runtime constants, in the base field.

    Returns:
        One extension element for each output.
    """
    values: list[Any] = []  # three integers; of a pair the two operands' values
    products: dict[tuple[int, int], tuple[Ext, Ext, Ext]] = {}
    for kind, a, b in code.nodes:
        if kind == PAIR:
            values.append((values[a], values[b]))
        elif kind >= EXT_STEP:
            (x0, x1, x2), ((v0, v1, v2), factor) = _coordinate(values[a], kind - EXT_STEP), values[b]
            k, _, _ = _coordinate(factor, kind - EXT_STEP)  # of runtime constants, and so in the base field
            values.append((x0 - v0 * k, x1 - v1 * k, x2 - v2 * k))
        elif kind >= EXT_MUL:
            if (a, b) not in products:
                products[a, b] = _product(_coordinates(values[a]), _coordinates(values[b]))
            values.append(products[a, b][kind - EXT_MUL])
        elif kind == ADD:
            values.append(_add(values[a], values[b]))
        elif kind == SUB:
            values.append(_sub(values[a], values[b]))
        elif kind == MUL:
            values.append(ext_mul(values[a], values[b]))
        elif kind == CONST:
            values.append((a, 0, 0))
        elif kind == PARAM:
            values.append((params[a], 0, 0))
        else:
            values.append(leaves[kind][a])
    return [(x0 % P, x1 % P, x2 % P) for x0, x1, x2 in (values[position] for position in code.outputs)]


def _add(a: Ext, b: Ext) -> Ext:
    """a + b, not reduced."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _sub(a: Ext, b: Ext) -> Ext:
    """a - b, not reduced."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _coordinate(triple: Any, c: int) -> Ext:
    """One of the coordinates that two nested pairs hold."""
    value: Ext = triple[1][c - 1] if c else triple[0]
    return value


def _coordinates(triple: Any) -> tuple[Ext, Ext, Ext]:
    first, (second, third) = triple
    return first, second, third


def _product(a: tuple[Ext, Ext, Ext], b: tuple[Ext, Ext, Ext]) -> tuple[Ext, Ext, Ext]:
    """Coordinates of a product modulo x^3 - x - 1 by Karatsuba, the coordinates themselves being extension elements."""
    p0, p1, p2 = (ext_mul(x, y) for x, y in zip(a, b, strict=True))
    s01 = _sub(_sub(ext_mul(_add(a[0], a[1]), _add(b[0], b[1])), p0), p1)
    s02 = _sub(_sub(ext_mul(_add(a[0], a[2]), _add(b[0], b[2])), p0), p2)
    s12 = _sub(_sub(ext_mul(_add(a[1], a[2]), _add(b[1], b[2])), p1), p2)
    return _add(p0, s12), _add(_add(s01, s12), p2), _add(_add(s02, p1), p2)
