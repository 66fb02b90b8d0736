"""Bounds of the tensors inside a model, from the domain of its inputs and its weights: interval arithmetic, element by element.

What an operator makes of intervals is computed by the operator itself where it is monotone or moves elements; linear layers take centre and
radius, so that a chain of them loses nothing but what neighbours have in common. Operators that are not here have no bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zkvm.errors import UsageError
from zkvm.ml import onnx_runtime
from zkvm.ml.arithmetic import FloatArray
from zkvm.ml.domain import Domain
from zkvm.ml.importer import ImportedModel
from zkvm.ml.node import Node
from zkvm.ml.operators.move import MOVED

Shapes = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
Interval = tuple[FloatArray, FloatArray]
ROUNDING = 1e-5
"""What float32 sums may be off, as a part of what is summed."""
GROWING = {
    "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Softplus", "Softsign", "Selu", "Asin", "Atan", "Sinh", "Asinh", "Atanh",
    "Sign", "Floor", "Ceil", "Round", "Cast", "Clip", "MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "ReduceMax",
    "ReduceMin", "ReduceSum", "ReduceMean", "ReduceLogSumExp", "Max", "Min", "Sum", "Mean", "CumSum", "QuantizeLinear",
    "DequantizeLinear",
}  # fmt: skip
"""Operators that never fall when an element of a non-constant input grows."""
GROWING_IF = {"LeakyRelu": ("alpha", 0.01), "Elu": ("alpha", 1.0), "Celu": ("alpha", 1.0), "HardSigmoid": ("alpha", 0.2)}
"""The same if an attribute, with this default, is not negative."""
SIZES = ("ReduceL1", "ReduceL2", "ReduceSumSquare", "LpPool", "GlobalLpPool")
"""Operators that see magnitudes only, and never fall when one grows."""
FIXED = {
    "Softmax": (0.0, 1.0), "Hardmax": (0.0, 1.0), "Sin": (-1.0, 1.0), "Cos": (-1.0, 1.0),
    **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "And", "Or", "Xor", "Not", "IsNaN", "IsInf"), (0.0, 1.0)),
}  # fmt: skip
"""What an operator's results are within, whatever its inputs are."""
VALLEYS = {"Gelu": -0.171, "Mish": -0.309, "HardSwish": -0.376, "Swish": -0.279}
"""Functions that fall to a least value, and then grow."""


@dataclass
class _Tracer:
    """Bounds of the tensors so far, by name."""

    model: ImportedModel
    shapes: Shapes
    known: dict[str, Interval]

    def interval(self, name: str) -> Interval:
        """Bounds of an input of a node; without limits if nothing is known."""
        if name in self.model.constants:
            array = np.asarray(self.model.constants[name], np.float64)
            return array, array
        if name in self.known:
            return self.known[name]
        shape, _ = self.shapes[name]
        return np.full(shape, -np.inf), np.full(shape, np.inf)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Of a tensor, constant or not."""
        return self.model.constants[name].dtype if name in self.model.constants else self.shapes[name][1]

    def run(self, node: Node, arrays: list[FloatArray]) -> list[FloatArray]:
        """The node on numbers."""
        typed = []
        for name, array in zip(node.inputs, arrays, strict=True):
            if name and self.dtype(name).kind != "f" and not np.isfinite(array).all():
                raise ValueError("integers without bounds")
            typed.append(array.astype(self.dtype(name)) if name else np.zeros(0))
        return [np.asarray(array, np.float64) for array in onnx_runtime.run_node(node, typed, self.model.opset)]

    def ends(self, node: Node, moved: tuple[int, ...] | None = None) -> list[Interval]:
        """The node on the lower and on the upper ends of its inputs (of some of them: the others must be constant)."""
        pairs = [self.interval(name) if name else (np.zeros(0), np.zeros(0)) for name in node.inputs]
        if moved is not None and any(
            name and name not in self.model.constants for place, name in enumerate(node.inputs) if place not in moved
        ):
            raise ValueError("a parameter that is computed")
        lows, highs = self.run(node, [low for low, _ in pairs]), self.run(node, [high for _, high in pairs])
        return list(zip(lows, highs, strict=True))


def tensor_bounds(model: ImportedModel, domain: Domain, shapes: Shapes) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every tensor for which operators and weights say one; infinite where they do not.

    Args:
        model: the simplified model.
        domain: of its inputs.
        shapes: and dtypes of all tensors.
    """
    tracer = _Tracer(model, shapes, {name: (span.low, span.high) for name, span in domain.spans.items()})
    for node in model.nodes:
        try:
            with np.errstate(all="ignore"):
                results = _results(tracer, node)
            for name, (low, high) in zip(node.outputs, results, strict=False):
                if name and name in shapes:
                    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
                    tracer.known[name] = np.broadcast_to(low, shapes[name][0]), np.broadcast_to(high, shapes[name][0])
        except (UsageError, ValueError, IndexError, KeyError, TypeError):  # what has no bounds has wide ones
            continue
    return {name: (float(low.min(initial=np.inf)), float(high.max(initial=-np.inf))) for name, (low, high) in tracer.known.items()}


