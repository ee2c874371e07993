"""Class labels that are text become numbers, before a model is checked: a class is its place in the model's list.

    LinearClassifier(classlabels_strings = [cat, dog])     classlabels_ints = [0, 1]
    ArrayFeatureExtractor([cat, dog], index)               the same, of [0, 1]
    Identity, Reshape, .. and casts to text of a label     of numbers
    LabelEncoder from or to such labels                    between numbers
    ZipMap                                                 Identity: the columns of its operand, one a class

A contract has no text, and a column has no name: for each output there is a note that says which class is which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, defs, helper, numpy_helper

from plonnx.compiler.graph import CompileError
from plonnx.compiler.ops import Mark, marked
from plonnx.kzg.record import MOST_TEXT

_ML = "ai.onnx.ml"
Classes = tuple[Any, ...]


def number_labels(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Do so in place; the notes about outputs."""
    lists = {
        tensor.name: _texts(tensor) for tensor in proto.graph.initializer if tensor.data_type == TensorProto.STRING
    }
    labels: dict[str, Classes] = {}
    columns: dict[str, Classes] = {}
    for node in proto.graph.node:
        _visit(node, lists, labels, columns)
    for tensor in proto.graph.initializer:
        if tensor.name in lists and _is_list(proto, tensor.name):
            numbers = np.arange(len(lists[tensor.name])).reshape(tuple(tensor.dims))
            tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
    if columns and not any(entry.domain == "" for entry in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid("", _NEWEST_COMMON))
    for output in proto.graph.output:
        if output.name in labels:
            output.type.CopyFrom(onnx.TypeProto(tensor_type=onnx.TypeProto.Tensor(elem_type=TensorProto.INT64)))
        elif output.name in columns:
            output.type.CopyFrom(onnx.TypeProto(tensor_type=onnx.TypeProto.Tensor(elem_type=TensorProto.FLOAT)))
    return tuple(_notes(proto, labels, columns))


_NEWEST_COMMON = 13
"""An opset for models of other domains alone, which any onnxruntime of these years has."""


def _visit(
    node: onnx.NodeProto, lists: dict[str, Classes], labels: dict[str, Classes], columns: dict[str, Classes]
) -> None:
    """One node, its operands' nodes before it."""
    first = node.input[0] if node.input else ""
    if node.domain == _ML and node.op_type == "ZipMap":
        names = _pop(node, "classlabels_strings") or _pop(node, "classlabels_int64s")
        columns[node.output[0]] = names
        node.op_type, node.domain = "Identity", ""
    elif node.domain == _ML and node.op_type == "ArrayFeatureExtractor" and first in lists:
        labels[node.output[0]] = lists[first]
    elif node.domain == _ML and node.op_type == "LabelEncoder":
        _encoder(node, labels)
    elif node.domain == _ML:
        names = _pop(node, "classlabels_strings")
        if names:
            labels[node.output[0]] = names
            _set(node, _integer_labels(node), range(len(names)))
    elif not node.domain and first in labels:
        if node.op_type == "Cast" and any(a.name == "to" and a.i == TensorProto.STRING for a in node.attribute):
            node.op_type = "Identity"
            del node.attribute[:]
        if marked(node.op_type) & Mark.COPIES:
            labels[node.output[0]] = labels[first]


def _integer_labels(node: onnx.NodeProto) -> str:
    """The attribute that has a classifier's labels as integers."""
    known = defs.get_schema(node.op_type, node.domain).attributes
    return next(name for name in known if name.startswith("classlabels_int"))


def _encoder(node: onnx.NodeProto, labels: dict[str, Classes]) -> None:
    """A LabelEncoder whose keys are such labels, or whose values become some."""
    if node.input[0] in labels:
        known = labels[node.input[0]]
        keys = _pop(node, "keys_strings")
        missing = [key for key in known if key not in keys]
        if missing:
            raise CompileError(f"node {node.name or node.output[0]!r} (LabelEncoder): it has no key for {missing[0]!r}")
        _set(node, "keys_int64s", [known.index(key) if key in known else len(known) + k for k, key in enumerate(keys)])
    values = _pop(node, "values_strings")
    if values:
        names = tuple(dict.fromkeys(values))
        labels[node.output[0]] = names
        _set(node, "values_int64s", [names.index(value) for value in values])
        _pop(node, "default_string")


def _is_list(proto: onnx.ModelProto, name: str) -> bool:
    """Whether a list of text is read by label look-ups alone."""
    readers = [node for node in proto.graph.node if name in node.input]
    return all(node.op_type == "ArrayFeatureExtractor" and node.input[0] == name for node in readers)


def _texts(tensor: TensorProto) -> Classes:
    return tuple(text.decode(errors="replace") for text in tensor.string_data)


def _pop(node: onnx.NodeProto, name: str) -> Classes:
    """An attribute's values, which the node has no longer."""
    for place, attribute in enumerate(node.attribute):
        if attribute.name == name:
            found = helper.get_attribute_value(attribute)
            del node.attribute[place]
            many = attribute.type != AttributeProto.STRING and not isinstance(found, bytes)
            return tuple(
                v.decode(errors="replace") if isinstance(v, bytes) else v for v in (found if many else [found])
            )
    return ()


def _set(node: onnx.NodeProto, name: str, values: range | list[int]) -> None:
    node.attribute.append(helper.make_attribute(name, list(values)))


def _notes(proto: onnx.ModelProto, labels: dict[str, Classes], columns: dict[str, Classes]) -> Iterator[str]:
    for output in proto.graph.output:
        if output.name in labels:
            names = (f"{place} is {name!r}" for place, name in enumerate(labels[output.name]))
            yield _listed(f"output {output.name!r} is the number of a class: ", names)
        elif output.name in columns:
            yield _listed(f"output {output.name!r} has a column for each class: ", map(repr, columns[output.name]))


def _listed(start: str, names: Iterator[str]) -> str:
    """No longer than a file's texts may be."""
    text = start + ", ".join(names)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."
