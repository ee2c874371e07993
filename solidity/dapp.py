"""What a dapp needs beside its verifier: the interface, contexts, the public values as numbers; a foundry project."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plonnx.plonk.keys import Proof, PublicTensor, VerifyingKey
from plonnx.plonk.public_values import are_parts, is_mark
from plonnx.solidity import node
from plonnx.solidity.generator import plain, template
from plonnx.solidity.shared import SHARED_VERIFIER, emit_shared_verifier
from plonnx.solidity.source import emit_solidity

SHARED = ("IPlonnxSharedVerifier.sol", "PlonnxRegistry.sol", "PlonnxContext.sol", "PlonnxValues.sol")
_WORD_BITS = 256
LIBRARIES = ("IPlonnxVerifier.sol", "PlonnxContext.sol", "PlonnxValues.sol", "MockVerifier.sol")


@dataclass(frozen=True)
class _Named:
    """A public tensor under the names that it has in Solidity."""

    tensor: PublicTensor
    function: str
    constant: str

    def __getattr__(self, name: str) -> object:
        return getattr(self.tensor, name)

    @property
    def label(self) -> str:
        """The name in the model, fit for a comment."""
        return plain(self.tensor.name)

    @property
    def finest(self) -> int:
        """The scale of the numbers that the function gives: one for all channels."""
        return int(np.max(self.tensor.scale))

    @property
    def run(self) -> int:
        """How many values one after another have one scale."""
        scales = self._scales
        varying = [axis for axis in range(scales.ndim) if np.ptp(scales, axis=axis).any()]
        return int(np.prod(scales.shape[varying[-1] + 1 :], dtype=np.int64)) if varying else 1

    @property
    def shifts(self) -> str:
        """What each run is shifted by to the finest scale, a byte each, in hexadecimal; empty where nothing is."""
        apart = (self.finest - self._scales).reshape(-1)[:: self.run]
        if apart.max() + 8 * self.tensor.width > _WORD_BITS:
            raise ValueError(
                f"{self.label}: its channels have scales from {self._scales.min()} to {self.finest}, too far apart for"
                f" one int256 each: make the {self.tensor.role} two tensors"
            )
        shifts = apart.astype(np.uint8)
        repeats = next(
            n for n in range(1, len(shifts) + 1) if np.array_equal(shifts, np.resize(shifts[:n], len(shifts)))
        )
        return shifts[:repeats].tobytes().hex() if shifts.any() else ""

    @property
    def _scales(self) -> NDArray[np.int64]:
        return np.broadcast_to(np.asarray(self.tensor.scale, np.int64), self.tensor.shape)


def emit_values(vk: VerifyingKey) -> str:
    """The source of library `ModelValues`: for each public tensor its scale and a function to int256[].

    Where values may be missing its NatSpec says that the number alone is the prover's word.
    """
    named = _named(vk.tensors)
    by_tensor = {one.tensor: one for one in named}
    marks = {by_tensor[of].function: by_tensor[flag].function for flag, of in _marks(vk.tensors)}
    model = plain(vk.model) or "a model"
    return template("ModelValues.sol.j2").render(vk=vk, model=model, tensors=named, marks=marks, pairs=_pairs(named))


def dapp_files(vk: VerifyingKey, via_ir: bool = False) -> dict[str, str]:
    """Everything that a dapp compiles or reads, by file name. Needs solc, for the ABI.

    With `via_ir` the contract, and what block explorers are told of it, are those of a project that has viaIR.
    """
    files = _sources(vk, via_ir)
    abi = node.compile_contract(files["Verifier.sol"]).abi
    standard = node.standard_input({"Verifier.sol": files["Verifier.sol"]}, via_ir)
    files["Verifier.abi.json"] = json.dumps(abi, indent=2) + "\n"
    files["Verifier.input.json"] = json.dumps(standard, indent=2) + "\n"
    return {**files, **_javascript(vk, abi)}


def shared_files() -> dict[str, str]:
    """What a dapp that calls the shared verifier compiles, by file name: the same for all models."""
    return {f"{SHARED_VERIFIER}.sol": emit_shared_verifier(), **_libraries(SHARED)}


def foundry_files(vk: VerifyingKey, proof: Proof | None = None, via_ir: bool = False) -> dict[str, str]:
    """A project for forge, by file name: the sources and a test, of a proof of this key where one is given.

    With `via_ir` it compiles with viaIR.
    """
    if proof is not None and proof.vk_digest != vk.digest:
        raise ValueError("the proof was made for another verifying key")
    files = {f"src/{name}": text for name, text in _sources(vk, via_ir).items()}
    files["foundry.toml"] = template("foundry.toml.j2").render(solc=node.SOLC, settings=node.SETTINGS, via_ir=via_ir)
    files["test/Verifier.t.sol"] = template("Verifier.t.sol.j2").render(proof=proof)
    return files


def _javascript(vk: VerifyingKey, abi: Sequence[Any]) -> dict[str, str]:
    """The contract's interface and the public values as numbers, with their types."""
    fields = ("name", "role", "shape", "offset", "width")
    tensors = [
        {**{field: getattr(tensor, field) for field in fields}, "scale": _scales(tensor)} for tensor in vk.tensors
    ]
    marks = [(plain(of.name), plain(flag.name)) for flag, of in _marks(vk.tensors)]
    shown = {"abi": json.dumps(abi, indent=2), "tensors": json.dumps(tensors, indent=2)}
    return {
        name: template(f"{name}.j2").render(vk=vk, marks=marks, **shown) for name in ("verifier.mjs", "verifier.d.mts")
    }


