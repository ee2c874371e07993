"""Reading a file that somebody else may have made: every field by its type and its bounds, and no other fields.

    with record.load(path, "proof") as held:
        digest = held["vk_digest"].hexadecimal(32)
        proof = held.array("proof", np.uint8, (None,))

What a field must not be is Malformed and names its place; the outermost `with` makes a FileError of it, and refuses
fields and arrays that nobody asked for. Nothing here takes more time or memory than the file is long. What fields say
together (an index that must lie inside another list) is checked by who knows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from plonnx.kzg import container
from plonnx.kzg.container import FileError
from plonnx.kzg.curve import MODULUS

T = TypeVar("T")
MOST_TEXT = 4096  # characters of a name: a chain of functions is named by its formula
MOST_DEPTH = 8  # of `Value.anything`
_WORDS_TOLD = 16  # where more are allowed a message says how many
INT64 = (-(1 << 63), (1 << 63) - 1)
# Control characters, formats (the bidirectional ones among them), halves of surrogate pairs, separators of lines.
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


class Malformed(ValueError):
    """What a field holds is not what it should be: one line that names the field."""


def require(holds: bool, what: str) -> None:
    """Raise Malformed, saying what does not hold."""
    if not holds:
        raise Malformed(what)


def lies_within(values: NDArray[np.int64], most: int) -> bool:
    """Whether no integer is more than `most` from zero. np.abs does not say it: of -2^63 it is -2^63."""
    return -most <= int(values.min(initial=0)) and int(values.max(initial=0)) <= most


def printable(text: str) -> bool:
    """Whether a text can be shown as it is: no control characters, none that turn the direction of what follows."""
    if text.isascii():
        return text.isprintable()
    from unicodedata import category  # rarely wanted

    return not any(category(character) in _UNPRINTABLE for character in text)


class Value:
    """A JSON value and its place. Each method gives it as what it has to be."""

    __slots__ = ("_index", "_inside", "held")

    def __init__(self, held: Any, inside: Value | str, index: int | None = None) -> None:
        self.held, self._inside, self._index = held, inside, index

    @property
    def place(self) -> str:
        """The names and indices that lead here."""
        inside = self._inside if isinstance(self._inside, str) else self._inside.place
        return inside if self._index is None else f"{inside}[{self._index}]"

    def refuse(self, what: str) -> NoReturn:
        """Raise Malformed."""
        raise Malformed(f"{self.place} {what}")

    def integer(self, low: int, high: int) -> int:
        """An integer in low..high."""
        if type(self.held) is not int or not low <= self.held <= high:
            self.refuse(f"is no integer in {low}..{high}")
        return self.held

    def real(self, low: float, high: float) -> float:
        """A number in low..high, as it is written: no NaN and no infinity."""
        if type(self.held) not in (int, float) or not low <= self.held <= high:
            self.refuse(f"is no number in {low:g}..{high:g}")
        number: float = self.held
        return number

    def optional(self, read: Callable[[Value], T]) -> T | None:
        """What `read` gives, or None for null."""
        return None if self.held is None else read(self)

    def null(self) -> None:
        """Nothing."""
        if self.held is not None:
            self.refuse("is not null")

    def flag(self) -> bool:
        """A Boolean."""
        if not isinstance(self.held, bool):
            self.refuse("is neither true nor false")
        return self.held

    def text(self, most: int = MOST_TEXT) -> str:
        """A printable text of at most `most` characters."""
        if not isinstance(self.held, str) or len(self.held) > most or not printable(self.held):
            self.refuse(f"is no printable text of at most {most} characters")
        return self.held

    def word(self, *allowed: str) -> Any:
        """One of the given words."""
        if not isinstance(self.held, str) or self.held not in allowed:
            few = len(allowed) <= _WORDS_TOLD
            self.refuse(f"is none of {', '.join(allowed) if few else f'the {len(allowed)} that this version knows'}")
        return self.held

    def hexadecimal(self, *lengths: int) -> bytes:
        """Bytes, in lower case, of one of the lengths."""
        if not isinstance(self.held, str) or len(self.held) not in [2 * length for length in lengths]:
            self.refuse(f"does not have {' or '.join(map(str, lengths))} bytes in hexadecimal")
        try:
            found = bytes.fromhex(self.held)
        except ValueError:
            found = b""
        if found.hex() != self.held:
            self.refuse("is not in hexadecimal")
        return found

    def scalar(self) -> int:
        """An element of the scalar field, as `hex` writes it."""
        hexadecimal = isinstance(self.held, str) and re.fullmatch("0x[0-9a-f]{1,64}", self.held)
        if not hexadecimal or int(self.held, 16) >= MODULUS or hex(int(self.held, 16)) != self.held:
            self.refuse("is no scalar below r in hexadecimal")
        return int(self.held, 16)

    def items(self, least: int = 0) -> list[Value]:
        """The items of a list, of which there are at least so many."""
        if not isinstance(self.held, list) or len(self.held) < least:
            self.refuse(f"is no list of at least {least}" if least else "is no list")
        return [Value(item, self, i) for i, item in enumerate(self.held)]

    def parts(self, count: int) -> list[Value]:
        """The items of a list of exactly so many."""
        if not isinstance(self.held, list) or len(self.held) != count:
            self.refuse(f"is no list of {count}")
        return self.items()

    def integers(self, low: int, high: int, least: int = 0) -> tuple[int, ...]:
        """A list of at least so many integers in low..high."""
        return tuple([item.integer(low, high) for item in self.items(least)])

    def fields(self) -> Fields:
        """The fields of an object."""
        if not isinstance(self.held, dict):
            self.refuse("is no object")
        return Fields(self.held, f"{self.place}.")

    def anything(self, depth: int = MOST_DEPTH) -> Any:
        """Any plain data to be shown: printable texts, numbers, lists, objects."""
        if isinstance(self.held, str):
            return self.text()
        if isinstance(self.held, list | dict) and not depth:
            self.refuse("is nested too deep")
        if isinstance(self.held, list):
            return [item.anything(depth - 1) for item in self.items()]
        if isinstance(self.held, dict):
            with self.fields() as fields:
                return {name: fields[name].anything(depth - 1) for name in fields}
        return self.held


class Fields:
    """The fields of an object, each to be asked for; leaving the `with` refuses the others."""

    def __init__(self, held: dict[str, Any], place: str = "") -> None:
        self._held, self._place = held, place
        self._asked: set[str] = set()

    def __getitem__(self, name: str) -> Value:
        if name not in self._held:
            raise Malformed(f"{self._place}{name} is missing")
        self._asked.add(name)
        return Value(self._held[name], self._place + name)

    def __iter__(self) -> Iterator[str]:
        """The names, for an object whose names are free; each a printable text."""
        return iter([Value(name, self._place + "a name").text() for name in self._held])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._refuse_others()

    def _refuse_others(self) -> None:
        _refuse_others("field", self._place, self._held, self._asked)


class Record(Fields):
    """The fields and arrays of a file; ValueErrors inside its `with` become a FileError that names the file."""

    def __init__(self, content: bytes, kind: str, source: str | Path) -> None:
        meta, self._arrays = container.decode(content, kind, source)
        self._kind, self._source, self.size = kind, source, len(content)
        self._taken: set[str] = set()
        super().__init__(meta if isinstance(meta, dict) else {"(no object)": None})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._refuse_others()
                _refuse_others("array", "", self._arrays, self._taken)
                return
        except Malformed as found:
            error = found
        if isinstance(error, ValueError) and not isinstance(error, FileError):
            raise FileError(
                f"{self._source}: the {self._kind} file does not hold what it should ({error}): make it again"
            ) from error

    def has_array(self, name: str) -> bool:
        """Whether there is an array of this name."""
        return name in self._arrays

    def array(
        self, name: str, kind: type[np.generic] | None = None, shape: Sequence[int | None] | int | None = None
    ) -> NDArray[Any]:
        """An array of a type (None: the narrowest signed one) and a shape; None in it stands for any size.

        A number stands for a shape of so many axes, None for any shape.
        """
        if name not in self._arrays:
            raise Malformed(f"array {name} is missing")
        self._taken.add(name)
        found = self._arrays[name]
        if found.dtype != (kind or container.narrow(found).dtype):
            raise Malformed(f"array {name} has elements of type {found.dtype}")
        wanted = (None,) * shape if isinstance(shape, int) else found.shape if shape is None else tuple(shape)
        if len(wanted) != found.ndim or any(w not in (None, size) for w, size in zip(wanted, found.shape, strict=True)):
            raise Malformed(f"array {name} has the shape {list(found.shape)}")
        return found

    def bytes(self, name: str) -> bytes:
        """An array of bytes."""
        return self.array(name, np.uint8, 1).tobytes()


def load(path: str | Path, kind: str) -> Record:
    """The record in a file of a kind, or a FileError of one line."""
    return Record(container.read_bytes(path), kind, path)


def _refuse_others(what: str, place: str, held: dict[str, Any], asked: set[str]) -> None:
    others = sorted(held.keys() - asked)
    if others:
        name = others[0] if printable(others[0]) and len(others[0]) < 100 else repr(others[0][:100])
        raise Malformed(f"{what} {place}{name} is unknown")
