"""Reading a model's inputs: files, arrays and tables -> checked real arrays -> integers at the inputs' scales.

    {"input_data": [[..], ..]}     JSON: one list per graph input, in graph order, flat or nested; no other key counts
    {"name": [..], ..}             JSON, or a mapping in Python: one array per input name
    .npz                           one array per input name
    .npy, a bare array             the array of a model with one input
    .csv, a DataFrame              a row per sample: columns by input name, or all columns for a model with one input

Where a circuit knows missing values, NaN in an input stands for one: the Boolean input beside it (MISSING) is then set.

An array may be flat, or have the tensor's shape, or a leading sample axis before it (which for a batch of one may
stand in the place of the batch axis). Samples without a batch axis are grouped where the model takes a larger batch.
Imports neither onnx nor sympy (nor pandas: a table is whatever has columns): the prover uses it.
"""

from __future__ import annotations

import csv
import json
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.kzg.wording import option
from plonnx.plonk.keys import Scale
from plonnx.plonk.public_values import HIGH, LOW, MISSING

Shape = tuple[int, ...]
Reals = NDArray[np.float64]
Integers = NDArray[np.int64]
Source = Any
"""A path to a file, a mapping of input name to array, a bare array, or a table with columns."""
# What readers of .npy, .npz and .csv raise for files that are damaged, or made to be so.
_UNREADABLE = (
    ValueError,
    EOFError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    csv.Error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_SEPARATORS = ",;\t"
_NAMED = 4
"""So many wrong names are shown."""
# An archive may unpack to so many bytes, or to so many times its own size.
_UNPACKED, _RATIO = 1 << 26, 100


class InputError(ValueError):
    """Input that the model can't take; the message is one line that names the file, the tensor and the mend."""


class MissingError(InputError):
    """Something is named that is not there: an array or a column."""


@dataclass(frozen=True)
class Port:
    """An input or output of the circuit: real = integer / 2**scale, |integer| < limit.

    `scale` is one number, or an array that broadcasts over the tensor (a scale for each channel) as nested tuples.
    wide: the integer is held as two, 2^wide high + low with 0 <= low < 2^wide; 0 where it is one.
    step: what the model rounds an input to multiples of before all else; 0 where it does not.
    """

    name: str
    shape: Shape
    dtype: str
    scale: Scale
    limit: int
    public: bool
    wide: int = 0
    step: float = 0.0

    @property
    def parts(self) -> Mapping[str, int]:
        """The tensors that hold it in the circuit."""
        return parts_of(self.name, self.wide)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def largest(self) -> float:
        """The largest magnitude that the circuit can hold here: in its widest channel."""
        return float(np.ldexp(float(self.limit - 1), -self.scales.min()))

    @property
    def scales(self) -> Integers:
        """The scale as an array."""
        return np.asarray(self.scale, np.int64)


def read_arrays(
    source: Source, names: Sequence[str], gaps: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, Reals]:
    """One array per input name as the source holds it: finite numbers in whatever shape.

    Of `gaps` some may be missing: NaN, null in JSON, an empty cell of a CSV. What is `optional` may not be there.
    Raises InputError for unreadable files, missing, unknown or surplus inputs, ragged lists, other NaN and infinity.
    """
    where = where_from(source)
    path = isinstance(source, (str, Path))
    held = _read_file(Path(source), names, bool(gaps)) if path else _given(source, names, where)
    every = [*names, *optional]
    if isinstance(held, Mapping):
        named = _by_name(where, held, names, optional)
    else:
        if len(held) not in (len(names), len(every)):
            raise InputError(f"{where}: {len(held)} arrays for {len(names)} inputs; expected {', '.join(names)}")
        named = dict(zip(every, held, strict=False))
    return {name: _numbers(where, name, named[name], name in gaps) for name in every if name in named}


def where_from(source: Source) -> str:
    """How messages name a source."""
    return str(source) if isinstance(source, (str, Path)) else "the given arrays"


def is_array(source: Any) -> bool:
    """Whether something is a bare array: a numpy array, a tensor, or nested lists of numbers (not a list of arrays)."""
    if hasattr(source, "__array__"):
        return True
    while isinstance(source, (list, tuple)) and source:
        source = source[0]
    return isinstance(source, (int, float))


def to_samples(values: Reals, name: str, shape: Shape, where: str = "input", fill: bool = False) -> Reals:
    """An array as (samples, *shape); InputError where it fits neither with nor without a sample axis.

    Single samples are grouped where the leading axis of `shape`, the batch, is longer than one. Where they are no
    whole number of batches, the first ones fill up the last batch, or with `fill` off they are refused.
    """
    size = int(np.prod(shape, dtype=np.int64))
    bare = shape[1:] if shape[:1] == (1,) else shape
    if values.shape in (shape, bare) or values.shape == (size,):
        return values.reshape((1, *shape))
    if values.shape[1:] in (shape, bare) or values.shape[1:] == (size,):
        return values.reshape((values.shape[0], *shape))
    batch = shape[0] if shape else 1
    if batch > 1 and values.shape[1:] in (shape[1:], (size // batch,)):
        if len(values) % batch and not fill:
            raise InputError(
                f"{where}: input {name!r} holds {len(values)} samples, which are no batches of {batch}:"
                " fill up the last one"
            )
        whole = np.resize(values, (-(-len(values) // batch) * batch, *values.shape[1:]))
        return whole.reshape((-1, *shape))
    raise InputError(
        f"{where}: input {name!r} has shape {_shown(values.shape)}; expected {_shown(shape)},"
        " with or without a leading sample axis, or flat"
    )


def read_samples(source: Source, ports: Mapping[str, Shape]) -> dict[str, Reals]:
    """Every input of a file as (samples, *shape), with the same number of samples; `ports` is input name -> shape.

    An input with a mark (MISSING) may be NaN: the mark, which need not be given, says so, and 0 takes its place.
    """
    where = where_from(source)
    marks = marked_by(ports)
    own = [name for name in ports if name not in marks]
    arrays = read_arrays(source, own, list(marks.values()), list(marks))
    samples = {name: to_samples(values, name, ports[name], where) for name, values in arrays.items()}
    counts = {name: values.shape[0] for name, values in samples.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise InputError(f"{where}: inputs have different numbers of samples: {shown}")
    for mark, name in marks.items():
        lost = np.isnan(samples[name])
        samples[mark] = np.maximum(samples[mark], lost) if mark in samples else lost.astype(np.float64)
        samples[name] = np.where(lost, 0.0, samples[name])
    return {name: samples[name] for name in ports}


def marked_by(ports: Mapping[str, Shape]) -> dict[str, str]:
    """By the name of a mark (MISSING): the input whose missing values it marks."""
    return {name + MISSING: name for name, shape in ports.items() if ports.get(name + MISSING) == shape}


def read_input(source: Source, ports: Sequence[Port]) -> dict[str, Integers]:
    """One inference's input as integers of each port's shape; InputError for anything that can't be proved."""
    where = where_from(source)
    integers = {}
    for name, values in read_samples(source, {port.name: port.shape for port in ports}).items():
        if values.shape[0] != 1:
            raise InputError(f"{where}: input {name!r} holds {values.shape[0]} samples; one inference takes one")
        integers[name] = values[0]
    return held(integers, ports, where)


def read_batch(source: Source, ports: Sequence[Port]) -> list[dict[str, Integers]]:
    """As `read_input`, for every sample of a file or of arrays with a leading sample axis."""
    where = where_from(source)
    samples = read_samples(source, {port.name: port.shape for port in ports})
    integers = held(samples, ports, where)
    return [{name: values[i] for name, values in integers.items()} for i in range(len(next(iter(integers.values()))))]


def unbatched(values: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """(samples, *shape) as users have it: a batch axis of one is the sample axis."""
    return values.reshape((len(values), *shape[1:])) if len(shape) > 1 and shape[0] == 1 else values


def quantize(values: Reals, port: Port, where: str = "input") -> Integers:
    """round(values * 2**scale), halves up; InputError names the tensor and the first value that is out of range.

    Of an input that is rounded to levels: the nearest integer that the circuit rounds to the level of the value.
    """
    if np.dtype(port.dtype).kind in "iub" and np.any(values != np.floor(values)):
        raise InputError(f"{where}: input {port.name!r} holds fractions; the model takes {port.dtype} values")
    scaled = np.floor(np.ldexp(np.asarray(values, dtype=np.float64), port.scales) + 0.5)
    outside = np.argwhere(~(np.abs(scaled) < port.limit))
    if outside.size:
        index = tuple(int(i) for i in outside[0])
        position = list(index[len(index) - len(port.shape) :])
        scale = np.broadcast_to(port.scales, port.shape)[tuple(position)]
        largest = float(np.ldexp(float(port.limit - 1), -int(scale)))
        sample = f"sample {index[0] + 1}: " if len(index) > len(port.shape) and len(values) > 1 else ""
        raise InputError(
            f"{where}: {sample}input {port.name!r} is {float(values[index]):g} at {position}, outside the"
            f" calibrated range [{-largest:g}, {largest:g}]; compile with data that covers it,"
            f" or a larger {option('margin')}"
        )
    return (_on_its_level(scaled, values, port) if port.step else scaled).astype(np.int64)


def _on_its_level(scaled: Reals, values: Reals, port: Port) -> Reals:
    """Integers one up or down where rounding has taken them across the border of two levels.

    A level is what onnxruntime makes of the value: a quotient of float32, rounded half to even.
    """
    level = np.rint(values.astype(np.float32) / np.float32(port.step))
    moved = scaled + np.sign(level - np.rint(np.ldexp(scaled, -port.scales) / port.step))
    return np.where(np.abs(moved) < port.limit, moved, scaled)


def held(samples: Mapping[str, Reals], ports: Sequence[Port], where: str = "input") -> dict[str, Integers]:
    """The integers of all ports (`quantize`), by the names of the tensors that hold them in the circuit."""
    integers: dict[str, Integers] = {}
    for port in ports:
        whole = quantize(samples[port.name], port, where)
        parts = [whole >> port.wide, whole & (1 << port.wide) - 1] if port.wide else [whole]
        integers |= dict(zip(port.parts, parts, strict=True))
    return integers


def parts_of(name: str, wide: int) -> Mapping[str, int]:
    """The names of the tensors that hold a port's integers, with their scales relative to its own."""
    return {name + HIGH: -wide, name + LOW: 0} if wide else {name: 0}


def joined(integers: Mapping[str, Integers], name: str, wide: int) -> Integers:
    """A port's integers from the tensors that hold them."""
    high, *low = (integers[part] for part in parts_of(name, wide))
    return (high << wide) + low[0] if low else high


def dequantize(integers: Integers, port: Port) -> Reals:
    """integers / 2**scale, exactly."""
    return np.ldexp(np.asarray(integers, dtype=np.float64), -port.scales)


def _given(source: Any, names: Sequence[str], where: str) -> Mapping[str, Any] | Sequence[Any]:
    """What Python objects hold: by name, or in graph order."""
    if isinstance(source, Mapping):
        return source
    if hasattr(source, "columns") and hasattr(source, "to_numpy"):
        return _table([str(column) for column in source.columns], np.asarray(source.to_numpy()), names, where)
    if isinstance(source, (list, tuple)) and len(names) > 1:
        return source  # in graph order
    if not is_array(source) and not isinstance(source, (list, tuple)):
        raise InputError(
            f"{where}: a {type(source).__name__} is no input; give a path, an array, a mapping of input name to array"
            " or a DataFrame"
        )
    if len(names) > 1:
        raise InputError(f"{where}: one array for {len(names)} inputs; give a mapping with {', '.join(names)}")
    return [source]


def _table(
    columns: Sequence[str], values: NDArray[Any], names: Sequence[str], where: str
) -> Mapping[str, Any] | list[Any]:
    """Columns by input name where the names are there, else all columns for the one input."""
    if all(name in columns for name in names):
        surplus = [column for column in columns if column not in names]
        if surplus:
            raise InputError(f"{where}: column {surplus[0]!r} is no input; the model's inputs are {', '.join(names)}")
        return {name: values[:, columns.index(name), None] for name in names}
    if len(names) > 1:
        missing = next(name for name in names if name not in columns)
        raise MissingError(
            f"{where}: no column for input {missing!r}; the model's inputs are {', '.join(names)}, and the columns"
            f" {', '.join(columns)}"
        )
    return [values]


def _read_file(path: Path, names: Sequence[str], gaps: bool) -> Mapping[str, Any] | Sequence[Any]:
    """What a file holds: by name, or in graph order."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            return _json(path)
        if suffix == ".csv":
            return _csv(path, names, gaps)
        if suffix == ".npy":
            return [np.load(path, allow_pickle=False)]
        if suffix == ".npz":
            return _npz(path)
    except OSError as error:
        reason = error.strerror or "not a numpy file"
        raise InputError(f"{path}: cannot be read ({reason})") from error
    except _UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable {suffix} file of plain numbers") from error
    raise InputError(f"{path}: inputs are read from .json, .csv, .npy and .npz files")


def _npz(path: Path) -> Mapping[str, Any]:
    """Arrays by name. Zeros pack a thousandfold, so what a small file would unpack to is asked before it is done."""
    with zipfile.ZipFile(path) as packed:
        unpacked = sum(entry.file_size for entry in packed.infolist())
    if unpacked > max(_UNPACKED, _RATIO * path.stat().st_size):
        raise InputError(
            f"{path}: this file would unpack to {unpacked >> 20} MB, {unpacked // path.stat().st_size} times its size;"
            " write it with numpy.savez, which does not compress"
        )
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _csv(path: Path, names: Sequence[str], gaps: bool) -> Mapping[str, Any] | Sequence[Any]:
    """Numbers between commas, semicolons or tabs, a sample a line, below a line of column names or none.

    A first column without a name numbers the lines, as pandas writes it, and is left out. With `gaps` a cell may be
    empty.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        separator = max(_SEPARATORS, key=stream.readline().count)
        stream.seek(0)
        reader = csv.reader(stream, delimiter=separator)
        lines = [(reader.line_num, line) for line in reader if line]
    if not lines:
        raise InputError(f"{path}: this file is empty")
    first = [cell.strip() for cell in lines[0][1]]
    headed = _is_header(first, [line for _, line in lines[1:]])
    columns, rows = (first, lines[1:]) if headed else ([str(place) for place in range(len(first))], lines)
    for number, row in rows:
        if len(row) != len(columns):
            raise InputError(f"{path}: line {number} has {len(row)} values where the first has {len(columns)}")
        known = (_is_number(cell) or (gaps and _is_absent(cell)) for cell in row)
        wrong = next((place for place, held in enumerate(known) if not held), None)
        if wrong is not None:
            where = f", column {columns[wrong]!r}" if headed else ""
            raise InputError(f"{path}: line {number}{where}: {row[wrong]!r} is not a number")
    cells = [[np.nan if _is_absent(cell) else float(cell) for cell in row] for _, row in rows]
    values = np.array(cells).reshape(len(rows), len(columns))
    numbered = int(headed and not columns[0] and len(columns) > 1)
    return _table(columns[numbered:], values[:, numbered:], names, str(path))


def _is_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first line holds names: text, or the numbers 0, 1, 2, .. above a column of fractions, as pandas names
    columns that have no names; behind an empty cell, above the numbers of the lines, any whole numbers."""
    if not all(_is_number(cell) or not cell for cell in first):
        return True
    if len(first) > 1 and not first[0]:
        return all(cell.isdecimal() for cell in first[1:])
    if len(first) < 2 or list(first) != [str(place) for place in range(len(first))]:
        return False
    columns = zip(*(row for row in rest if len(row) == len(first)), strict=True)
    return any(all(not cell.strip(" +-").isdecimal() for cell in column) for column in columns)


def _is_absent(cell: str) -> bool:
    return cell.strip() in ("", "NA")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _json(path: Path) -> Mapping[str, Any] | Sequence[Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8-sig"))
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


def _by_name(where: str, held: Mapping[str, Any], names: Sequence[str], optional: Collection[str]) -> Mapping[str, Any]:
    missing = [name for name in names if name not in held]
    unknown = [name for name in held if name not in names and name not in optional]
    if missing or unknown:
        wrong = f"no array for input {missing[0]!r}" if missing else f"unknown input {unknown[0]!r}"
        kind = MissingError if missing else InputError
        given = f", those given {', '.join([*unknown[:_NAMED], '..'][: len(unknown)])}" if missing and unknown else ""
        raise kind(f"{where}: {wrong}; the model's inputs are {', '.join(names)}{given}")
    return held


def _numbers(where: str, name: str, held: Any, gaps: bool) -> Reals:
    try:
        array = np.asarray(held)
    except ValueError as error:
        raise InputError(f"{where}: input {name!r} is not a regular array (its lists differ in length)") from error
    if gaps and array.dtype.kind == "O":
        array = _with_nan(array)
    if array.dtype.kind not in "fiub" or array.size == 0:
        what = "empty" if array.size == 0 else "not made of numbers"
        raise InputError(f"{where}: input {name!r} is {what}")
    values = array.astype(np.float64)
    broken = np.argwhere(np.isinf(values) if gaps else ~np.isfinite(values))
    if broken.size:
        index = tuple(int(i) for i in broken[0])
        lost = (
            "; put a number in its place, such as the one that the model imputes, or, if the model says what becomes of"
            " missing values, compile with data in which some are missing"
        )
        raise InputError(
            f"{where}: input {name!r} is {values[index]} at {list(index)}; inputs must be finite"
            + (lost if np.isnan(values[index]) else "")
        )
    return values


def _with_nan(held: NDArray[Any]) -> NDArray[Any]:
    """Numbers and None as numbers and NaN; anything else as it is."""
    try:
        return held.astype(np.float64)
    except (TypeError, ValueError):
        return held


def _shown(shape: Shape) -> str:
    return f"[{', '.join(str(size) for size in shape)}]"
