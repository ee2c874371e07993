"""How good a circuit is on data: its accuracy on labels, beside that of a reference (the float model, say).

    labels of classes, an output of several scores       the share of samples whose largest score is the label's
    labels of 0 and 1, an output of one score            the share on the right side of the threshold
    labels of classes, an output of integers             the share of equal ones
    none, an output of scores for input token ids        perplexity of the ids, the share of equal next tokens
    other labels                                         mean absolute error, root of the mean square

Samples that the circuit can't take (an input or an inner tensor leaves its calibrated range) are counted and left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plonnx.gadgets.gadget import OutOfRange
from plonnx.layout.inputs import InputError, Port, Source, dequantize, held, joined, read_samples, unbatched, where_from
from plonnx.layout.language import next_tokens, perplexity, token_ids

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit

Values = NDArray[Any]
_BATCH = 128
Outputs = dict[str, Values]


def predict(circuit: ModelCircuit, source: Source) -> Outputs:
    """The circuit's outputs by name, (samples, ..): real numbers, or integers where the model gives integers."""
    samples = _samples(circuit, source)
    integers = held(samples, circuit.inputs, where_from(source))
    count = len(next(iter(integers.values())))
    parts = [
        _run(circuit, {name: v[start : start + _BATCH] for name, v in integers.items()})
        for start in range(0, count, _BATCH)
    ]
    return _joined(circuit, parts)


def evaluate(
    circuit: ModelCircuit,
    source: Source,
    labels: Values | None = None,
    reference: Mapping[str, Values] | None = None,
    output: str | None = None,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """Figures of one output: `circuit` and `reference` on the labels, and how often and how far the two agree.

    `reference` holds outputs as `predict` gives them. InputError where labels or outputs do not fit.
    """
    port = _chosen(circuit, output)
    samples = _samples(circuit, source)
    count = len(next(iter(samples.values())))
    got, taken = _provable(circuit, samples, count)
    record: dict[str, Any] = {"output": port.name, "samples": count, "refused": count - int(taken.sum())}
    if not taken.any():
        raise InputError("every sample leaves the calibrated range: compile with data like these")
    values = got[port.name]
    if labels is not None:
        truth = _labels(labels, count)[taken]
        record["circuit"] = measured(values, truth, threshold)
        if reference is not None:
            record["float"] = measured(_of(reference, port, count)[taken], truth, threshold)
    theirs = None if reference is None else _of(reference, port, count)[taken]
    if theirs is not None:
        record["agreement"] = agreement(values, theirs, threshold)
    ids = token_ids({p.name: (p.shape, p.dtype) for p in circuit.inputs}, (port.shape, port.dtype))
    if ids is not None:
        _spoken(record, samples[ids][taken], values, theirs)
    return record


def _spoken(record: dict[str, Any], ids: Values, ours: Values, theirs: Values | None) -> None:
    """Add a language model's figures."""
    for who, scores in (("circuit", ours), ("float", theirs)):
        if scores is not None:
            record.setdefault(who, {})["perplexity"] = perplexity(scores, ids)
    if theirs is not None:
        record["agreement"]["next_tokens"] = next_tokens(ours, theirs)


def measured(values: Values, labels: Values, threshold: float) -> dict[str, float]:
    """The figures of some outputs (samples, ..) on labels."""
    classes = labels.ndim == 1 and np.array_equal(labels, np.floor(labels))
    scores = values.reshape(len(values), -1)
    if classes and values.dtype.kind in "iub" and scores.shape[1] == 1:
        return {"accuracy": float(np.mean(scores[:, 0] == labels))}
    if classes and scores.shape[1] > 1:
        return {"accuracy": float(np.mean(scores.argmax(axis=1) == labels))}
    if classes and scores.shape[1] == 1 and np.all((labels == 0) | (labels == 1)):
        return {"accuracy": float(np.mean((scores[:, 0] > threshold) == (labels == 1)))}
    if scores.size != labels.size:
        raise InputError(f"the labels have {labels.size // len(labels)} values a sample, the output {scores.shape[1]}")
    error = scores - labels.reshape(scores.shape)
    return {"mean_absolute_error": float(np.abs(error).mean()), "root_mean_square": float(np.sqrt(np.mean(error**2)))}


def agreement(values: Values, reference: Values, threshold: float) -> dict[str, float]:
    """How often both decide alike, where the output decides anything, and how far they are apart."""
    ours, theirs = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (values, reference))
    spread = float(np.ptp(theirs)) or float(np.abs(theirs).max()) or 1.0
    furthest = {"max_relative_error": float(np.abs(ours - theirs).max() / spread)}
    if ours.shape[1] > 1:
        same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    elif values.dtype.kind in "iub":
        same = ours == theirs
    elif len(np.unique(theirs > threshold)) == 1 and (theirs.min() < 0.0 or theirs.max() > 1.0):
        return furthest  # a number that is no probability and always on one side: nothing is decided by it
    else:
        same = (ours > threshold) == (theirs > threshold)
    return {"decisions": float(np.mean(same)), **furthest}


