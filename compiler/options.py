"""What a user chooses about compiling, as one object that is checked in one place.

What depends on the model (names of inputs, of outputs, of dimensions) is checked where the model is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from plonnx.compiler.graph import CompileError
from plonnx.compiler.lower import Hidden, Visibility
from plonnx.kzg.wording import option
from plonnx.layout.search import LARGEST_SRS, Aim
from plonnx.layout.validate import MOST_BITS

VISIBLE = ("public", "private")
AIMS = ("prover", "gas", "balanced")
ALLOWED_TABLE_BITS = range(4, 21)
DEFAULT_ERROR_TARGET = 0.003
DEFAULT_MARGIN = 2.0
_WIDEST = 1e9
"""A margin beyond it leaves nothing of a table."""
DEFAULT_WEIGHT_BITS = 16


@dataclass(frozen=True)
class Options:
    """How to compile a model; api.compile says what each means. CompileError where a value is none."""

    outputs: Sequence[str] | None = None
    margin: float = DEFAULT_MARGIN
    dims: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    table_bits: int | None = None
    error_target: float = DEFAULT_ERROR_TARGET
    input: Visibility = "public"
    output: Visibility = "public"
    model: str = "public"
    weight_bits: int | None = None
    bias_bits: int | None = None
    optimize: Literal["prover", "gas", "balanced"] = "prover"
    srs_size: int | None = None
    max_memory: float | None = None

    def __post_init__(self) -> None:
        if not 1.0 <= self.margin <= _WIDEST:
            raise CompileError(
                f"{option('margin', f'{self.margin:g}')}: ranges can only be widened; it must be 1 to {_WIDEST:g}"
            )
        if self.max_memory is not None and not 0 < 1e9 * self.max_memory < inf:
            raise CompileError(
                f"{option('max_memory', f'{self.max_memory:g}')}: give the gigabytes that a proof may take"
            )
        if not self.error_target >= 0:
            raise CompileError(f"{option('error_target', f'{self.error_target:g}')}: an error is 0 or more")
        for name in ("table_bits", "weight_bits", "bias_bits", "srs_size"):
            self._check_size(name, getattr(self, name))
        _check_word("model", self.model, VISIBLE)
        _check_word("optimize", self.optimize, AIMS)
        for name in ("input", "output"):
            self._check_visibility(name, getattr(self, name))
        for name in ("weight_bits", "bias_bits"):
            if getattr(self, name) is not None and self.model == "public":
                private = option("model", "private")
                raise CompileError(f"{option(name)} declares a width of a private model: give {private} with it")

    @property
    def hidden(self) -> Hidden | None:
        """The declared widths of a private model; None where the model is public."""
        if self.model == "public":
            return None
        return Hidden(DEFAULT_WEIGHT_BITS if self.weight_bits is None else self.weight_bits, self.bias_bits)

    @property
    def aim(self) -> Aim:
        """What the layout is made for."""
        return Aim(self.optimize, self.srs_size, None if self.max_memory is None else int(1e9 * self.max_memory))

    @staticmethod
    def _check_size(name: str, value: int | None) -> None:
        low, high = {
            "table_bits": (ALLOWED_TABLE_BITS[0], ALLOWED_TABLE_BITS[-1]),
            "weight_bits": (2, MOST_BITS),
            "bias_bits": (2, MOST_BITS),
            "srs_size": (1, LARGEST_SRS),
        }[name]
        if value is not None and not low <= value <= high:
            raise CompileError(f"{option(name, str(value))}: choose {low} to {high}")

    @staticmethod
    def _check_visibility(name: str, given: Visibility) -> None:
        for tensor, word in ({"": given} if isinstance(given, str) else given).items():
            _check_word(name, word, VISIBLE, f"{tensor}=" if tensor else "")


def _check_word(name: str, word: Any, choices: Sequence[str], tensor: str = "") -> None:
    if word not in choices:
        raise CompileError(f"{option(name, f'{tensor}{word}')}: choose {', '.join(choices[:-1])} or {choices[-1]}")
