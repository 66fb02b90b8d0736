"""Texts as numbers: class names become their positions, and whoever reads the model's interface gets the names.

Tensors of texts between which elements move form a group with one list of texts, in the order in which the model names them. A text is
its position in the list of its group, so a classifier's label is the number of the class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zkvm.errors import UsageError
from zkvm.ml.number_types import graphs_of

MOVING = {
    "Identity", "Reshape", "Gather", "ArrayFeatureExtractor", "Squeeze", "Unsqueeze", "Flatten", "Concat", "Where", "Expand", "Slice",
    "Transpose", "Tile", "Split", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "Compress",
}  # fmt: skip
"""Operators whose outputs are texts if an input is."""
COMPARING = {"Equal", "OneHotEncoder", "LabelEncoder", "ZipMap", "Shape", "Size"}
"""Operators that read texts and give something else."""
INTEGER_LABELS = {"TreeEnsembleClassifier": "classlabels_int64s", "ZipMap": "classlabels_int64s"}
"""How an operator calls labels that are integers, if not classlabels_ints."""


class Texts:
    """The groups of a model's tensors of texts."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Find them.

        Raises:
            UsageError: an input is a text, or an operator works on them.
        """
        self.model = model
        self.parents: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        for entry in model.graph.input:
            if entry.type.tensor_type.elem_type == TensorProto.STRING:
                raise UsageError(f"input {entry.name!r} holds texts: encode them as numbers before the model")
        for graph in list(graphs_of(model.graph))[1:]:
            if any(tensor.data_type == TensorProto.STRING for tensor in graph.initializer):
                raise UsageError("texts within If, Loop or Scan are not supported")
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.STRING:
                self._join([tensor.name])
        for node in model.graph.node:
            self._visit(node)

    def _visit(self, node: onnx.NodeProto) -> None:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        read = [name for name in node.input if name in self.parents]
        if node.op_type == "Constant" and (_texts_of(node) is not None):
            self._join([node.output[0]])
        elif node.op_type == "LabelEncoder":
            if _is_text(attributes, "keys") or (read and "classes_strings" in attributes):
                self._join([node.input[0]])
            if _is_text(attributes, "values") or (not read and "classes_strings" in attributes):
                self._join([node.output[0]])
        elif "classlabels_strings" in attributes and attributes["classlabels_strings"].strings and node.op_type != "ZipMap":
            self._join([node.output[0]])
        elif read and node.op_type in MOVING:
            self._join([*read, *(name for name in node.output if name)])
        elif node.op_type == "Equal" and read:
            self._join(read)
        elif (read and node.op_type not in COMPARING) or (node.op_type == "Cast" and attributes["to"].i == TensorProto.STRING):
            raise UsageError(f"operator {node.op_type} (node {node.name!r}) works on texts: only class names are supported")

    def _join(self, names: Iterable[str]) -> None:
        roots = [self._root(name) for name in names]
        for root in roots[1:]:
            self.parents[root] = roots[0]

    def _root(self, name: str) -> str:
        self.parents.setdefault(name, name)
        while self.parents[name] != name:
            name = self.parents[name]
        return name

    def numbers(self, name: str, texts: Iterable[Any]) -> list[int]:
        """The numbers of texts in the group of a tensor; new ones get the next."""
        known = self.lists.setdefault(self._root(name), [])
        result = []
        for text in texts:
            word = text.decode() if isinstance(text, bytes) else str(text)
            if word not in known:
                known.append(word)
            result.append(known.index(word))
        return result


def _is_text(attributes: dict[str, onnx.AttributeProto], part: str) -> bool:
    tensor = attributes.get(f"{part}_tensor")
    return f"{part}_strings" in attributes or (tensor is not None and tensor.t.data_type == TensorProto.STRING)


def _texts_of(node: onnx.NodeProto) -> Any:
    """The texts of a Constant, or nothing."""
    attribute = node.attribute[0]
    if attribute.name == "value" and attribute.t.data_type == TensorProto.STRING:
        return numpy_helper.to_array(attribute.t)
    if attribute.name in ("value_string", "value_strings"):
        return np.asarray(helper.get_attribute_value(attribute))
    return None


def without_texts(model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """Replace all texts of a model by numbers, in place.

    Returns:
        The texts of every output that holds some, in the order of their numbers.

    Raises:
        UsageError: an input is a text, or an operator works on them.
    """
    texts = Texts(model)
    if not texts.parents and not any(attribute.name == "classlabels_strings" for node in model.graph.node for attribute in node.attribute):
        return {}
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.STRING:
            array = numpy_helper.to_array(tensor)
            numbers = np.array(texts.numbers(tensor.name, array.reshape(-1)), np.int64).reshape(array.shape)
            tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
    for node in model.graph.node:
        _replace(texts, node)
    for entry in (*model.graph.value_info, *model.graph.output):
        if entry.type.tensor_type.elem_type == TensorProto.STRING:
            entry.type.tensor_type.elem_type = TensorProto.INT64
    names = [entry.name for entry in model.graph.output if entry.name in texts.parents]
    return {name: tuple(texts.lists.get(texts._root(name), ())) for name in names}


def _replace(texts: Texts, node: onnx.NodeProto) -> None:
    """Numbers for the texts in a node's attributes."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    changed: dict[str, Any] = {}
    if node.op_type == "Constant":
        array = _texts_of(node)
        if array is not None:
            numbers = np.array(texts.numbers(node.output[0], array.reshape(-1)), np.int64).reshape(array.shape)
            changed = {"value": numpy_helper.from_array(numbers)}
            attributes = {}
    elif attributes.get("classlabels_strings"):
        labels = attributes.pop("classlabels_strings")
        numbers_ = list(range(len(labels))) if node.op_type == "ZipMap" else texts.numbers(node.output[0], labels)
        changed = {INTEGER_LABELS.get(node.op_type, "classlabels_ints"): numbers_}
    elif node.op_type == "OneHotEncoder" and attributes.get("cats_strings") and node.input[0] in texts.parents:
        changed = {"cats_int64s": texts.numbers(node.input[0], attributes.pop("cats_strings"))}
    elif node.op_type == "LabelEncoder":
        changed = _label_encoder(texts, node, attributes)
    if changed:
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(name, value) for name, value in (attributes | changed).items())


