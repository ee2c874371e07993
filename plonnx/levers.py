"""What would make a verifier cheaper: other layouts by the cost model, fewer public values, several proofs at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from plonnx.kzg.wording import option
from plonnx.solidity.gas import batched, gas_report, of_tensors

if TYPE_CHECKING:
    from plonnx.layout.circuit import ModelCircuit
    from plonnx.layout.search import Choice
    from plonnx.plonk.keys import VerifyingKey

MOST = 3
BATCH = 16
WORTH = 0.01  # of the gas: what saves less is no lever


@dataclass(frozen=True)
class Lever:
    """One change, by itself: what a verification would cost then (predicted), and what that saves."""

    change: str
    gas: int
    saves: int

    def as_dict(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self)


def levers(vk: VerifyingKey, circuit: ModelCircuit | None = None) -> list[Lever]:
    """The three changes that save most, the largest first; other layouts only where the key's circuit is given."""
    total = gas_report(vk).total
    found = [Lever(change, gas, total - gas) for change, gas in _changes(vk, circuit, total)]
    worth = [lever for lever in found if lever.saves >= WORTH * total]
    return sorted(worth, key=lambda lever: -lever.saves)[:MOST]


def is_of(circuit: ModelCircuit, vk: VerifyingKey) -> bool:
    """Whether a key may be that of a circuit: good enough for advice, and no proof of anything."""
    made = circuit.name, circuit.shape.k, circuit.shape.packing, tuple(circuit.tensors)
    return made == (vk.model, vk.k, vk.packing, vk.tensors)


def _changes(vk: VerifyingKey, circuit: ModelCircuit | None, total: int) -> Iterator[tuple[str, int]]:
    yield f"{BATCH} proofs in one verifyBatch: the price of each", batched(vk, BATCH)
    for role, whose in (("input", "inputs that nobody needs to see"), ("output", "fewer outputs")):
        yield f"compile {option(role, 'private')}: {whose}", total - of_tensors(vk, role)
    if circuit is not None:
        yield from _layouts(circuit)


def _layouts(circuit: ModelCircuit) -> Iterator[tuple[str, int]]:
    """What `--optimize gas` makes of the same circuit, by the cost model: with what ships, and with any setup."""
    from plonnx.layout import search

    gas, aim = search.Aim("gas"), option("optimize", "gas")
    choices = search.choices(circuit.builder, gas)
    taken = search.pick(choices, gas)
    yield f"compile {aim}: {_needs(taken)}", taken.cost.gas
    for larger in search.larger_setups(choices, taken)[-1:]:
        yield f"compile {aim} {option('srs_size', str(larger.srs_k))}: {_needs(larger)}", larger.cost.gas


def _needs(choice: Choice) -> str:
    return f"2^{choice.srs_k} powers of tau, {choice.cost.seconds:.2f} s for a proof"
