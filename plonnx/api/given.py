"""What users give: objects, or the paths of their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from plonnx.kzg.srs import SRS
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.plonk.keys import Proof, ProvingKey, VerifyingKey

Inputs = Any
"""A path, an array, a mapping of input name to array, or a DataFrame: layout/inputs.py."""
Progress = Callable[[str], None]
Share = Callable[[float], None]


class _Loadable(Protocol):
    @classmethod
    def load(cls, path: str | Path) -> Self: ...


_T = TypeVar("_T", bound=_Loadable)


def loaded(kind: type[_T], given: _T | str | Path) -> _T:
    """An object, or what its file holds."""
    return kind.load(given) if isinstance(given, (str, Path)) else given


def the_circuit(given: ModelCircuit | str | Path) -> ModelCircuit:
    """A circuit, or what its file holds."""
    from plonnx.layout.circuit import ModelCircuit

    return loaded(ModelCircuit, given)


def the_vk(given: VerifyingKey | str | Path) -> VerifyingKey:
    """A verifying key, or what its file holds."""
    from plonnx.plonk.keys import VerifyingKey

    return loaded(VerifyingKey, given)


def the_pk(given: ProvingKey | str | Path) -> ProvingKey:
    """A proving key, or what its file holds."""
    from plonnx.plonk.keys import ProvingKey

    return loaded(ProvingKey, given)


def the_proof(given: Proof | str | Path) -> Proof:
    """A proof, or what its file holds."""
    from plonnx.plonk.keys import Proof

    return loaded(Proof, given)


def the_srs(vk: VerifyingKey, given: SRS | str | Path | None) -> SRS:
    """The SRS of a key: the one that is given, or found by its path or the key alone."""
    from plonnx.srs_choice import for_key

    return for_key(vk, given) if given is None or isinstance(given, (str, Path)) else given
