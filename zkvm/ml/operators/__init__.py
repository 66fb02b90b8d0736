"""Operator families: for each, integer semantics, lowering from ONNX, and C code. Importing this package registers them all."""

from zkvm.ml.operators import binary, linear, matmul, move, pool, quantized, reduce, select, softmax, trees, unary

__all__ = ["binary", "linear", "matmul", "move", "pool", "quantized", "reduce", "select", "softmax", "trees", "unary"]
