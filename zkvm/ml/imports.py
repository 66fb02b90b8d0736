"""Which tensors of a model only layers read that are tensor calls, and which inputs are made tensors as they come."""

from __future__ import annotations

from collections.abc import Container
from math import floor, prod

from zkvm.ml.importer import ImportedModel
from zkvm.ml.ir import Kind
from zkvm.ml.layout import LANES, Layout, natural_layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import Node, first_output
from zkvm.ml.operators.secret import is_given
from zkvm.ml.operators.sums import SIGNS
from zkvm.ml.operators.tensors import KEEPING, layer_of, worthwhile
from zkvm.ml.operators.unary import TABULATED
from zkvm.ml.ranges import TensorInfo
from zkvm.ml.tensor import MAX_WORD

PASSING = (*KEEPING, "MaxPool", "Transpose", "Slice", "Pad", "Split", "DepthToSpace", "SpaceToDepth", "ReduceMax")
"""Operators whose output has the scale of their input."""
ROWS = ("Softmax", "LayerNormalization", "RMSNormalization")
"""Functions of rows that are tensor calls."""
CALLED = (*PASSING, *SIGNS, "Mul", "Div", "Concat", "AveragePool", "ReduceSum", "ReduceMean", "Relu", "Clip", *ROWS, *TABULATED)
"""Operators that tensor calls do where their inputs are tensors, or some of them."""


def _layouts(context: Context, node: Node, names: set[str]) -> set[Layout | None]:
    """How a layer that is a tensor call reads tensors with these names, None: rearranged; nothing if it is none."""
    layer = layer_of(context, node) if first_output(node) not in context.floats else None
    if layer is None or layer.source not in names:
        return set()
    size = prod(context.info(layer.source).shape)
    taken, _ = layer.layouts(size)
    return {None if layer.rearranges else taken} if worthwhile(layer, size, taken, True) else set()


def layouts_read(context: Context, model: ImportedModel, name: str) -> set[Layout | None]:
    """The layouts in which layers that are tensor calls read a tensor, if it is one already; empty if somebody else reads it too.

    Args:
        context: of the lowering.
        model: the simplified model.
        name: of the tensor.
    """
    names, found = {name}, set[Layout | None]()
    for node in model.nodes:
        if not names & set(node.inputs):
            continue
        if node.operator in PASSING and node.domain == "" and node.inputs[0] in names:
            names |= {output for output in node.outputs if output}
            found |= set() if node.operator in KEEPING else {None}
            continue
        layouts = _layouts(context, node, names)
        if not layouts:
            return set()
        found |= layouts
    return set() if names & set(model.outputs) else found


def _feeds_layers(context: Context, model: ImportedModel, name: str) -> bool:
    """Whether a tensor call that is a layer reads what becomes of a tensor in other tensor calls."""
    names = {name}
    for node in model.nodes:
        if not names & set(node.inputs):
            continue
        if _layouts(context, node, names):
            return True
        called = node.operator in CALLED or (context.private and _gives(context, node))
        if called and node.domain == "" and first_output(node) not in context.floats:
            names |= {output for output in node.outputs if output}
    return False


def _gives(context: Context, node: Node) -> bool:
    """Whether a node gives, or takes, integers of 8 bits that a tensor of a private model holds."""
    held = {"QuantizeLinear": first_output(node), "DequantizeLinear": node.inputs[0]}.get(node.operator, "")
    return is_given(context, held)


def import_layout(context: Context, model: ImportedModel, name: str) -> Layout | None:
    """How an input becomes a tensor as it comes: layers read it, and nothing has to check it.

    Bounds are checked by import itself, if all int16 are within them; a digest of the input is one of words in RAM.
    """
    info = context.info(name)
    if info.kind is not Kind.REAL or context.precision.activation_bits != 16 or not _feeds_layers(context, model, name):
        return None
    found = layouts_read(context, model, name)
    layout = (found.pop() if len(found) == 1 else None) or natural_layout(info.shape)
    if context.private and layout.positions % LANES:  # so that a gather fills lanes without a position: every layer's results are looked at
        return Layout(1, prod(info.shape))
    return layout


def layers_of_calls(context: Context, model: ImportedModel) -> Container[str]:
    """The outputs of layers that are tensor calls wherever their input is."""
    layers = [(node, layer_of(context, node)) for node in model.nodes if first_output(node) not in context.floats]
    return {
        first_output(node)
        for node, layer in layers
        if layer is not None and worthwhile(layer, prod(context.info(layer.source).shape), None, False)
    }


def whole_range(info: TensorInfo) -> tuple[float, int, int]:
    """Scale and bounds of an input of which 2^16 integers are all of its domain."""
    low, high = min(info.low, 0.0), max(info.high, 0.0)
    if low == 0:  # of pixels over 255 each is 257 times an integer
        return (high or 1.0) / MAX_WORD, 0, MAX_WORD
    scale = (high - low) / (MAX_WORD - 1)
    least = floor(low / scale)
    return scale, least, least + MAX_WORD
