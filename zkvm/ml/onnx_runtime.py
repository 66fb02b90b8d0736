"""onnxruntime as the definition of what ONNX operators compute: whole models for calibration, single nodes for tables and folding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml.node import Node

Array = NDArray[Any]
Session = onnxruntime.InferenceSession


class RuntimeRefusal(UsageError):
    """onnxruntime does not run a model, or fails on an input."""


DOMAINS = {"ai.onnx.ml": 4, "com.microsoft": 1}
"""Operators of other domains that can be run, and the version that rewritten models use."""
REALS: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
WRONG_FUSIONS = ["LayerNormFusionL1", "LayerNormFusionL2", "DivMulFusion"]
"""Optimizations that make another function of a model: one does not look at an exponent
(``findings/layer-normalization-onnxruntime.sh``), the other takes quotients of integers for exact ones
(``findings/integer-quotients-onnxruntime.sh``)."""
PRODUCTS = {
    "MatMulInteger": ((0, 2), (1, 3)), "ConvInteger": ((0, 2), (1, 3)), "QLinearMatMul": ((0, 2), (3, 5)), "QLinearConv": ((0, 2), (3, 5)),
    "QGemm": ((0, 2), (3, 5)), "MatMulIntegerToFloat": ((0, 4), (1, 5)), "DynamicQuantizeMatMul": ((0, -1), (1, 3)),
}  # fmt: skip
"""Products of integers: at which input each factor is, and its zero point."""
MAX_IR_VERSION = 10
"""Newer files than the runtime knows are refused by it; what we write ourselves needs no newer one."""


def session(model: onnx.ModelProto, *, optimize: bool = False) -> onnxruntime.InferenceSession:
    """A session on one thread; without optimization every node keeps its own output.

    A model with numbers that are dequantized is never optimized, because the runtime may then quantize what the model does not, and
    optimizations that change answers are left out of all. Products of integers are exact on every machine.

    Raises:
        UsageError: the runtime refuses the model.
    """
    return _session(exact_products(model), optimize)


def _session(model: onnx.ModelProto, optimize: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if not optimize or any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if model.ir_version > MAX_IR_VERSION:
        model.ir_version = MAX_IR_VERSION
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=WRONG_FUSIONS
        )
    except Exception as error:  # the runtime has no common base class for its errors
        raise RuntimeRefusal(f"onnxruntime does not run this model: {str(error)[:500]}") from error


def run_session(runner: onnxruntime.InferenceSession, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All outputs by name; real numbers are given in the type that the model takes.

    Raises:
        UsageError: the runtime fails on these inputs.
    """
    names = [output.name for output in runner.get_outputs()]
    kinds = {entry.name: REALS.get(entry.type) for entry in runner.get_inputs()}
    # Of a single number without dimensions numpy makes what is no array.
    typed = {name: np.asarray(array, kinds[name]) for name, array in inputs.items() if name in kinds}
    try:
        return dict(zip(names, runner.run(names, typed), strict=True))
    except Exception as error:
        raise RuntimeRefusal(f"onnxruntime fails on this input: {str(error)[:500]}") from error


def exact_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with no product of uint8 and int8: the int8 factor and its zero point are both larger by 128, and uint8.

    On processors without VNNI the runtime adds the products of such numbers in pairs of 16 bits, which saturate, so that large weights
    give other sums than the model says. Of two uint8 factors, as of two int8 ones, sums are exact everywhere. A model without such
    products is given back as it is; so are bodies of loops and branches.

    Args:
        model: is not changed.
    """
    if not any(node.op_type in PRODUCTS for node in model.graph.node):
        return model
    types = _types(model)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    moved: dict[str, str] = {}
    for node in copy.graph.node:
        for name, position in _signed_factor(node, types) if node.op_type in PRODUCTS else ():
            if name not in moved:
                moved[name] = f"{name}/unsigned"
                nodes += _unsigned(copy.graph, name, moved[name])
            node.input.extend([""] * (position + 1 - len(node.input)))
            node.input[position] = moved[name]
        nodes.append(node)
    if not moved:
        return model
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _types(model: onnx.ModelProto) -> dict[str, str]:
    """The runtime's names of the types of inputs, weights and results; nothing where it does not run the model."""
    try:
        runner = _session(with_intermediates(model), False)
    except RuntimeRefusal:
        return {}
    names = {TensorProto.INT8: "tensor(int8)", TensorProto.UINT8: "tensor(uint8)"}
    weights = {tensor.name: names.get(tensor.data_type, "") for tensor in model.graph.initializer}
    return weights | {entry.name: entry.type for entry in (*runner.get_inputs(), *runner.get_outputs())}


def _signed_factor(node: onnx.NodeProto, types: Mapping[str, str]) -> list[tuple[str, int]]:
    """The int8 factor beside one that is not, with its place, and its zero point; the name of one that is missing is empty."""
    pairs = PRODUCTS[node.op_type]
    signed = [pair for pair in pairs if types.get(node.input[pair[0]]) == "tensor(int8)"]
    if len(signed) != 1:
        return []
    return [(node.input[position] if position < len(node.input) else "", position) for position in signed[0]]


