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
    append = values.append
    for kind, a, b in code.nodes:
        if kind == PAIR:
            append((values[a], values[b]))
        elif kind == MUL:
            append(ext_mul(values[a], values[b]))
        elif kind == SUB:
            append(_sub(values[a], values[b]))
        elif kind == ADD:
            append(_add(values[a], values[b]))
        elif kind >= EXT_STEP:
            (x0, x1, x2), ((v0, v1, v2), factor) = _coordinate(values[a], kind - EXT_STEP), values[b]
            k, _, _ = _coordinate(factor, kind - EXT_STEP)  # of runtime constants, and so in the base field
            append((x0 - v0 * k, x1 - v1 * k, x2 - v2 * k))
        elif kind >= EXT_MUL:
            if (a, b) not in products:
                products[a, b] = _product(_coordinates(values[a]), _coordinates(values[b]))
            append(products[a, b][kind - EXT_MUL])
        elif kind == CONST:
            append((a, 0, 0))
        elif kind == PARAM:
            append((params[a], 0, 0))
        else:
            append(leaves[kind][a])
    return [(x0 % P, x1 % P, x2 % P) for x0, x1, x2 in (values[position] for position in code.outputs)]


def _add(a: Ext, b: Ext) -> Ext:
    """a + b, not reduced."""
    a0, a1, a2 = a
    b0, b1, b2 = b
    return a0 + b0, a1 + b1, a2 + b2


def _sub(a: Ext, b: Ext) -> Ext:
    """a - b, not reduced."""
    a0, a1, a2 = a
    b0, b1, b2 = b
    return a0 - b0, a1 - b1, a2 - b2


def _mul(a: Ext, b: Ext) -> Ext:
    """a b, not reduced."""
    a0, a1, a2 = a
    b0, b1, b2 = b
    c3 = a1 * b2 + a2 * b1
    c4 = a2 * b2
    return a0 * b0 + c3, a0 * b1 + a1 * b0 + c3 + c4, a0 * b2 + a1 * b1 + a2 * b0 + c4


def _coordinate(triple: Any, c: int) -> Ext:
    """One of the coordinates that two nested pairs hold."""
    value: Ext = triple[1][c - 1] if c else triple[0]
    return value


def _coordinates(triple: Any) -> tuple[Ext, Ext, Ext]:
    first, (second, third) = triple
    return first, second, third


def _product(a: tuple[Ext, Ext, Ext], b: tuple[Ext, Ext, Ext]) -> tuple[Ext, Ext, Ext]:
    """Coordinates of a product modulo x^3 - x - 1 by Karatsuba, the coordinates themselves being extension elements.

    With p_i = a_i b_i and s_ij = (a_i + a_j) (b_i + b_j) they are p0 - p1 - p2 + s12, s01 + s12 - p0 - 2 p1 and p1 - p0 + s02.
    """
    (a0, a1, a2), (b0, b1, b2) = a, b
    p0, p1, p2 = _mul(a0, b0), _mul(a1, b1), _mul(a2, b2)
    s01, s02 = _mul(_add(a0, a1), _add(b0, b1)), _mul(_add(a0, a2), _add(b0, b2))
    crossed = _sub(_mul(_add(a1, a2), _add(b1, b2)), p1)
    third = _sub(p1, p0)
    return _reduced(_add(_sub(p0, p2), crossed)), _reduced(_sub(_add(s01, crossed), _add(p0, p1))), _reduced(_add(s02, third))


def _reduced(a: Ext) -> Ext:
    a0, a1, a2 = a
    return a0 % P, a1 % P, a2 % P
