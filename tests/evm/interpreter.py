"""A second interpreter of the EVM, EthereumJS, in which precompiles cost what a test says, or are missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plonnx.kzg.prices import MULTIPLICATION, PAIR, PAIRING_BASE
from plonnx.solidity import node

SCRIPT = Path(__file__).with_name("interpreter.mjs")


@dataclass(frozen=True)
class Prices:
    """What the precompiles cost, as multiples of EIP-2537's prices; and which of them are missing."""

    msm: float = 1.0
    pairing: float = 1.0
    missing: tuple[str, ...] = field(default=())

    @property
    def parameters(self) -> Mapping[str, int]:
        """EthereumJS's names for them."""
        return {
            "bls12381G1MulGas": round(MULTIPLICATION * self.msm),
            "bls12381PairingBaseGas": round(PAIRING_BASE * self.pairing),
            "bls12381PairingPerPairGas": round(PAIR * self.pairing),
        }


def call(
    code: bytes,
    calls: Sequence[tuple[bytes, int]],
    prices: Prices,
    creation: bool = False,
    others: Mapping[str, bytes] | None = None,
) -> list[bytes | None]:
    """What each (data, gas) call of the code returns; revert data follow b"revert", None says out of gas.

    `others` are the codes of other contracts, by address.
    """
    program = shutil.which("node")
    modules = next((m for m in node._modules() if (m / "@ethereumjs" / "evm").is_dir()), None)
    if program is None or modules is None:
        pytest.skip("EthereumJS is not installed: make setup")
    question = {
        "modules": str(modules),
        "code": "0x" + code.hex(),
        "creation": creation,
        "prices": prices.parameters,
        "without": prices.missing,
        "others": {address: "0x" + other.hex() for address, other in (others or {}).items()},
        "calls": [{"data": "0x" + data.hex(), "gas": gas} for data, gas in calls],
    }
    done = subprocess.run([program, SCRIPT], input=json.dumps(question), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[bytes | None] = []
    for answer in json.loads(done.stdout):
        returned = bytes.fromhex(answer["returned"][2:])
        assert answer["failed"] in ("", "revert", "out of gas"), answer
        answers.append({"": returned, "revert": b"revert" + returned, "out of gas": None}[answer["failed"]])
    return answers
