"""Transformers of the sizes that the performance page speaks of: blocks of causal attention and a dense part, with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser

MASKED = -1e9
"""Added to a score that a token must not see."""


def transformer(blocks: int, width: int, heads: int, tokens: int) -> onnx.ModelProto:
    """Embedded tokens through blocks, each normalised first; the width of the dense part is four times the model's.

    Args:
        blocks: one behind the other.
        width: of a token.
        heads: of attention, which divide the width.
        tokens: of the sequence.

    Returns:
        A model from (1, tokens, width) to the same shape.
    """
    random = np.random.default_rng(3)
    constants: dict[str, NDArray[Any]] = {
        "split": np.array([1, tokens, heads, width // heads]),
        "whole": np.array([1, tokens, width]),
        "root": np.array((width / heads) ** 0.5, np.float32),
        "mask": np.triu(np.full((tokens, tokens), MASKED, np.float32), 1),
        "one": np.ones(width, np.float32),
        "zero": np.zeros(width, np.float32),
    }
    nodes: list[str] = []
    for number in range(blocks):
        before, after = ("x" if number == 0 else f"out{number - 1}"), ("y" if number == blocks - 1 else f"out{number}")
        sizes = {"q": (width, width), "k": (width, width), "v": (width, width), "o": (width, width), "up": (width, 4 * width)}
        for name, (taps, channels) in (sizes | {"down": (4 * width, width)}).items():
            constants[f"{name}{number}"] = (random.standard_normal((taps, channels)) / np.sqrt(taps)).astype(np.float32)
        nodes += [line.replace("#", str(number)) for line in _block(before, after)]
    graph = helper.make_graph(
        [parser.parse_node(node) for node in nodes],
        "transformer",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, tokens, width])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, tokens, width])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _block(before: str, after: str) -> list[str]:
    """Nodes of one block; # is its number."""
    turned = {"q": "[0, 2, 1, 3]", "k": "[0, 2, 3, 1]", "v": "[0, 2, 1, 3]"}
    attention = []
    for name, order in turned.items():
        attention += [
            f"{name}p# = MatMul(n#, {name}#)", f"{name}s# = Reshape({name}p#, split)", f"{name}t# = Transpose<perm={order}>({name}s#)"
        ]  # fmt: skip
    return [
        f"n# = LayerNormalization<axis=-1>({before}, one, zero)",
        *attention,
        "s# = MatMul(qt#, kt#)", "d# = Div(s#, root)", "m# = Add(d#, mask)", "p# = Softmax<axis=-1>(m#)", "a# = MatMul(p#, vt#)",
        "at# = Transpose<perm=[0, 2, 1, 3]>(a#)", "aw# = Reshape(at#, whole)", "ao# = MatMul(aw#, o#)", f"h# = Add({before}, ao#)",
        "l# = LayerNormalization<axis=-1>(h#, one, zero)", "u# = MatMul(l#, up#)", "g# = Gelu(u#)", "e# = MatMul(g#, down#)",
        f"{after} = Add(h#, e#)",
    ]  # fmt: skip
