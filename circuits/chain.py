"""What the examples on a chain share: a local node, models with their verifiers, contracts, a line for what happens.

with local_chain() as chain:
    model = chain.model(proto, data)
    agent = chain.deploy(Path("Agent.sol"), "Agent", model, chain.verifier(model))
    trade = agent.to("trade", *shown(proof))
    chain.sent("bought", trade, alice)
    chain.refused("sent again", trade, alice, "AlreadyTraded")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import onnx

import plonnx
from plonnx.plonk.keys import NO_CONTEXT
from plonnx.solidity import abi, evm, node
from plonnx.solidity.dapp import LIBRARIES, dapp_files

# Cheap on a chain, and inside the 2^12 powers of Ethereum's ceremony. With the table's size given, models of one
# architecture have one layout: a rival's proof is refused for its weights, not for its length.
LAYOUT: dict[str, Any] = {"optimize": "balanced", "table_bits": 12}
Scene = TypeVar("Scene")
GAS_LIMIT = 5_000_000  # of a transaction that is meant to be refused: an estimate would refuse it beforehand


@dataclass(frozen=True)
class Model:
    """A compiled model with its keys over a ceremony's setup."""

    circuit: plonnx.ModelCircuit
    pk: plonnx.ProvingKey

    @classmethod
    def made(cls, source: onnx.ModelProto, data: Mapping[str, Any], **options: Any) -> Model:
        """Compiled, with further options of `plonnx.compile`, and set up."""
        circuit = plonnx.compile(source, data=data, **LAYOUT, **options)
        return cls(circuit, plonnx.setup(circuit))

    @cached_property
    def prover(self) -> plonnx.Prover:
        """The keys, loaded once for all proofs."""
        return plonnx.Prover(self.circuit, self.pk)

    def prove(self, inputs: Mapping[str, Any], context: bytes = NO_CONTEXT) -> plonnx.Proof:
        """A proof of one inference, for a context."""
        return self.prover.prove(inputs, context)


@dataclass(frozen=True)
class Contract:
    """A contract on a node, with its interface."""

    rpc: node.Rpc
    address: str
    interface: tuple[Any, ...]

    def call(self, name: str, *arguments: Any) -> list[Any]:
        """What a view function returns."""
        function = self._function(name)
        question = {"to": self.address, "data": self._data(name, arguments)}
        answer = bytes.fromhex(self.rpc.call("eth_call", question, "latest")[2:])
        return abi.decode([one["type"] for one in function["outputs"]], answer)

    def to(self, name: str, *arguments: Any, value: int = 0) -> Call:
        """What a transaction asks of a function, with `value` wei."""
        return Call(self, name, self._data(name, arguments), value)

    @cached_property
    def errors(self) -> dict[bytes, str]:
        """Its custom errors by their selectors."""
        return {abi.selector(_signature(one)): one["name"] for one in self.interface if one["type"] == "error"}

    def _data(self, name: str, arguments: tuple[Any, ...]) -> str:
        return "0x" + abi.encode(_signature(self._function(name)), *arguments).hex()

    def _function(self, name: str) -> dict[str, Any]:
        (found,) = [one for one in self.interface if one["type"] == "function" and one["name"] == name]
        return dict(found)


@dataclass(frozen=True)
class Call:
    """A call of a contract, which anybody may send."""

    contract: Contract
    name: str
    encoded: str
    value: int = 0

    def send(self, sender: str) -> dict[str, Any]:
        """A mined transaction's receipt; its status is 0x0 where the contract reverted."""
        return evm.transact(self.contract.rpc, {**self._transaction(sender), "gas": hex(GAS_LIMIT)})

    def refusal(self, sender: str) -> str:
        """The name of the custom error that it reverts with now; empty where it does not revert."""
        try:
            self.contract.rpc.call("eth_call", self._transaction(sender), "latest")
        except node.RpcError as error:
            return self.contract.errors.get(error.data[:4], str(error))
        return ""

    def _transaction(self, sender: str) -> dict[str, str]:
        return {"from": sender, "to": self.contract.address, "data": self.encoded, "value": hex(self.value)}


