"""What can't be compiled, said all at once: one line that names each node, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plonnx.compiler.graph import CompileError, Node, Tensor
from plonnx.compiler.onnx_file import Model
from plonnx.compiler.passes.fold_constants import RANDOM
from plonnx.kzg.wording import option

_TRAINED = "export the model for inference (model.eval() in PyTorch)"
_OF_ONE_PROCESSOR = "com.microsoft.nchwc"
_OF_ANY_SIZE = frozenset(("NonMaxSuppression", "NonZero", "Unique"))
"""Operators of which values say how large their result is, where a circuit has one size."""
_TEXT = frozenset(("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"))
_ENCODERS = frozenset(f"ai.onnx.ml.{name}" for name in ("CastMap", "CategoryMapper", "DictVectorizer", "LabelEncoder"))
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "MatMulInteger", "ConvInteger", "DynamicQuantizeLinear")


_MOST_NAMED = 4


@dataclass(frozen=True)
class Refusal:
    """A node, why it can't be compiled, and what to do about it."""

    node: Node
    reason: str
    mend: str = ""


def in_training(node: Node, tensors: Mapping[str, Tensor]) -> Refusal | None:
    """A node that learns is refused: only inference is proved."""
    if node.domain:
        return None
    learns = False
    if node.op == "BatchNormalization":
        learns = bool(node.attributes.get("training_mode", 0)) or any(node.outputs[1:])
    elif node.op == "Dropout" and len(node.inputs) > 2 and node.inputs[2]:
        flag = tensors.get(node.inputs[2])
        learns = flag is not None and (flag.value is None or bool(np.any(flag.value)))
    return Refusal(node, "is in training mode", _TRAINED) if learns else None


def unsupported(node: Node) -> Refusal:
    """An operator that is not in the registry is refused."""
    name = f"{node.domain}.{node.op}" if node.domain else node.op
    if node.op in RANDOM:
        return Refusal(node, "draws random numbers", "a proof needs a model that gives the same result each time")
    if name in _OF_ANY_SIZE:
        return Refusal(
            node, "the shape of its result depends on values", "make its operand an output, and choose outside"
        )
    if node.domain == _OF_ONE_PROCESSOR:
        reason = "onnxruntime's optimizer wrote it for one kind of processor"
        return Refusal(node, reason, "give the model from before that, or save it at ORT_ENABLE_EXTENDED")
    if name in _TEXT or name in _ENCODERS:
        mend = "read texts and categories outside, and give plonnx the model behind that"
    elif node.op.startswith(_QUANTIZED):
        mend = "export the model before its quantization"
    else:
        mend = "`plonnx operators` lists those that are, besides any whose operands are constants"
    return Refusal(node, f"operator not supported at version {node.since}", mend)


def refused(model: Model, refusals: Sequence[Refusal], fine: Sequence[str]) -> CompileError:
    """The error that names them all, to be raised; `fine` are the outputs that do without these nodes."""
    said: dict[str, list[Node]] = {}
    for refusal in refusals:
        said.setdefault(refusal.reason, []).append(refusal.node)
    parts = [f"{_named(nodes)}: {reason}" for reason, nodes in said.items()]
    count = "" if len(refusals) == 1 else f"{len(refusals)} nodes can't be compiled: "
    mends = [*dict.fromkeys(refusal.mend for refusal in refusals), *_of_the_whole(model, refusals, fine)]
    return CompileError(f"{model.path}: {count}{'; '.join([*parts, *filter(None, mends)])}")


def _named(nodes: Sequence[Node]) -> str:
    """The first nodes of each operator, and how many more there are."""
    shown: list[str] = []
    for op in dict.fromkeys(node.op for node in nodes):
        group = [node for node in nodes if node.op == op]
        more = f" and {len(group) - _MOST_NAMED} more {op}" if len(group) > _MOST_NAMED else ""
        shown.append(", ".join(node.label for node in group[:_MOST_NAMED]) + more)
    return ", ".join(shown)


def _of_the_whole(model: Model, refusals: Sequence[Refusal], fine: Sequence[str]) -> Iterator[str]:
    """What to do about all of them, where they stand at the outputs or at the inputs."""
    if fine:
        yield f"{option('outputs', ','.join(fine))} compiles without {'it' if len(refusals) == 1 else 'them'}"
        return
    inputs = {value.name for value in model.inputs}
    outputs = {output.name for output in model.proto.graph.output}
    nodes = [refusal.node for refusal in refusals]
    if all(inputs.intersection(node.inputs) and not outputs.intersection(node.outputs) for node in nodes):
        yield "or compute this outside, and give plonnx the rest of the model with the result as its input"
