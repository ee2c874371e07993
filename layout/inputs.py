"""Reading a model's inputs: .json, .npy and .npz files -> checked real arrays -> integers at the inputs' scales.

    {"input_data": [[..], ..]}     one list per graph input, in graph order, flat or nested; other keys are ignored
    {"name": [..], ..}             one nested list per input name
    .npz                           one array per input name
    .npy                           the array of a model with one input

An array may be flat, or have the tensor's shape, or a leading sample axis before it (which for a batch of one may
stand in the place of the batch axis). Imports neither onnx nor sympy: the prover uses it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.kzg.wording import option

Shape = tuple[int, ...]
Reals = NDArray[np.float64]
Integers = NDArray[np.int64]


class InputError(ValueError):
    """Input that the model can't take; the message is one line that names the file, the tensor and the mend."""


@dataclass(frozen=True)
class Port:
    """An input or output of the circuit: real = integer / 2**scale, |integer| < limit."""

    name: str
    shape: Shape
    dtype: str
    scale: int
    limit: int
    public: bool

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def largest(self) -> float:
        """The largest magnitude that the circuit can hold here."""
        return float(np.ldexp(float(self.limit - 1), -self.scale))


def read_arrays(source: str | Path | Mapping[str, Any], names: Sequence[str]) -> dict[str, Reals]:
    """One array per input name as the file (or mapping) holds it: finite numbers in whatever shape.

    Raises InputError for unreadable files, missing, unknown or surplus inputs, ragged lists, NaN and infinity.
    """
    if isinstance(source, (str, Path)):
        where = str(source)
        held = _read_file(Path(source))
    else:
        where, held = "the given arrays", source
    if isinstance(held, Mapping):
        named = _by_name(where, held, names)
    else:
        if len(held) != len(names):
            raise InputError(f"{where}: {len(held)} arrays for {len(names)} inputs; expected {', '.join(names)}")
        named = dict(zip(names, held, strict=True))
    return {name: _numbers(where, name, named[name]) for name in names}


def to_samples(values: Reals, name: str, shape: Shape, where: str = "input") -> Reals:
    """An array as (samples, *shape); InputError where it fits neither with nor without a sample axis."""
    size = int(np.prod(shape, dtype=np.int64))
    bare = shape[1:] if shape[:1] == (1,) else shape
    single = values.shape in (shape, bare) or values.shape == (size,)
    several = values.shape[1:] in (shape, bare) or values.shape[1:] == (size,)
    if not single and not several:
        raise InputError(
            f"{where}: input {name!r} has shape {_shown(values.shape)}; expected {_shown(shape)},"
            " with or without a leading sample axis, or flat"
        )
    return values.reshape((1 if single else values.shape[0], *shape))


def read_samples(source: str | Path | Mapping[str, Any], ports: Mapping[str, Shape]) -> dict[str, Reals]:
    """Every input of a file as (samples, *shape), with the same number of samples; `ports` is input name -> shape."""
    where = str(source) if isinstance(source, (str, Path)) else "the given arrays"
    arrays = read_arrays(source, list(ports))
    samples = {name: to_samples(values, name, ports[name], where) for name, values in arrays.items()}
    counts = {name: values.shape[0] for name, values in samples.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise InputError(f"{where}: inputs have different numbers of samples: {shown}")
    return samples


def read_input(source: str | Path | Mapping[str, Any], ports: Sequence[Port]) -> dict[str, Integers]:
    """One inference's input as integers of each port's shape; InputError for anything that can't be proved."""
    where = str(source) if isinstance(source, (str, Path)) else "the given arrays"
    integers = {}
    for name, values in read_samples(source, {port.name: port.shape for port in ports}).items():
        if values.shape[0] != 1:
            raise InputError(f"{where}: input {name!r} holds {values.shape[0]} samples; one inference takes one")
        integers[name] = values[0]
    return {port.name: quantize(integers[port.name], port, where) for port in ports}


def read_batch(source: str | Path | Mapping[str, Any], ports: Sequence[Port]) -> list[dict[str, Integers]]:
    """As `read_input`, for every sample of a file or of arrays with a leading sample axis."""
    where = str(source) if isinstance(source, (str, Path)) else "the given arrays"
    samples = read_samples(source, {port.name: port.shape for port in ports})
    integers = {port.name: quantize(samples[port.name], port, where) for port in ports}
    return [{name: values[i] for name, values in integers.items()} for i in range(len(next(iter(integers.values()))))]


def quantize(values: Reals, port: Port, where: str = "input") -> Integers:
    """round(values * 2**scale), halves up; InputError names the tensor and the first value that is out of range."""
    if np.dtype(port.dtype).kind in "iub" and np.any(values != np.floor(values)):
        raise InputError(f"{where}: input {port.name!r} holds fractions; the model takes {port.dtype} values")
    scaled = np.floor(np.ldexp(np.asarray(values, dtype=np.float64), port.scale) + 0.5)
    outside = np.argwhere(~(np.abs(scaled) < port.limit))
    if outside.size:
        index = tuple(int(i) for i in outside[0])
        position = list(index[len(index) - len(port.shape) :])
        raise InputError(
            f"{where}: input {port.name!r} is {float(values[index]):g} at {position}, outside the calibrated range"
            f" [{-port.largest:g}, {port.largest:g}]; compile with data that covers it, or a larger {option('margin')}"
        )
    return scaled.astype(np.int64)


def dequantize(integers: Integers, port: Port) -> Reals:
    """integers / 2**scale, exactly."""
    return np.ldexp(np.asarray(integers, dtype=np.float64), -port.scale)


def _read_file(path: Path) -> Mapping[str, Any] | Sequence[Any]:
    """What a file holds: by name, or in graph order."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            return _json(path)
        if suffix == ".npy":
            return [np.load(path, allow_pickle=False)]
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except OSError as error:
        reason = error.strerror or "not a numpy file"
        raise InputError(f"{path}: cannot be read ({reason})") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable {suffix} file of plain numbers") from error
    raise InputError(f"{path}: inputs are read from .json, .npy and .npz files")


def _json(path: Path) -> Mapping[str, Any] | Sequence[Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(held, dict):
        raise InputError(f'{path}: expected an object, {{"input_data": [[..]]}} or {{"name": [..]}}')
    if "input_data" in held:
        lists = held["input_data"]
        if not isinstance(lists, list):
            raise InputError(f'{path}: "input_data" must be a list with one list per input')
        return lists
    return held


def _by_name(where: str, held: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    missing = [name for name in names if name not in held]
    unknown = [name for name in held if name not in names]
    if missing or unknown:
        wrong = f"no array for input {missing[0]!r}" if missing else f"unknown input {unknown[0]!r}"
        raise InputError(f"{where}: {wrong}; the model's inputs are {', '.join(names)}")
    return held


def _numbers(where: str, name: str, held: Any) -> Reals:
    try:
        array = np.asarray(held)
    except ValueError as error:
        raise InputError(f"{where}: input {name!r} is not a regular array (its lists differ in length)") from error
    if array.dtype.kind not in "fiub" or array.size == 0:
        what = "empty" if array.size == 0 else "not made of numbers"
        raise InputError(f"{where}: input {name!r} is {what}")
    values = array.astype(np.float64)
    broken = np.argwhere(~np.isfinite(values))
    if broken.size:
        index = tuple(int(i) for i in broken[0])
        raise InputError(f"{where}: input {name!r} is {values[index]} at {list(index)}; inputs must be finite")
    return values


def _shown(shape: Shape) -> str:
    return f"[{', '.join(str(size) for size in shape)}]"