def _label_encoder(texts: Texts, node: onnx.NodeProto, attributes: dict[str, Any]) -> dict[str, Any]:
    source, result = node.input[0], node.output[0]
    changed: dict[str, Any] = {}
    if "classes_strings" in attributes:  # version 1: texts to positions, or back
        classes = attributes.pop("classes_strings")
        positions = list(range(len(classes)))
        if source in texts.parents:
            attributes.pop("default_string", None)
            return {"keys_int64s": texts.numbers(source, classes), "values_int64s": positions}
        attributes.pop("default_int64", None)
        default = attributes.pop("default_string", "_Unused")
        return {
            "keys_int64s": positions,
            "values_int64s": texts.numbers(result, classes),
            "default_int64": texts.numbers(result, [default])[0],
        }
    for part, name in (("keys", source), ("values", result)):
        if f"{part}_strings" in attributes:
            changed[f"{part}_int64s"] = texts.numbers(name, attributes.pop(f"{part}_strings"))
        elif f"{part}_tensor" in attributes and attributes[f"{part}_tensor"].data_type == TensorProto.STRING:
            changed[f"{part}_int64s"] = texts.numbers(name, numpy_helper.to_array(attributes.pop(f"{part}_tensor")).reshape(-1))
    if "values_int64s" in changed:
        default = attributes.pop("default_string", None)
        tensor = attributes.pop("default_tensor", None)
        if tensor is not None:
            default = numpy_helper.to_array(tensor).reshape(-1)[0]
        changed["default_int64"] = texts.numbers(result, ["_Unused" if default is None else default])[0]
    return changed
