"""From ONNX nodes to operations of the integer model: what every operator family needs while it does that."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import UsageError
from zkvm.ml import float32
from zkvm.ml.arithmetic import INT32_MAX, INT32_MIN, FloatArray, IntArray, Rescale, rescale
from zkvm.ml.ir import Graph, Kind, Operation, Value, View
from zkvm.ml.layout import Layout
from zkvm.ml.node import Node
from zkvm.ml.operations.convert import FromFloat, ToFloat
from zkvm.ml.operations.unary import Requantize
from zkvm.ml.ranges import Precision, TensorInfo, kind_of, quantization, widest
from zkvm.ml.residence import InMemory, Residence, owners


@dataclass(frozen=True, slots=True)
class Fusion:
    """A tensor's single reader, which only cuts it: its output, the range, and whether the operator alone says this range (a Relu), or has
    two bounds, which constants say (a Clip)."""

    output: str
    low: float
    high: float
    known: bool = False
    bounded: bool = False


EvaluateNode = Callable[[Node, list[NDArray[Any]]], list[NDArray[Any]]]
"""Runs one ONNX node on arrays, in floating point or exactly, as onnxruntime does."""


def _never(context: Context, name: str, value: Value) -> Value:
    raise AssertionError(f"{name}: {value.name} has another scale in {len(context.graph.operations)} operations")


@dataclass
class Context:
    """The state of a lowering.

    Attributes:
        tensors: of every ONNX tensor that is not constant. constants: by ONNX name. fused: tensor -> the reader that can be merged into
            its producer. run_node: see EvaluateNode.
        private: whether the weights are. Then bounds, and everything that decides which operations there are and what code they are,
            follow from the architecture; scales, constants and cuts are free to say something about the weights.
        known_tables: see ``operators/unary.py``.
        followers: tensor -> its only reader.
        given: tensor -> scale and bounds that a quantized model brings along. zero_points: of its quantized tensors. only_real: those of
            these that nothing but a DequantizeLinear reads.
        floats: nodes, by their first output, that compute in floats. real_kind: what real numbers are in the node at hand, FLOAT or REAL.
        tensor_calls: whether layers may be tensor calls. only_layers: the tensors that nothing but such calls read.
        checks: values in RAM that are there to be looked at -> the tensors that they copy.
        floors: tensors of a private model of which what is cut below is nothing, if its row's largest element is high enough: their only
            reader, a Softmax, looks at that.
        published: results of a private model's calls whose scales may be published if they are outputs.
        settle: gives a value in tensors a power of two as scale, and no origin. scaled: see ``small_weights.py``.
    """

    tensors: dict[str, TensorInfo]
    constants: dict[str, NDArray[Any]]
    precision: Precision
    graph: Graph
    run_node: EvaluateNode
    private: bool = False
    fused: dict[str, Fusion] = field(default_factory=dict)
    followers: dict[str, Node] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    given: dict[str, tuple[float, int, int]] = field(default_factory=dict)
    zero_points: dict[str, NDArray[Any]] = field(default_factory=dict)
    only_real: set[str] = field(default_factory=set)
    known_tables: dict[str, tuple[IntArray, int, float]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    floats: Container[str] = frozenset()
    real_kind: Kind = Kind.REAL
    tensor_calls: bool = False
    only_layers: set[str] = field(default_factory=set)
    checks: dict[int, int] = field(default_factory=dict)
    floors: set[str] = field(default_factory=set)
    published: set[str] = field(default_factory=set)
    settle: Callable[[Context, str, Value], Value] = field(default=_never)
    scaled: Mapping[str, int] = field(default_factory=dict)
    residence: Residence = field(init=False)
    _others: dict[str, Value] = field(default_factory=dict)
    _settled_values: dict[str, Value] = field(default_factory=dict)
    _counter: int = 0

    def __post_init__(self) -> None:
        """Values are brought to where they are read by operations of this graph."""
        self.residence = Residence(self.add, self._like, self.private)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The array of a constant tensor, or nothing."""
        return self.constants.get(name)

    def required_constant(self, node: Node, position: int) -> NDArray[Any]:
        """An input that must be known at compile time.

        Raises:
            UsageError: it is computed while the model runs.
        """
        array = self.constants.get(node.inputs[position])
        if array is None:
            raise UsageError(f"{node.operator} {node.name!r}: input {position} is computed at run time; only constants are supported there")
        return array

    def add(self, operation: Operation) -> Value:
        """Append an operation; returns its output."""
        self.graph.operations.append(operation)
        return operation.output

    def bind(self, name: str, value: Value) -> None:
        """Say which value an ONNX tensor is."""
        self.values[name] = value

    def float_value(self, shape: tuple[int, ...], label: str = "t") -> Value:
        """A new intermediate value of floats."""
        self._counter += 1
        return Value(f"{label}_{self._counter}", shape, INT32_MIN, INT32_MAX, 1.0, Kind.FLOAT)

    def float_constant(self, name: str, array: NDArray[Any] | float, *, known: bool = False) -> Value:
        """A constant as floats.

        Args:
            name: for messages and profiles.
            array: its numbers.
            known: whether the compiler adds it, so that it says nothing about private weights.
        """
        bits = float32.to_bits(np.asarray(array, np.float32))
        return Value(name, bits.shape, INT32_MIN, INT32_MAX, 1.0, Kind.FLOAT, data=bits, private=not known)

    def fresh(self, shape: tuple[int, ...], lo: int, hi: int, scale: float = 1.0, kind: Kind = Kind.REAL, label: str = "t") -> Value:
        """A new intermediate value."""
        self._counter += 1
        return Value(f"{label}_{self._counter}", shape, lo, hi, scale, kind, secret=self.private and kind is Kind.REAL)

    def info(self, name: str) -> TensorInfo:
        """Shape, kind and range of a tensor, constant or not."""
        if name in self.tensors:
            return self.tensors[name]
        array = self.constants[name]
        kind = kind_of(array.dtype)
        finite = array[np.isfinite(array)].astype(np.float64) if kind is Kind.REAL else array.astype(np.float64)
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        return TensorInfo(array.shape, kind, low, high, dtype=array.dtype)

    def target(self, name: str, shape: tuple[int, ...] | None = None) -> Value:
        """A new value for the ONNX tensor ``name`` with the scale that its calibrated range asks for."""
        info = self.info(name)
        scale, lo, hi = self.given[name] if name in self.given else quantization(info, self.precision)
        kind = Kind.REAL if name in self.given else info.kind
        value = self.fresh(info.shape if shape is None else shape, lo, hi, scale, kind, label=name)
        if name not in self.given and kind is Kind.REAL:
            value.guarded = info.guarded
        if self.private and kind is Kind.REAL:
            value.cut = lo, hi
            bound = widest(info, self.precision) if name not in self.given else hi - lo
            value.lo, value.hi = -bound, bound
        return value

    def rescale(self, ratios: float | FloatArray, bound: int, output: Value, name: str, secret: bool = True) -> Rescale:
        """The rescaling by ``ratios`` to an output, see :func:`~zkvm.ml.arithmetic.rescale`; of secret ratios unless they are not."""
        factor = rescale(ratios, bound, *output.limits, name, secret=self.private and secret)
        if not self.private or output.cut is not None:  # whether what cannot be cut is looked at would say something
            extremes = replace(factor, lo=2 * INT32_MIN, hi=2 * INT32_MAX).apply(np.array([[-bound], [bound]], np.int64), 1)
            (low, high), (lo, hi) = output.guarded, output.limits
            output.guarded = low and bool(extremes.min() < lo), high and bool(extremes.max() > hi)
        return factor

    def operand(self, name: str) -> Value:
        """The value of an ONNX tensor in RAM, real numbers as the node at hand has them; a fixed-point constant has its own range."""
        if name not in self.values:
            if name not in self.constants:
                raise UsageError(f"tensor {name!r} is used before it is computed")
            array = self.constants[name]
            if kind_of(array.dtype) is Kind.REAL and self.real_kind is Kind.FLOAT:
                return self.float_constant(name, array)
            self.values[name] = self.quantized_constant(name, array)
        value = self.in_memory(self._settled(name))
        if {value.kind, self.real_kind} != {Kind.REAL, Kind.FLOAT}:
            return value
        if name not in self._others:
            self._others[name] = self._converted(name, value)
        return self._others[name]

    def _like(self, shape: tuple[int, ...], value: Value) -> Value:
        result = self.fresh(shape, value.lo, value.hi, value.scale, value.kind, label=value.name)
        result.secret = value.secret
        return result

    def in_memory(self, value: Value) -> Value:
        """The value as words in RAM; see :class:`~zkvm.ml.residence.Residence`.

        Raises:
            InMemory: it is an input that the guest makes a tensor as it comes, or has the origin of one that it is made of.
        """
        if value.resident and value.origin:
            raise InMemory(self._input_of(value).name)
        return self.residence.in_memory(value)

    def publishable(self, value: Value) -> bool:
        """Whether the scale of a value in tensors may be that of an output: it says no more than what is documented."""
        return not value.secret or all(source.name in self.published for source in owners(value))

    def follows(self, output: Value, *sources: Value) -> None:
        """Say that a result has the scale of its sources."""
        if all(map(self.publishable, sources)):
            self.published.add(output.name)

    def _settled(self, name: str) -> Value:
        """A value that RAM is to hold, in a scale with which instructions go on: one that may be published."""
        value = self.values[name]
        if not (self.private and value.resident and value.kind is Kind.REAL) or self.publishable(value):
            return value
        if name not in self._settled_values:
            self._settled_values[name] = self.settle(self, name, value)
        return self._settled_values[name]

    def _input_of(self, value: Value) -> Value:
        """The input whose origin a value in tensors has: gathers and maxima keep it."""
        makers = {id(operation.output): operation for operation in self.graph.operations}
        while True:
            owner = value.storage() if value.moved is None else value.moved.sources[0]
            if id(owner) not in makers:
                return owner
            value = makers[id(owner)].inputs[0]

    def in_tensor(self, value: Value, layout: Layout) -> Value:
        """The value as a tensor of this layout; see :class:`~zkvm.ml.residence.Residence`."""
        return self.residence.in_tensor(value, layout)

    def held(self, name: str) -> Value | None:
        """A real value that tensors hold, if they do and layers may be tensor calls."""
        value = self.values.get(name)
        return value if value is not None and value.resident and value.kind is Kind.REAL and self.real_kind is Kind.REAL else None

    def _converted(self, name: str, value: Value) -> Value:
        """Fixed point as floats, or the other way round in the scale that the tensor's range asks for."""
        if value.data is not None:
            return self.float_constant(name, self.constants[name])
        if value.kind is Kind.FLOAT:
            output = self.target(name, value.shape)
            return self.add(FromFloat(name, (value,), output, float(np.float32(1 / output.scale))))
        output = self.float_value(value.shape, name)
        return self.add(ToFloat(name, (value,), output, value.scale, value.secret))

    def known_constant(self, name: str, array: NDArray[np.int64]) -> Value:
        """Integers that the compiler adds to a model: they say nothing about its weights."""
        return Value(name, tuple(array.shape), int(array.min()), int(array.max()), 1.0, Kind.INTEGER, data=array, private=not self.private)

    def quantized_constant(
        self, name: str, array: NDArray[Any], scale: float | None = None, bounds: tuple[int, int] | None = None
    ) -> Value:
        """A constant as integers; of the given scale, or of the best one for its range.

        Args:
            name: for messages and profiles.
            array: its numbers.
            scale: real = integer * scale.
            bounds: what a constant of this kind is within, for private models; the widest possible bounds by default.
        """
        kind = kind_of(array.dtype)
        if kind is not Kind.REAL:
            integers, scale = _words(name, array), 1.0
        else:
            if scale is None:
                magnitude = float(np.abs(array).max()) if array.size else 0.0
                scale, _, _ = quantization(TensorInfo(array.shape, kind, -magnitude, magnitude), Precision())
            integers = np.clip(np.round(array.astype(np.float64) / scale), INT32_MIN, INT32_MAX).astype(np.int64)
        lo, hi = (int(integers.min()), int(integers.max())) if integers.size else (0, 0)
        if self.private:
            lo, hi = WIDEST_CONSTANTS[kind] if bounds is None else bounds
        return Value(name, tuple(array.shape), lo, hi, scale, kind, data=integers, secret=self.private and kind is Kind.REAL)

    def view(self, value: Value, shape: tuple[int, ...], scale: float | None = None, kind: Kind | None = None) -> Value:
        """The same integers under another shape, scale or kind."""
        chosen_scale, chosen_kind = value.scale if scale is None else scale, value.kind if kind is None else kind
        secret = value.secret if scale is None else self.private and chosen_kind is Kind.REAL
        if value.data is not None:
            constant = Value(value.name, shape, value.lo, value.hi, chosen_scale, chosen_kind, data=value.data, private=value.private)
            constant.secret = secret
            return constant
        result = self.fresh(shape, value.lo, value.hi, chosen_scale, chosen_kind, label=value.name)
        result.secret, result.layout, result.origin, result.moved = secret, value.layout, value.origin, value.moved
        if value.moved is not None:
            return result
        result.root = value
        return self.add(View(result.name, (value,), result))

    def rescaled(
        self,
        value: Value,
        scale: float,
        name: str,
        lo: int | None = None,
        hi: int | None = None,
        *,
        secret: bool = True,
        cut: tuple[int, int] | None = None,
    ) -> Value:
        """The value with another scale: rounded, and cut to [lo, hi] if they are given.

        Args:
            value: what is rescaled.
            scale: the new one.
            name: of the layer, for messages.
            lo: least integer of the result.
            hi: largest integer of the result.
            secret: whether the new scale says something about the weights, in a private model.
            cut: the bounds to cut to if these are secret, and [lo, hi] only what they are within.
        """
        if self.private and (secret or value.secret):
            return self._rescaled_secretly(value, scale, name, (value.lo if lo is None else lo, value.hi if hi is None else hi), cut)
        if value.scale == scale and (lo is None or lo <= value.lo) and (hi is None or hi >= value.hi):
            return value
        factor = rescale(value.scale / scale, value.magnitude, INT32_MIN if lo is None else lo, INT32_MAX if hi is None else hi, name)
        if value.data is not None:
            integers = factor.apply(value.data.reshape(value.shape))
            return Value(value.name, value.shape, int(integers.min()), int(integers.max()), scale, value.kind, data=integers)
        ends = factor.apply(np.array([value.lo, value.hi], np.int64))
        output = self.fresh(value.shape, int(ends[0]), int(ends[1]), scale, value.kind, label=value.name)
        return self.add(Requantize(name, (value,), output, factor))

    def _rescaled_secretly(self, value: Value, scale: float, name: str, bounds: tuple[int, int], cut: tuple[int, int] | None) -> Value:
        """Always an operation, because whether one is needed says something. Without given bounds the scale becomes coarser."""
        limits = bounds if cut is None else cut
        factor = rescale(value.scale / scale, value.magnitude, *limits, name, secret=True)
        if value.data is not None:
            integers = factor.apply(value.data.reshape(value.shape))
            return Value(value.name, value.shape, *bounds, scale, value.kind, data=integers, secret=True)
        output = self.fresh(value.shape, *bounds, scale, value.kind, label=value.name)
        output.cut, output.secret = limits, True
        return self.add(Requantize(name, (value,), output, factor))


