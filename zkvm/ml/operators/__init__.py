"""Operator families: for each, integer semantics, lowering from ONNX, and C code. Importing this package registers them all."""

from zkvm.ml.operators import binary, compare, linear, matmul, move, pool, quantized, reduce, select, softmax, trees, unary

__all__ = ["binary", "compare", "linear", "matmul", "move", "pool", "quantized", "reduce", "select", "softmax", "trees", "unary"]
