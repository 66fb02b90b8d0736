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


WITH_ALPHA = {"LeakyRelu": 0.01, "ThresholdedRelu": 1.0, "Elu": 1.0, "Affine": 1.0, "ScaledTanh": 1.0, "HardSigmoid": 0.2}
WITH_BETA = {"Affine": 0.0, "ScaledTanh": 1.0, "HardSigmoid": 0.5}
Function = Callable[[str], str]


def _functions(builder: Builder, node: Node, directions: int) -> list[Function]:
    """The activations of all directions, with their parameters; what goes into one is cut first if the node says so."""
    names = node.attributes.get("activations") or DEFAULTS[node.operator] * directions
    alphas, betas = (list(node.attributes.get(f"activation_{letter}") or []) for letter in ("alpha", "beta"))
    clip = float(node.attributes.get("clip", 0.0))
    functions = []
    for position, given in enumerate(names):
        name = given.decode() if isinstance(given, bytes) else given
        known = {key.lower(): key for key in (*WITH_ALPHA, "Tanh", "Sigmoid", "Relu", "Softsign", "Softplus")}
        if name.lower() not in known:
            raise UsageError(f"{node.operator} {node.name!r}: activation {name} is not supported")
        name = known[name.lower()]
        alpha = (alphas.pop(0) if alphas else WITH_ALPHA[name]) if name in WITH_ALPHA else 0.0
        beta = (betas.pop(0) if betas else WITH_BETA[name]) if name in WITH_BETA else 0.0
        state = node.operator == "LSTM" and position % 3 == 2  # onnxruntime does not cut the state of a cell
        functions.append(_function(builder, name, float(alpha), float(beta), 0.0 if state else clip))
    return functions


def _function(builder: Builder, name: str, alpha: float, beta: float, clip: float) -> Function:
    def apply(source: str) -> str:
        if clip:
            source = builder.node("Clip", [source, builder.constant(-clip), builder.constant(clip)])
        if name == "Affine":
            return builder.node("Add", [builder.node("Mul", [source, builder.constant(alpha)]), builder.constant(beta)])
        if name == "ScaledTanh":
            return builder.node(
                "Mul", [builder.node("Tanh", [builder.node("Mul", [source, builder.constant(beta)])]), builder.constant(alpha)]
            )
        if name == "HardSigmoid":
            return builder.node(name, [source], alpha=alpha, beta=beta)
        return builder.node(name, [source], alpha=alpha) if name in WITH_ALPHA else builder.node(name, [source])

    return apply


@rewrites("RNN", "GRU", "LSTM")
def rewrite_recurrent(builder: Builder, node: Node) -> bool:
    """One direction after the other, step by step."""
    batch_first = bool(node.attributes.get("layout", 0))
    shape = builder.shapes[node.inputs[0]]
    steps, batch = (shape[1], shape[0]) if batch_first else shape[:2]
    weights, recurrent = builder.required(node, 1), builder.required(node, 2)
    directions, hidden = recurrent.shape[0], recurrent.shape[2]
    biases = builder.required(node, 3) if node.has(3) else np.zeros((directions, 2 * weights.shape[1]), np.float32)
    inputs = [
        builder.node("Gather", [node.inputs[0], builder.constant(step, np.int64)], axis=int(batch_first))  # (batch, input)
        for step in range(steps)
    ]
    masks = _masks(builder, node, steps)
    functions = _functions(builder, node, directions)
    per_direction = len(DEFAULTS[node.operator])
    outputs: list[list[str]] = []
    finals: list[tuple[str, str]] = []
    for direction in range(directions):
        backward = node.attributes.get("direction", "forward") == "reverse" or direction == 1
        state = tuple(_initial(builder, node, position, direction, batch, hidden, batch_first) for position in (5, 6))
        chosen = functions[direction * per_direction : (direction + 1) * per_direction]
        step = _step(builder, node, direction, (weights[direction], recurrent[direction], biases[direction]), chosen)
        per_step = [""] * steps
        for position in reversed(range(steps)) if backward else range(steps):
            new = step(inputs[position], state[0], state[1])
            per_step[position] = new[0]
            if masks:  # a sequence that has ended keeps its state, and its output is 0
                per_step[position] = builder.node("Where", [masks[position], new[0], builder.constant(0.0)])
                new = (_kept(builder, masks[position], new[0], state[0]), _kept(builder, masks[position], new[1], state[1]))
            state = new
        outputs.append(per_step)
        finals.append((state[0], state[1]))
    _outputs(builder, node, outputs, finals, batch_first)
    return True


def _kept(builder: Builder, mask: str, new: str, old: str) -> str:
    return builder.node("Where", [mask, new, old]) if new else ""


def _masks(builder: Builder, node: Node, steps: int) -> list[str]:
    """For each step which sequences of the batch it belongs to; nothing if it belongs to all."""
    if not node.has(4):
        return []
    lengths = builder.constants.get(node.inputs[4])
    if lengths is not None and (lengths >= steps).all():
        return []
    column = builder.node("Unsqueeze", [builder.node("Cast", [node.inputs[4]], to=6), builder.integers(1)])
    return [builder.node("Greater", [column, builder.constant(step, np.int32)]) for step in range(steps)]