def _words(name: str, array: NDArray[Any]) -> IntArray:
    """Integers that a word holds.

    Raises:
        UsageError: one is larger.
    """
    for extreme in (int(array.min()), int(array.max())) if array.size else ():
        if not INT32_MIN <= extreme <= INT32_MAX:
            raise UsageError(f"constant {name!r} holds {extreme}, which does not fit a word of 32 bits: integers of the guest have no more")
    return array.astype(np.int64)


WIDEST_CONSTANTS = {Kind.REAL: (-(1 << 15) + 1, (1 << 15) - 1), Kind.BOOLEAN: (0, 1), Kind.INTEGER: (INT32_MIN, INT32_MAX)}
"""Bounds of constants, whatever they are: reals have 16 bits."""

Lowering = Callable[[Context, Node], None]
LOWERINGS: dict[tuple[str, str], Lowering] = {}
"""(domain, operator) -> function that appends its operations in fixed point; filled by ``operators``, so import it from there."""
FLOAT_LOWERINGS: dict[tuple[str, str], Lowering] = {}
"""The same in floats."""
WORDS: set[tuple[str, str]] = set()
"""Operators that treat real numbers as words: they take the kind of number that their input has."""


def lowers(*operators: str, domain: str = "", words: bool = False) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of operators.

    Args:
        operators: of ONNX.
        domain: theirs.
        words: whether it does not matter what kind of number real numbers are; else the lowering is for fixed point.
    """

    def register(function: Lowering) -> Lowering:
        for operator in operators:
            LOWERINGS[(domain, operator)] = function
            if words:
                FLOAT_LOWERINGS[(domain, operator)] = function
                WORDS.add((domain, operator))
        return function

    return register


def lowers_float(*operators: str, domain: str = "") -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of operators whose real numbers are floats.

    Args:
        operators: of ONNX.
        domain: theirs.
    """

    def register(function: Lowering) -> Lowering:
        for operator in operators:
            FLOAT_LOWERINGS[(domain, operator)] = function
        return function

    return register
