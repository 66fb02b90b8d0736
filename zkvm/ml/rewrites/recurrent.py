"""RNN, GRU and LSTM, unrolled over the steps of the sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml.node import Node
from zkvm.ml.rewrites.builder import Builder, rewrites

Array = NDArray[Any]
Step = Callable[[str, str, str], tuple[str, str]]
"""(input, hidden state, cell state) -> the new states."""
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


@rewrites("RNN", "GRU", "LSTM")
def rewrite_recurrent(builder: Builder, node: Node) -> bool:
    """One direction after the other, step by step."""
    if node.attributes.get("layout", 0) or node.has(4) or "clip" in node.attributes or node.attributes.get("input_forget", 0):
        raise UsageError(f"{node.operator} {node.name!r}: layout 1, sequence_lens, clip and input_forget are not supported")
    if node.operator == "LSTM" and node.has(7):
        raise UsageError(f"LSTM {node.name!r}: peepholes are not supported")
    steps, batch, _ = builder.shapes[node.inputs[0]]
    weights, recurrent = builder.required(node, 1), builder.required(node, 2)
    directions, hidden = recurrent.shape[0], recurrent.shape[2]
    biases = builder.required(node, 3) if node.has(3) else np.zeros((directions, 2 * weights.shape[1]), np.float32)
    inputs = [
        builder.node("Gather", [node.inputs[0], builder.constant(step, np.int64)], axis=0)  # (batch, input)
        for step in range(steps)
    ]
    names = node.attributes.get("activations")
    functions = [name.decode() if isinstance(name, bytes) else name for name in names] if names else DEFAULTS[node.operator] * directions
    per_direction = len(DEFAULTS[node.operator])
    outputs: list[list[str]] = []
    finals: list[tuple[str, str]] = []
    for direction in range(directions):
        backward = node.attributes.get("direction", "forward") == "reverse" or direction == 1
        state = tuple(_initial(builder, node, position, direction, batch, hidden) for position in (5, 6))
        chosen = functions[direction * per_direction : (direction + 1) * per_direction]
        step = _step(builder, node, weights[direction], recurrent[direction], biases[direction], chosen)
        per_step = [""] * steps
        for position in reversed(range(steps)) if backward else range(steps):
            state = step(inputs[position], state[0], state[1])
            per_step[position] = state[0]
        outputs.append(per_step)
        finals.append((state[0], state[1]))
    _outputs(builder, node, outputs, finals)
    return True


def _initial(builder: Builder, node: Node, position: int, direction: int, batch: int, hidden: int) -> str:
    if position == 6 and node.operator != "LSTM":
        return ""
    if not node.has(position):
        return builder.constant(np.zeros((batch, hidden)))
    return builder.node("Gather", [node.inputs[position], builder.constant(direction, np.int64)], axis=0)


def _gates(builder: Builder, parts: list[str], weights: list[Array], bias: Array) -> str:
    """One dense layer over the parts laid side by side: (batch, gates * hidden)."""
    joined = builder.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]
    matrix = builder.constant(np.concatenate(weights, axis=1))
    return builder.node("Gemm", [joined, matrix, builder.constant(bias)], transB=1)


def _step(builder: Builder, node: Node, weights: Array, recurrent: Array, biases: Array, functions: list[str]) -> Step:
    if node.operator == "RNN":
        return _rnn_step(builder, weights, recurrent, biases, functions)
    return (_lstm_step if node.operator == "LSTM" else _gru_step)(builder, node, weights, recurrent, biases, functions)


def _rnn_step(builder: Builder, weights: Array, recurrent: Array, biases: Array, functions: list[str]) -> Step:
    total = biases[: len(biases) // 2] + biases[len(biases) // 2 :]

    def step(x: str, h: str, c: str) -> tuple[str, str]:
        return builder.node(functions[0], [_gates(builder, [x, h], [weights, recurrent], total)]), ""

    return step


def _lstm_step(builder: Builder, node: Node, weights: Array, recurrent: Array, biases: Array, functions: list[str]) -> Step:
    """Gates in the order input, output, forget, cell."""
    total = biases[: len(biases) // 2] + biases[len(biases) // 2 :]

    def step(x: str, h: str, c: str) -> tuple[str, str]:
        parts = builder.split(_gates(builder, [x, h], [weights, recurrent], total), 4, 1)
        entry, exit_, forget = (builder.node(functions[0], [part]) for part in parts[:3])
        candidate = builder.node(functions[1], [parts[3]])
        cell = builder.node("Add", [builder.node("Mul", [forget, c]), builder.node("Mul", [entry, candidate])])
        return builder.node("Mul", [exit_, builder.node(functions[2], [cell])]), cell

    return step


def _gru_step(builder: Builder, node: Node, weights: Array, recurrent: Array, biases: Array, functions: list[str]) -> Step:
    """Gates in the order update, reset, candidate."""
    size = recurrent.shape[1]
    split, outer, inner = 2 * size, biases[: 3 * size], biases[3 * size :]
    before = bool(node.attributes.get("linear_before_reset", 0))

    def step(x: str, h: str, c: str) -> tuple[str, str]:
        both = _gates(builder, [x, h], [weights[:split], recurrent[:split]], outer[:split] + inner[:split])
        update, reset = (builder.node(functions[0], [part]) for part in builder.split(both, 2, 1))
        if before:
            kept = builder.node("Mul", [reset, _gates(builder, [h], [recurrent[split:]], inner[split:])])
            total = builder.node("Add", [_gates(builder, [x], [weights[split:]], outer[split:]), kept])
        else:
            kept = builder.node("Mul", [reset, h])
            total = _gates(builder, [x, kept], [weights[split:], recurrent[split:]], outer[split:] + inner[split:])
        candidate = builder.node(functions[1], [total])
        change = builder.node("Mul", [update, builder.node("Sub", [h, candidate])])
        return builder.node("Add", [candidate, change]), ""

    return step


def _outputs(builder: Builder, node: Node, outputs: list[list[str]], finals: list[tuple[str, str]]) -> None:
    """Y (steps, directions, batch, hidden), Y_h and Y_c (directions, batch, hidden)."""
    if node.outputs[0]:
        first = builder.constant([0, 1], np.int64)
        steps = [
            builder.node("Concat", [builder.node("Unsqueeze", [part[step], first]) for part in outputs], axis=1)
            for step in range(len(outputs[0]))
        ]
        builder.node("Concat", steps, node.outputs[0], axis=0)
    for position, name in enumerate(node.outputs[1:3]):
        if name:
            axis = builder.constant([0], np.int64)
            builder.node("Concat", [builder.node("Unsqueeze", [final[position], axis]) for final in finals], name, axis=0)
