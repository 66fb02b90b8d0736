"""Walks straight-line expressions with numpy columns (the checker) or extension scalars (the verifier)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.air.expression import ADD, BUS, BUS_NEXT, CONST, EXT_MUL, EXT_STEP, MAIN, MUL, PAIR, PARAM, PRE, SUB, Straight
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


def evaluate_point(code: Straight, leaves: Mapping[int, Sequence[Ext]], params: Sequence[int]) -> list[Ext]:
    """Values of the outputs at one extension point.

    Args:
        leaves: by kind (MAIN, PRE, BUS, BUS_NEXT) the columns' values at the point. params: runtime constants, base field.
    """
    values: list[Any] = []  # an Ext; of a pair the two operands' values
    products: dict[tuple[int, int], tuple[Ext, Ext, Ext]] = {}
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
        elif kind == MUL:
            values.append(extension.ext_mul(values[a], values[b]))
        elif kind == PAIR:
            values.append((values[a], values[b]))
        elif kind >= EXT_STEP:
            value, factor = values[b]
            c = kind - EXT_STEP
            values.append(extension.ext_sub(_coordinates(values[a])[c], extension.ext_mul(value, _coordinates(factor)[c])))
        else:
            if (a, b) not in products:
                products[a, b] = _product(_coordinates(values[a]), _coordinates(values[b]))
            values.append(products[a, b][kind - EXT_MUL])
    return [values[position] for position in code.outputs]


def _coordinates(pair: Any) -> tuple[Ext, Ext, Ext]:
    first, (second, third) = pair
    return first, second, third


def _product(a: tuple[Ext, Ext, Ext], b: tuple[Ext, Ext, Ext]) -> tuple[Ext, Ext, Ext]:
    """Coordinates of a product modulo x^3 - x - 1 by Karatsuba, the coordinates themselves being extension elements."""
    add, sub, mul = extension.ext_add, extension.ext_sub, extension.ext_mul
    p0, p1, p2 = (mul(x, y) for x, y in zip(a, b, strict=True))
    s01 = sub(sub(mul(add(a[0], a[1]), add(b[0], b[1])), p0), p1)
    s02 = sub(sub(mul(add(a[0], a[2]), add(b[0], b[2])), p0), p2)
    s12 = sub(sub(mul(add(a[1], a[2]), add(b[1], b[2])), p1), p2)
    return add(p0, s12), add(add(s01, s12), p2), add(add(s02, p1), p2)
