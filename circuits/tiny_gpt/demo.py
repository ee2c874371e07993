"""From a text to a contract: that an answer is what the model writes after a prompt, proved and checked on a node.

    python circuits/tiny_gpt/demo.py FOLDER

Compiles model.onnx, makes keys with a real setup, proves an answer and a wrong one, verifies both, and has the contract
check them on a local Ethereum node where solc and anvil are there (`make setup`).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import plonnx
from circuits.tiny_gpt import train
from plonnx.solidity.node import ToolError

SETUP = 14
"""log2 of the powers of the largest setup that comes with plonnx."""
TABLE_BITS = 13


def compiled(model: Path) -> plonnx.ModelCircuit:
    """The circuit whose contract is small enough for Ethereum."""
    data = train.HERE / "calibration.npz"
    return plonnx.compile(model, data=data, table_bits=TABLE_BITS, srs_size=SETUP, optimize="gas")


def main(folder: Path, prompt: str = "beautiful is", model: Path = train.HERE / "model.onnx") -> None:
    """All of it; the files go to the folder."""
    circuit = compiled(model)
    pk = plonnx.setup(circuit)
    (folder / "Verifier.sol").write_text(plonnx.emit_solidity(pk.vk))
    honest = train.written(model, prompt)
    wrong = honest[:-1] + next(letter for letter in train.ALPHABET if letter != honest[-1])
    for text in (honest, wrong):
        started = time.perf_counter()
        proof = plonnx.prove(circuit, {"text": train.encode(text)[None]}, pk)
        print(f"{text!r}: proved in {time.perf_counter() - started:.2f} s, {len(proof.proof)} bytes")
        says = bool(np.all(plonnx.verify(pk.vk, proof).outputs["greedy"]))
        print(f"verified: {text[train.PROMPT :]!r} {'is' if says else 'is not'} what the model writes after {prompt!r}")
        try:
            found = plonnx.verify_evm(pk.vk, proof)
            print(f"the contract {'accepts' if found.accepted else 'refuses'} the proof, for {found.gas.total:,} gas")
        except ToolError as error:
            print(f"the contract was written, but not run: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