def _results(tracer: _Tracer, node: Node) -> list[Interval]:
    """Bounds of a node's outputs."""
    operator = node.operator
    if operator in FIXED:
        low, high = (np.full(tracer.shapes[node.outputs[0]][0], limit) for limit in FIXED[operator])
        return [(low, high)]
    if operator in HANDLERS:
        return [HANDLERS[operator](tracer, node)]
    if operator in GROWING:
        return tracer.ends(node)
    if operator in GROWING_IF and node.attributes.get(*GROWING_IF[operator]) >= 0:
        return tracer.ends(node)
    if operator in VALLEYS:
        (low, high), (first, last) = tracer.interval(node.inputs[0]), tracer.ends(node)[0]
        least = np.where(high < -4, np.minimum(first, last), np.where(low > 0, first, VALLEYS[operator]))
        return [(least, np.maximum(np.where(np.isnan(first), 0.0, first), last))]
    if operator in SIZES:
        least, most = _magnitudes(tracer.interval(node.inputs[0]))
        rest = [tracer.interval(name)[0] if name else np.zeros(0) for name in node.inputs[1:]]
        return [(tracer.run(node, [least, *rest])[0], tracer.run(node, [most, *rest])[0] * (1 + ROUNDING))]
    if operator in ("ArgMax", "ArgMin"):
        size = tracer.shapes[node.inputs[0]][0][int(node.attributes.get("axis", 0))]
        return [_filled(tracer, node, 0.0, size - 1.0)]
    if operator == "TopK":
        low, high = tracer.interval(node.inputs[0])
        size = low.shape[int(node.attributes.get("axis", -1))]
        wide = np.full(tracer.shapes[node.outputs[0]][0] if node.outputs[0] else (), 0.0)
        places = np.zeros(tracer.shapes[node.outputs[1]][0]) if len(node.outputs) > 1 and node.outputs[1] else np.zeros(())
        return [(wide + low.min(), wide + high.max()), (places, places + size - 1.0)]
    if operator in MOVED and node.domain == "":
        if operator in ("Gather", "GatherElements") and node.inputs[1] not in tracer.model.constants:
            low, high = tracer.interval(node.inputs[0])
            return [_filled(tracer, node, float(low.min()), float(high.max()))]
        if operator == "Resize" and node.attributes.get("mode", "nearest") == "cubic":
            raise ValueError("overshoots")
        return tracer.ends(node, MOVED[operator] or tuple(range(len(node.inputs))))
    raise ValueError("no rule")


def _filled(tracer: _Tracer, node: Node, low: float, high: float) -> Interval:
    shape = tracer.shapes[node.outputs[0]][0]
    return np.full(shape, low), np.full(shape, high)