def _samples(circuit: ModelCircuit, source: Source) -> dict[str, Values]:
    return dict(read_samples(source, {port.name: port.shape for port in circuit.inputs}))


def _provable(circuit: ModelCircuit, samples: Mapping[str, Values], count: int) -> tuple[Outputs, NDArray[np.bool_]]:
    """The outputs of the samples that can be proved, and which these are."""
    parts: list[dict[str, Values]] = []
    taken = np.zeros(count, bool)
    for start in range(0, count, _BATCH):
        try:
            batch = {name: values[start : start + _BATCH] for name, values in samples.items()}
            parts.append(circuit.builder.evaluate(held(batch, circuit.inputs)))
            taken[start : start + _BATCH] = True
        except (InputError, OutOfRange):  # one of them is out of range: one by one
            for index in range(start, min(start + _BATCH, count)):
                try:
                    one = {name: values[index : index + 1] for name, values in samples.items()}
                    parts.append(circuit.builder.evaluate(held(one, circuit.inputs)))
                    taken[index] = True
                except (InputError, OutOfRange):
                    continue
    return (_joined(circuit, parts) if parts else {}), taken


def _run(circuit: ModelCircuit, integers: Mapping[str, NDArray[np.int64]]) -> dict[str, Values]:
    done = circuit.run(integers)
    return {output.name: circuit.builder.read(done, output.cells) for output in circuit.builder.outputs}


def _joined(circuit: ModelCircuit, parts: list[dict[str, Values]]) -> Outputs:
    return {
        port.name: _real(np.concatenate([joined(part, port.name, port.wide) for part in parts]), port)
        for port in circuit.outputs
    }


def _real(integers: Values, port: Port) -> Values:
    values = dequantize(integers, port)
    kind = np.dtype(port.dtype).kind
    typed = values.astype(bool) if kind == "b" else np.rint(values).astype(np.int64) if kind in "iu" else values
    return unbatched(typed, port.shape)


def _chosen(circuit: ModelCircuit, name: str | None) -> Port:
    """The output that is asked for, else the first of several scores, else the first."""
    if name is not None:
        found = [port for port in circuit.outputs if port.name == name]
        if not found:
            raise InputError(f"output {name!r}: the circuit's outputs are {', '.join(p.name for p in circuit.outputs)}")
        return found[0]
    return next((port for port in circuit.outputs if port.size > 1), circuit.outputs[0])


def _labels(labels: Values, count: int) -> Values:
    values = np.asarray(labels)
    if values.dtype.kind not in "fiub":
        raise InputError("labels are numbers: the classes' places in the output, or the values to predict")
    if values.ndim and len(values) == count:
        return values.reshape(count) if values.size == count else values
    raise InputError(f"{len(values) if values.ndim else 1} labels for {count} samples")


def _of(reference: Mapping[str, Values], port: Port, count: int) -> Values:
    if port.name not in reference:
        raise InputError(f"the reference has no output {port.name!r}; it has {', '.join(reference)}")
    values = np.asarray(reference[port.name])
    if len(values) != count:
        raise InputError(f"the reference has {len(values)} samples of {port.name!r}, the data {count}")
    return values
