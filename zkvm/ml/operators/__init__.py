"""ONNX operators, by family: functions that append the operations of a node. Importing this package registers them all."""

from zkvm.ml.lowering import LOWERINGS
from zkvm.ml.operators import binary, compare, linear, matmul, move, pool, quantized, reduce, select, softmax, trees, unary

__all__ = [
    "LOWERINGS",
    "binary", "compare", "linear", "matmul", "move", "pool", "quantized", "reduce", "select", "softmax", "trees", "unary",
]  # fmt: skip