def _magnitudes(interval: Interval) -> Interval:
    low, high = interval
    largest = np.maximum(np.abs(low), np.abs(high))
    return np.where((low <= 0) & (high >= 0), 0.0, np.minimum(np.abs(low), np.abs(high))), largest


def _linear(tracer: _Tracer, node: Node) -> Interval:
    """Gemm, MatMul and convolutions with constant weights: centre and radius."""
    source, weights = (0, 1) if node.inputs[1] in tracer.model.constants else (1, 0)
    matrix, (low, high) = tracer.model.constants[node.inputs[weights]].astype(np.float64), tracer.interval(node.inputs[source])
    if not (np.isfinite(low).all() and np.isfinite(high).all()) or (weights == 0 and node.operator != "MatMul"):
        raise ValueError("no bounds")
    bare = replace(node, inputs=node.inputs[:2], attributes={**node.attributes, **({"alpha": 1.0} if node.operator == "Gemm" else {})})

    def product(values: FloatArray, factors: FloatArray) -> FloatArray:
        arrays = [values, factors] if source == 0 else [factors, values]
        return np.matmul(*arrays) if node.operator == "MatMul" else tracer.run(bare, arrays)[0]

    factor = float(node.attributes.get("alpha", 1.0)) if node.operator == "Gemm" else 1.0
    centre = product((low + high) / 2, matrix) * factor
    radius = product((high - low) / 2, np.abs(matrix)) * abs(factor) * (1 + ROUNDING)
    radius = radius + ROUNDING * product(np.abs(low + high) / 2, np.abs(matrix)) * abs(factor)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = tracer.model.constants[node.inputs[2]].astype(np.float64)
        if node.operator == "Gemm":
            centre = centre + bias * float(node.attributes.get("beta", 1.0))
        else:
            centre = centre + bias.reshape(-1, *[1] * (centre.ndim - 2))
    return centre - radius, centre + radius


def _batch_normalization(tracer: _Tracer, node: Node) -> Interval:
    low, high = tracer.interval(node.inputs[0])
    shape = (-1, *[1] * (low.ndim - 2))
    scale, shift, mean, variance = (tracer.model.constants[name].astype(np.float64).reshape(shape) for name in node.inputs[1:5])
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    first, last = (low - mean) * factor + shift, (high - mean) * factor + shift
    return np.minimum(first, last), np.maximum(first, last)


def _normalization(tracer: _Tracer, node: Node) -> Interval:
    """A row of n elements with mean 0 and variance 1 has none above the root of n; nor has one whose mean square is 1."""
    shape = tracer.shapes[node.inputs[0]][0]
    layer = node.operator in ("LayerNormalization", "RMSNormalization")
    size = np.prod(shape[int(node.attributes.get("axis", -1)) :] if layer else shape[2:], dtype=np.float64)
    gain = np.abs(tracer.model.constants[node.inputs[1]].astype(np.float64)) * np.sqrt(size)
    offset = tracer.model.constants[node.inputs[2]].astype(np.float64) if node.has(2) else np.zeros(())
    if not layer:
        gain, offset = (array.reshape(-1, *[1] * (len(shape) - 2)) for array in (gain, offset))
    return np.broadcast_to(offset - gain, shape), np.broadcast_to(offset + gain, shape)


def _product(left: Interval, right: Interval) -> Interval:
    ends = np.stack([np.where((a == 0) | (b == 0), 0.0, a * b) for a in left for b in right])
    return ends.min(axis=0), ends.max(axis=0)


