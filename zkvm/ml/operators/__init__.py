"""ONNX operators, by family: functions that append the operations of a node. Importing this package registers them all."""

from zkvm.ml.lowering import FLOAT_LOWERINGS, LOWERINGS
from zkvm.ml.operators import (
    binary,
    compare,
    float_casts,
    floatlinear,
    floatreduce,
    floats,
    integers,
    linear,
    matmul,
    move,
    pool,
    quantized,
    reduce,
    select,
    softmax,
    trees,
    unary,
)  # fmt: skip

__all__ = [
    "FLOAT_LOWERINGS", "LOWERINGS",
    "binary", "compare", "float_casts", "floatlinear", "floatreduce", "floats", "integers", "linear", "matmul", "move", "pool",
    "quantized", "reduce", "select", "softmax", "trees", "unary",
]  # fmt: skip