def _initial(builder: Builder, node: Node, position: int, direction: int, batch: int, hidden: int, batch_first: bool) -> str:
    if position == 6 and node.operator != "LSTM":
        return ""
    if not node.has(position):
        return builder.constant(np.zeros((batch, hidden)))
    return builder.node("Gather", [node.inputs[position], builder.constant(direction, np.int64)], axis=int(batch_first))


def _gates(builder: Builder, parts: list[str], weights: list[Array], bias: Array) -> str:
    """One dense layer over the parts laid side by side: (batch, gates * hidden)."""
    joined = builder.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]
    matrix = builder.constant(np.concatenate(weights, axis=1))
    return builder.node("Gemm", [joined, matrix, builder.constant(bias)], transB=1)


def _step(builder: Builder, node: Node, direction: int, arrays: tuple[Array, Array, Array], functions: list[Function]) -> Step:
    if node.operator == "RNN":
        return _rnn_step(builder, *arrays, functions)
    if node.operator == "GRU":
        return _gru_step(builder, node, *arrays, functions)
    holes = builder.required(node, 7)[direction] if node.has(7) else None
    return _lstm_step(builder, node, arrays, functions, holes)


def _rnn_step(builder: Builder, weights: Array, recurrent: Array, biases: Array, functions: list[Function]) -> Step:
    total = biases[: len(biases) // 2] + biases[len(biases) // 2 :]

    def step(x: str, h: str, c: str) -> tuple[str, str]:
        return functions[0](_gates(builder, [x, h], [weights, recurrent], total)), ""

    return step


def _lstm_step(builder: Builder, node: Node, arrays: tuple[Array, Array, Array], functions: list[Function], holes: Array | None) -> Step:
    """Gates in the order input, output, forget, cell; peepholes in the order input, output, forget."""
    weights, recurrent, biases = arrays
    total = biases[: len(biases) // 2] + biases[len(biases) // 2 :]
    peeks = [] if holes is None else [builder.constant(part) for part in np.split(holes, 3)]

    def peeked(gate: str, cell: str, which: int) -> str:
        return builder.node("Add", [gate, builder.node("Mul", [cell, peeks[which]])]) if peeks else gate

    def step(x: str, h: str, c: str) -> tuple[str, str]:
        parts = builder.split(_gates(builder, [x, h], [weights, recurrent], total), 4, 1)
        entry = functions[0](peeked(parts[0], c, 0))
        if node.attributes.get("input_forget", 0):
            forget = builder.node("Sub", [builder.constant(1.0), entry])
        else:
            forget = functions[0](peeked(parts[2], c, 2))
        candidate = functions[1](parts[3])
        cell = builder.node("Add", [builder.node("Mul", [forget, c]), builder.node("Mul", [entry, candidate])])
        return builder.node("Mul", [functions[0](peeked(parts[1], cell, 1)), functions[2](cell)]), cell

    return step


def _gru_step(builder: Builder, node: Node, weights: Array, recurrent: Array, biases: Array, functions: list[Function]) -> Step:
    """Gates in the order update, reset, candidate."""
    size = recurrent.shape[1]
    split, outer, inner = 2 * size, biases[: 3 * size], biases[3 * size :]
    before = bool(node.attributes.get("linear_before_reset", 0))

    def step(x: str, h: str, c: str) -> tuple[str, str]:
        both = _gates(builder, [x, h], [weights[:split], recurrent[:split]], outer[:split] + inner[:split])
        update, reset = (functions[0](part) for part in builder.split(both, 2, 1))
        if before:
            kept = builder.node("Mul", [reset, _gates(builder, [h], [recurrent[split:]], inner[split:])])
            total = builder.node("Add", [_gates(builder, [x], [weights[split:]], outer[split:]), kept])
        else:
            kept = builder.node("Mul", [reset, h])
            total = _gates(builder, [x, kept], [weights[split:], recurrent[split:]], outer[split:] + inner[split:])
        candidate = functions[1](total)
        change = builder.node("Mul", [update, builder.node("Sub", [h, candidate])])
        return builder.node("Add", [candidate, change]), ""

    return step


def _outputs(builder: Builder, node: Node, outputs: list[list[str]], finals: list[tuple[str, str]], batch_first: bool) -> None:
    """Y (steps, directions, batch, hidden), Y_h and Y_c (directions, batch, hidden); with the batch first if the node says so."""
    if node.outputs[0]:
        first = builder.integers(1, 2) if batch_first else builder.integers(0, 1)
        steps = [
            builder.node("Concat", [builder.node("Unsqueeze", [part[step], first]) for part in outputs], axis=2 if batch_first else 1)
            for step in range(len(outputs[0]))
        ]
        builder.node("Concat", steps, node.outputs[0], axis=int(batch_first))
    for position, name in enumerate(node.outputs[1:3]):
        if name:
            axis = builder.integers(int(batch_first))
            builder.node("Concat", [builder.node("Unsqueeze", [final[position], axis]) for final in finals], name, axis=int(batch_first))