def _unsigned(graph: onnx.GraphProto, name: str, result: str) -> list[onnx.NodeProto]:
    """What computes int8 numbers plus 128 as uint8, if they are no weights; 128 itself for no name."""
    weights = next((tensor for tensor in graph.initializer if tensor.name == name), None)
    if weights is not None or not name:
        integers = np.zeros((), np.int16) if weights is None else numpy_helper.to_array(weights).astype(np.int16)
        graph.initializer.append(numpy_helper.from_array(np.asarray(integers + 128, np.uint8), result))
        return []
    graph.initializer.append(numpy_helper.from_array(np.array(128, np.int32), f"{result}/offset"))
    return [
        helper.make_node("Cast", [name], [f"{result}/wide"], to=TensorProto.INT32),
        helper.make_node("Add", [f"{result}/wide", f"{result}/offset"], [f"{result}/sum"]),
        helper.make_node("Cast", [f"{result}/sum"], [result], to=TensorProto.UINT8),
    ]


def centred(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which variances of groups are means of squared differences, in double precision.

    The function by which ONNX defines GroupNormalization, and which the runtime computes, takes the mean of the squares less the square of
    the mean, which leaves no digits where numbers lie far from 0 (``findings/group-normalization-onnx.sh``). A copy of a model without such
    nodes is the model.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes = [node for node in copy.graph.node if node.op_type == "GroupNormalization" and node.domain in ("", "ai.onnx")]
    if not nodes:
        return copy
    function = onnx.parser.parse_function(GROUPS)
    version = max(entry.version for entry in copy.opset_import if entry.domain in ("", "ai.onnx"))
    function.opset_import[0].version = version
    copy.functions.append(function)
    copy.opset_import.append(helper.make_opsetid(function.domain, 1))
    for node in nodes:
        node.domain = function.domain
        if not any(attribute.name == "epsilon" for attribute in node.attribute):
            node.attribute.append(helper.make_attribute("epsilon", 1e-5))
    return copy


GROUPS = """
<domain: "zkvm.centred", opset_import: ["" : 18]>
GroupNormalization <num_groups, epsilon> (x, gains, offsets) => (y) {
    first = Constant <value_ints = [0]> ()
    last = Constant <value_ints = [-1]> ()
    one = Constant <value_ints = [1]> ()
    two = Constant <value_ints = [2]> ()
    number = Constant <value_int: int = @num_groups> ()
    groups = Reshape (number, one)
    grouped = Concat <axis = 0> (first, groups, last)
    real = Cast <to = 11> (x)
    rows = Reshape (real, grouped)
    mean = ReduceMean (rows, two)
    differences = Sub (rows, mean)
    squares = Mul (differences, differences)
    variance = ReduceMean (squares, two)
    least = Constant <value_float: float = @epsilon> ()
    wide = Cast <to = 11> (least)
    above = Add (variance, wide)
    deviation = Sqrt (above)
    normal = Div (differences, deviation)
    count = Shape (gains)
    scaled = Concat <axis = 0> (first, count, last)
    channels = Reshape (normal, scaled)
    gain = Cast <to = 11> (gains)
    factors = Unsqueeze (gain, one)
    offset = Cast <to = 11> (offsets)
    terms = Unsqueeze (offset, one)
    products = Mul (channels, factors)
    sums = Add (products, terms)
    shape = Shape (x)
    result = Reshape (sums, shape)
    y = CastLike (result, x)
}
"""
"""GroupNormalization, of gains for each group (until version 20) or each channel."""


def with_intermediates(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model that also outputs every intermediate tensor."""
    return with_outputs(model, [name for node in model.graph.node for name in node.output if name])


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy of the model that also outputs some tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {output.name for output in copy.graph.output}
    for name in names:
        if name not in known:
            copy.graph.output.append(onnx.ValueInfoProto(name=name))
            known.add(name)
    return copy


def run_node(node: Node, arrays: Sequence[Array], opset: int) -> list[Array]:
    """One node on arrays; inputs without a name are left out."""
    present = [(name, array) for name, array in zip(node.inputs, arrays, strict=True) if name]
    inputs = {f"x{index}": np.asarray(array) for index, (_, array) in enumerate(present)}
    names = iter(inputs)
    proto_inputs = [next(names) if name else "" for name in node.inputs]
    outputs = [f"y{index}" if name else "" for index, name in enumerate(node.outputs)]
    proto = helper.make_node(node.operator, proto_inputs, outputs, domain=node.domain, **node.attributes)
    graph = helper.make_graph(
        [proto],
        "node",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs if name],
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(node.domain, DOMAINS[node.domain])] if node.domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=MAX_IR_VERSION)
    results = run_session(session(model), inputs)
    return [results[name] if name else np.zeros(0) for name in outputs]