def _scales(tensor: PublicTensor) -> int | list[int]:
    """A tensor's scale, or that of each of its elements, row-major."""
    if isinstance(tensor.scale, int):
        return tensor.scale
    return [int(scale) for scale in np.broadcast_to(np.array(tensor.scale), tensor.shape).reshape(-1)]


def _sources(vk: VerifyingKey, via_ir: bool) -> dict[str, str]:
    """The Solidity files."""
    return {**_libraries(LIBRARIES), "Verifier.sol": emit_solidity(vk, via_ir), "ModelValues.sol": emit_values(vk)}


def _libraries(names: Sequence[str]) -> dict[str, str]:
    """Sources that come with the package."""
    contracts = resources.files("plonnx.solidity") / "contracts"
    return {name: (contracts / name).read_text() for name in names}


def _named(tensors: tuple[PublicTensor, ...]) -> list[_Named]:
    """By role and name, in camel case of what letters and digits the name has; by number where two would be one."""
    named: list[_Named] = []
    for number, tensor in enumerate(tensors):
        words = re.findall(r"[A-Za-z0-9]+", tensor.name)
        function = tensor.role + "".join(word[0].upper() + word[1:] for word in words)
        constant = "_".join([tensor.role, *words]).upper()
        base, upper, count = function, constant, number
        while not words or any(function == n.function or constant == n.constant for n in named):
            words, function, constant = [""], f"{base}Number{count}", f"{upper}_NUMBER_{count}"
            count += len(tensors)
        named.append(_Named(tensor, function, constant))
    return named


def _marks(tensors: Sequence[PublicTensor]) -> list[tuple[PublicTensor, PublicTensor]]:
    """What says which values are missing, and of which input."""
    return [(flag, of) for flag in tensors for of in tensors if is_mark(flag, of)]


def _pairs(named: Sequence[_Named]) -> list[tuple[_Named, _Named, str]]:
    """Tensors that hold the two parts of integers, and a name for these that none has."""
    found, taken = [], {each.function for each in named}
    for high in named:
        lows = [other for other in named if are_parts(high.tensor, other.tensor)]
        function = high.function.removesuffix("High")
        if lows and function not in taken:
            found.append((high, lows[0], function))
            taken.add(function)
    return found