def _arithmetic(tracer: _Tracer, node: Node) -> Interval:
    (a, b), (c, d) = (tracer.interval(name) for name in node.inputs[:2])
    if node.operator == "Add":
        return a + c, b + d
    if node.operator == "Sub":
        return a - d, b - c
    if node.operator == "Div":
        if ((c <= 0) & (d >= 0)).any():
            raise ValueError("division by 0")
        low, high = _product((a, b), (1 / d, 1 / c))
        whole = tracer.dtype(node.inputs[0]).kind in "iu"
        return (np.floor(low), np.ceil(high)) if whole else (low, high)
    if node.inputs[0] == node.inputs[1]:
        low, high = _magnitudes((a, b))
        return low * low, high * high
    low, high = _product((a, b), (c, d))
    return low, high


def _power(tracer: _Tracer, node: Node) -> Interval:
    exponent = np.unique(tracer.model.constants[node.inputs[1]].astype(np.float64))
    low, high = tracer.interval(node.inputs[0])
    if exponent.size != 1 or exponent[0] <= 0:
        raise ValueError("no rule")
    power = float(exponent[0])
    if power.is_integer() and int(power) % 2 == 0:
        low, high = _magnitudes((low, high))
    elif not power.is_integer() and (low < 0).any():
        raise ValueError("roots of negative numbers")
    return low**power, high**power * (1 + np.sign(high) * ROUNDING)


def _absolute(tracer: _Tracer, node: Node) -> Interval:
    return _magnitudes(tracer.interval(node.inputs[0]))


def _negative(tracer: _Tracer, node: Node) -> Interval:
    low, high = tracer.interval(node.inputs[0])
    return -high, -low


def _where(tracer: _Tracer, node: Node) -> Interval:
    (a, b), (c, d) = (tracer.interval(name) for name in node.inputs[1:3])
    return np.minimum(a, c), np.maximum(b, d)


def _modulus(tracer: _Tracer, node: Node) -> Interval:
    divisor = tracer.model.constants[node.inputs[1]].astype(np.float64)
    if node.attributes.get("fmod", 0) or (divisor <= 0).any():
        raise ValueError("no rule")
    return _filled(tracer, node, 0.0, float(divisor.max()) - 1)


def _trees(tracer: _Tracer, node: Node) -> Interval:
    """The sums of every tree's smallest and of its largest leaf, target by target; a leaf that says nothing of a target adds 0."""
    attributes = node.attributes
    targets = int(attributes["n_targets"])
    weights: dict[int, dict[int, dict[int, float]]] = {}
    rows = zip(*(attributes[f"target_{name}"] for name in ("treeids", "nodeids", "ids", "weights")), strict=True)
    for tree, leaf, target, weight in rows:
        leaves = weights.setdefault(tree, {}).setdefault(target, {})
        leaves[leaf] = leaves.get(leaf, 0.0) + float(weight)
    counts: dict[int, int] = {}
    for tree, mode in zip(attributes["nodes_treeids"], attributes["nodes_modes"], strict=True):
        counts[tree] = counts.get(tree, 0) + (mode in ("LEAF", b"LEAF"))
    low = np.array(attributes.get("base_values", [0.0] * targets), np.float64)
    high = low.copy()
    for tree, by_target in weights.items():
        for target, leaves in by_target.items():
            values = [*leaves.values(), *([0.0] if len(leaves) < counts.get(tree, 0) else [])]
            low[target], high[target] = low[target] + min(values), high[target] + max(values)
    shape = tracer.shapes[node.outputs[0]][0]
    size = ROUNDING * np.maximum(np.abs(low), np.abs(high))
    return np.broadcast_to(low - size, shape), np.broadcast_to(high + size, shape)


HANDLERS: dict[str, Callable[[_Tracer, Node], Interval]] = {
    **dict.fromkeys(("Gemm", "MatMul", "Conv", "ConvTranspose"), _linear),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _arithmetic),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "InstanceNormalization"), _normalization),
    "BatchNormalization": _batch_normalization,
    "Pow": _power, "Abs": _absolute, "Neg": _negative, "Where": _where, "Mod": _modulus, "TreeEnsembleRegressor": _trees,
}  # fmt: skip
