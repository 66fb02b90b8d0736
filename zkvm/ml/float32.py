"""The guest's floats in numpy: IEEE 754 binary32, as bits in signed words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.arithmetic import IntArray

NAN = 0x7FC00000


def to_bits(numbers: NDArray[Any]) -> IntArray:
    """Bits of float32 numbers as signed words; every NaN as one."""
    array = np.asarray(numbers, np.float32)
    return np.where(np.isnan(array), NAN, np.atleast_1d(array).view(np.int32).reshape(array.shape).astype(np.int64))


def to_floats(bits: IntArray) -> NDArray[np.float32]:
    """The float32 numbers of words."""
    return np.atleast_1d(np.asarray(bits)).astype(np.int32).view(np.float32).reshape(np.shape(bits))


def _binary(function: Callable[..., Any]) -> Callable[[IntArray, IntArray], IntArray]:
    def compute(a: IntArray, b: IntArray) -> IntArray:
        with np.errstate(all="ignore"):
            result = function(to_floats(a), to_floats(b))
        return to_bits(result) if result.dtype == np.float32 else result.astype(np.int64)

    return compute


BINARY = {
    name: _binary(f)
    for name, f in {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "max": np.maximum,
        "min": np.minimum,
        "lt": np.less,
        "le": np.less_equal,
        "eq": np.equal,
    }.items()
}
UNARY: dict[str, Callable[[IntArray], IntArray]] = {}
