"""Which tensors of a model are never in RAM, because only tensor calls read them. Inputs among them are made tensors as they come."""

from __future__ import annotations

from math import floor, prod

from zkvm.ml.importer import ImportedModel
from zkvm.ml.interface import MAX_WORD
from zkvm.ml.ir import Kind
from zkvm.ml.layout import Layout
from zkvm.ml.lowering import Context
from zkvm.ml.node import first_output
from zkvm.ml.operators.tensors import KEEPING, dense_of, worthwhile
from zkvm.ml.ranges import TensorInfo


def layouts_read(context: Context, model: ImportedModel, name: str) -> set[Layout]:
    """The layouts in which layers that are tensor calls read a tensor, if it is one already; empty if somebody else reads it too.

    Args:
        context: of the lowering.
        model: the simplified model.
        name: of the tensor.
    """
    names, found = {name}, set[Layout]()
    for node in model.nodes:
        if not names & set(node.inputs):
            continue
        if node.operator in KEEPING and node.domain == "" and node.inputs[0] in names:
            names.add(node.outputs[0])
            continue
        dense = dense_of(context, node) if first_output(node) not in context.floats else None
        if dense is None or dense.source not in names:
            return set()
        taken, given = dense.layouts(prod(context.info(name).shape))
        if not worthwhile(taken, given, True):
            return set()
        found.add(taken)
    return set() if names & set(model.outputs) else found


def import_layout(context: Context, model: ImportedModel, name: str) -> Layout | None:
    """How an input becomes a tensor as it comes: only layers read it, all in one layout, and nothing has to check it.

    Bounds are checked by import itself, if all int16 are within them; a digest of the input is one of words in RAM.
    """
    found = layouts_read(context, model, name)
    fits = context.info(name).kind is Kind.REAL and context.precision.activation_bits == 16
    return found.pop() if fits and len(found) == 1 else None


def whole_range(info: TensorInfo) -> tuple[float, int, int]:
    """Scale and bounds of an input of which 2^16 integers are all of its domain."""
    low, high = min(info.low, 0.0), max(info.high, 0.0)
    if low == 0:  # of pixels over 255 each is 257 times an integer
        return (high or 1.0) / MAX_WORD, 0, MAX_WORD
    scale = (high - low) / (MAX_WORD - 1)
    least = floor(low / scale)
    return scale, least, least + MAX_WORD