class Chain:
    """A node that holds accounts with funds, as anvil does. What is done on it is printed, a line each."""

    def __init__(self, rpc: node.Rpc) -> None:
        self.rpc = rpc
        self.id = int(rpc.call("eth_chainId"), 16)
        self.accounts: list[str] = rpc.call("eth_accounts")

    def say(self, what: str, text: str) -> None:
        """One line."""
        print(f"{what:<26}{text}", flush=True)

    def model(self, source: onnx.ModelProto, data: Mapping[str, Any], **options: Any) -> Model:
        """A model with its keys."""
        started = time.perf_counter()
        made = Model.made(source, data, **options)
        facts = plonnx.inspect(made.circuit)
        self.say(
            source.graph.name,
            f"compiled to {facts['rows']} rows and set up with {made.pk.vk.srs}, {time.perf_counter() - started:.1f} s",
        )
        return made

    def verifier(self, model: Model) -> str:
        """The address of the contract generated for a model, whose code was compared with what solc makes here."""
        address = evm.deploy(self.rpc, model.pk.vk)
        evm.check_code(self.rpc, model.pk.vk, address)
        self.say("verifier", f"at {address}, its code is that of the model's key")
        return address

    def deploy(self, path: Path, name: str, model: Model, *arguments: Any, sender: str | None = None) -> Contract:
        """A contract of a file, which imports what `plonnx solidity --dapp` writes for the model."""
        compiled = compiled_with(model, path)[name]
        code = compiled.creation + _constructor(compiled.abi, arguments)
        receipt = evm.transact(self.rpc, {"from": sender or self.accounts[0], "data": "0x" + code.hex()})
        if int(receipt["status"], 16) != 1:
            raise AssertionError(f"{name}: its constructor reverted")
        self.say(name, f"at {receipt['contractAddress']}")
        return Contract(self.rpc, receipt["contractAddress"], compiled.abi)

    def sent(self, what: str, call: Call, sender: str, says: str = "") -> dict[str, Any]:
        """A transaction that must not revert; its receipt."""
        error = call.refusal(sender)
        receipt = {} if error else call.send(sender)
        if error or int(receipt["status"], 16) != 1:
            raise AssertionError(f"{what}: {call.name} was refused ({error or 'reverted'})")
        self.say(what, f"done for {int(receipt['gasUsed'], 16):,} gas{says and ': ' + says}")
        return receipt

    def refused(self, what: str, call: Call, sender: str, error: str = "ProofRefused") -> None:
        """A transaction that must be mined and revert, with a custom error."""
        found = call.refusal(sender)
        if found != error:
            raise AssertionError(f"{what}: {call.name} gave {found or 'no error'}, not {error}")
        if int(call.send(sender)["status"], 16) != 0:
            raise AssertionError(f"{what}: {call.name} did not revert in a transaction")
        self.say(what, f"refused: {error}")


@contextmanager
def local_chain(rpc: node.Rpc | None = None) -> Iterator[Chain]:
    """A node started for this and stopped at the end, or the one that is given."""
    with node.anvil() if rpc is None else nullcontext(rpc) as one:
        yield Chain(one)


def acted(staged: Callable[[Chain], Scene], play: Callable[[Scene], None], rpc: node.Rpc | None) -> Scene:
    """An example from its first deployment to its last refusal, on a node started for this unless one is given."""
    with local_chain(rpc) as chain:
        scene = staged(chain)
        play(scene)
        return scene


def compiled_with(model: Model, path: Path) -> dict[str, node.Compiled]:
    """The contracts of a file beside what `plonnx solidity --dapp` writes for the model."""
    files = dapp_files(model.pk.vk)
    imported = {name: files[name] for name in (*LIBRARIES, "ModelValues.sol")}
    return node.compile_contracts(path.read_text(), imported, path.name)


def shown(proof: plonnx.Proof) -> tuple[bytes, bytes]:
    """What a contract is given of a proof: the proof and its public values."""
    return proof.proof, proof.public_values


def changed(model: Model, proof: plonnx.Proof, tensor: str) -> bytes:
    """Its public values, but for the first number of one tensor, which is another by one."""
    (place,) = [t.offset + t.width - 1 for t in model.pk.vk.tensors if t.name == tensor]
    values = bytearray(proof.public_values)
    values[place] ^= 1
    return bytes(values)


def _signature(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']}({','.join(one['type'] for one in entry['inputs'])})"


def _constructor(interface: tuple[Any, ...], arguments: tuple[Any, ...]) -> bytes:
    kinds = [one["type"] for entry in interface if entry["type"] == "constructor" for one in entry["inputs"]]
    return abi.encode_arguments(kinds, arguments)
