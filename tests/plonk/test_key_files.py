"""What is refused when a key is read: each by a key that differs from an accepted one in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx import _native
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.plonk.keys import Combination, Opened, Phase, ProvingKey, VerifyingKey
from plonnx.plonk.program import MODULUS, Program, Slot
from tests.adversarial.files import hidden_circuit, picture_circuit

Change = Callable[[VerifyingKey], VerifyingKey]
OFF_SUBGROUP = (
    bytes(47)
    + b"\x04"
    + bytes.fromhex(  # x = 4 is on the curve
        "0a989badd40d6212b33cffc3f3763e9bc760f988c9926b26da9dd85e928483446346b8ed00e1de5d5ea93e354abe706c"
    )
)


@pytest.fixture(scope="module")
def keys() -> dict[str, ProvingKey]:
    srs = SRS.development(8, tau=5)
    circuits = {"plain": picture_circuit(), "packed": picture_circuit(2), "hidden": hidden_circuit()}
    return {name: circuit.keygen(srs) for name, circuit in circuits.items()}


def put(field: str, index: int, change: Callable[[Any], Any]) -> Change:
    """Change one item of a tuple."""

    def changed(vk: VerifyingKey) -> VerifyingKey:
        items = list(getattr(vk, field))
        items[index] = change(items[index])
        return replace(vk, **{field: tuple(items)})

    return changed


def drop(field: str, index: int) -> Change:
    def changed(vk: VerifyingKey) -> VerifyingKey:
        items = list(getattr(vk, field))
        del items[index]
        return replace(vk, **{field: tuple(items)})

    return changed


def twice(field: str, index: int) -> Change:
    return lambda vk: replace(vk, **{field: (*getattr(vk, field), getattr(vk, field)[index])})


def program(**changes: Any) -> Change:
    return lambda vk: replace(vk, program=replace(vk.program, **{n: c(vk.program) for n, c in changes.items()}))


def op(row: int, column: int, value: Callable[[VerifyingKey], int]) -> Change:
    def changed(vk: VerifyingKey) -> VerifyingKey:
        ops = vk.program.ops.copy()
        ops[row, column] = value(vk)
        return replace(vk, program=replace(vk.program, ops=ops))

    return changed


def run(**changes: int) -> Change:
    return put("instances", 0, lambda c: replace(c, runs=(replace(c.runs[0], **changes), *c.runs[1:])))


def of_kind(kind: str, change: Callable[[Opened], Opened]) -> Change:
    def changed(vk: VerifyingKey) -> VerifyingKey:
        at = next(i for i, o in enumerate(vk.opened) if o.kind == kind)
        return put("opened", at, change)(vk)

    return changed


def first_op(vk: VerifyingKey) -> int:
    return len(vk.program.slots) + len(vk.program.constants) + len(vk.program.scalars)


def _shown(vk: VerifyingKey) -> VerifyingKey:
    """A hidden column in a combination that no mask hides."""
    (column, _), *_ = vk.combinations[vk.masked[0]].terms
    return replace(vk, combinations=(*vk.combinations, Combination(((column, ()),))))


def _opened_combination(vk: VerifyingKey) -> VerifyingKey:
    at = next(i for i, o in enumerate(vk.opened) if o.kind == "quotient")
    return replace(vk, opened=(*vk.opened[:at], Opened("combination", (0,), (0,)), *vk.opened[at:]))


REFUSED: list[tuple[str, Change, str]] = [
    ("plain", lambda vk: replace(vk, k=33), r"k is no integer in 2\.\.32"),
    ("plain", lambda vk: replace(vk, k=vk.k + 1), "last_row is not 5 to 8 below"),
    ("plain", lambda vk: replace(vk, last_row=vk.n - 4), "last_row is not 5 to 8 below"),
    ("packed", lambda vk: replace(vk, last_row=vk.n - 3), "last_row is not 5 to 8 below"),
    ("plain", lambda vk: replace(vk, last_row=vk.n - 9), "last_row is not 5 to 8 below"),
    ("plain", lambda vk: replace(vk, phases=()), "phases is no list of at least 1"),
    ("plain", put("phases", 0, lambda p: replace(p, first=1)), "phases do not start with column 0"),
    ("plain", put("phases", 1, lambda p: replace(p, first=p.first - 1)), "phases leave columns out or share them"),
    ("plain", put("phases", 1, lambda p: replace(p, stop=p.first)), "phases leave columns out or share them"),
    ("plain", lambda vk: replace(vk, phases=(*vk.phases, Phase(vk.advice_count, vk.advice_count, ("w",)))),
     "one has no column"),
    ("plain", put("phases", -1, lambda p: replace(p, challenges=("y", "z"))), "phases: the last challenge is not y"),
    ("plain", put("phases", 0, lambda p: replace(p, challenges=("chi", "chi"))), "have one name"),
    ("plain", put("phases", 0, lambda p: replace(p, challenges=("chi\n",))), "is no printable text"),
    ("plain", put("phases", 0, lambda p: replace(p, challenges=tuple(map(str, range(256))))), "scalars|too many"),
    ("plain", twice("instances", 0), "have one name"),
    ("plain", lambda vk: replace(vk, pieces=0), "pieces is no integer"),
    ("plain", lambda vk: replace(vk, pieces=vk.pieces + 1), "opened: the quotient, once, over its pieces in order"),
    ("plain", lambda vk: replace(vk, pieces=vk.pieces - 1), "opened: the quotient, once, over its pieces in order"),
    ("plain", twice("fixed_members", 0), "fixed_members leave a column out or name one twice"),
    ("plain", drop("fixed_members", 0), "fixed_members leave a column out or name one twice"),
    ("plain", drop("fixed_members", -1), "fixed_commitments are not as many as fixed_members"),
    ("plain", drop("fixed_commitments", 0), "fixed_commitments are not as many as fixed_members"),
    ("packed", lambda vk: replace(vk, packing=1), "fixed_members: more than are packed"),
    ("packed", lambda vk: replace(vk, packing=4), "advice is packed otherwise"),
    ("plain", put("combinations", 0, lambda c: Combination(((999, ()),))), "combinations: a column is not there"),
    ("plain", put("combinations", 0, lambda c: Combination(())), "is no list of at least 1"),
    ("plain", put("combinations", 0, lambda c: Combination(((0, (("none", 1),)),))), "a monomial's challenges"),
    ("plain", put("combinations", 0, lambda c: Combination(((0, (("chi", 1),) * 2),))), "a monomial's challenges"),
    ("plain", put("combinations", 0, lambda c: Combination(((0, (("chi", 0),)),))), "is no integer in 1"),
    ("plain", lambda vk: replace(vk, masked=(99,)), "masked: a combination is not there"),
    ("hidden", lambda vk: replace(vk, masked=vk.masked[::-1]), "masked is not in order"),
    ("hidden", twice("masked", 0), "masked is not in order"),
    ("hidden", _shown, "masked: a hidden column is shown elsewhere"),
    ("hidden", lambda vk: replace(vk, opened=tuple(o for o in vk.opened if o.members != (vk.masked[0],) or
                                                   o.kind != "combination")), "is not opened|not there"),
    ("packed", _opened_combination, "opened: a combination of packed columns"),
    ("plain", lambda vk: replace(vk, opened=vk.opened[::-1]), "opened is not in order"),
    ("plain", drop("opened", 0), "opened: the advice columns of a phase, each once|reads advice"),
    ("plain", lambda vk: replace(vk, opened=(vk.opened[0], *vk.opened)), "opened: the advice columns of a phase"),
    ("plain", of_kind("advice", lambda o: replace(o, members=(*o.members, 1))), "opened: the advice columns"),
    ("plain", of_kind("advice", lambda o: replace(o, rotations=(1, 0))), "opened: advice at these rotations"),
    ("plain", of_kind("advice", lambda o: replace(o, rotations=(0, 0))), "opened: advice at these rotations"),
    ("plain", of_kind("advice", lambda o: replace(o, rotations=(0, 2))), r"is no integer in 0\.\.1"),
    ("plain", of_kind("advice", lambda o: replace(o, packing=2)), "opened: advice is packed otherwise"),
    ("plain", of_kind("quotient", lambda o: replace(o, rotations=(0, 1))), "opened: quotient at these rotations"),
    ("packed", of_kind("quotient", lambda o: replace(o, packing=2)), "opened: quotient is packed otherwise"),
    ("plain", lambda vk: replace(vk, opened=(*vk.opened, vk.opened[-1])), "the quotient, once, over its pieces"),
    ("plain", lambda vk: replace(vk, opened=vk.opened[:-1]), "opened: the quotient, once, over its pieces"),
    ("plain", of_kind("fixed", lambda o: replace(o, rotations=(0, 1))), "opened: fixed at these rotations"),
    ("packed", of_kind("fixed", lambda o: replace(o, members=o.members[::-1])), "fixed columns that no commitment"),
    ("plain", of_kind("fixed", lambda o: replace(o, kind="instance")), "is none of advice, fixed, combination"),
    ("plain", lambda vk: replace(vk, opened=tuple(x for o in vk.opened for x in [o] * (1 + (o.kind == "fixed")))),
     "opened: a fixed column twice"),
    ("plain", lambda vk: replace(vk, opened=tuple(x for o in vk.opened for x in [o] * (1 + (o.kind == "combination")))),
     "opened: a combination twice"),
    ("plain", program(slots=lambda p: (*p.slots[:-1], Slot("advice", 999, 0))), r"reads advice 999\[0\], which is not"),
    ("plain", program(slots=lambda p: (*p.slots[:-1], Slot("selector", 4, 0))), r"reads selector 4\[0\], which is not"),
    ("plain", program(slots=lambda p: (*p.slots[:-1], Slot("quotient", 0, 0))), "is none of advice, fixed"),
    ("plain", program(constants=lambda p: (*p.constants[:-1], MODULUS)), "is no scalar below r"),
    ("plain", program(scalars=lambda p: (*p.scalars[:-1], "none")), "is none of"),
    ("plain", program(outputs=lambda p: ()), "outputs is no list of at least 1"),
    ("plain", program(outputs=lambda p: p.outputs * 2), "program has several outputs"),
    ("plain", program(outputs=lambda p: (1 << 20,)), r"outputs\[0\] is no integer in"),
    ("plain", op(0, 0, lambda vk: 3), "an operation of an unknown kind"),
    ("plain", op(0, 0, lambda vk: -1), "an operation of an unknown kind"),
    ("plain", op(0, 1, first_op), "a value that comes after it"),
    ("plain", op(5, 2, lambda vk: -1), "a value that comes after it"),
    ("plain", run(width=9), "is no integer in 1"),
    ("plain", run(per_word=32), "is no integer in 1"),
    ("plain", run(width=8, per_word=4, count=1), "instances: a word of more than 31 bytes"),
    ("plain", run(count=100), "instances: a run beyond the public bytes"),
    ("plain", run(offset=1 << 40), "is no integer in 0"),
    ("plain", run(count=0), "is no integer in 1"),
    ("plain", run(exponent=-1), "is no integer in 0"),
    ("plain", drop("instances", 0), "is none of"),
    ("plain", put("instances", 0, lambda c: replace(c, runs=c.runs[1:])), "instances: public byte .* is in none"),
    ("plain", put("instances", 0, lambda c: replace(c, runs=c.runs * 2)), "instances: public byte .* is in two"),
    ("plain", drop("tensors", 0), "tensors do not lie one after another"),
    ("plain", drop("tensors", -1), "tensors do not fill the public bytes"),
    ("plain", lambda vk: replace(vk, public_bytes=vk.public_bytes + 1), "tensors do not fill the public bytes"),
    ("plain", put("tensors", 0, lambda t: replace(t, shape=(1 << 32, 1 << 32))), "tensors do not lie"),
    ("plain", put("tensors", 0, lambda t: replace(t, shape=(-1, *t.shape))), "is no integer in 1"),
    ("plain", put("tensors", 0, lambda t: replace(t, width=2)), "tensors do not lie one after another"),
    ("plain", put("tensors", 0, lambda t: replace(t, high=1 << 40)), "tensors: x goes beyond its width"),
    ("plain", put("tensors", 0, lambda t: replace(t, low=5, high=4)), "tensors: x goes beyond its width"),
    ("plain", put("tensors", 0, lambda t: replace(t, scale=5000)), "is no integer in -1023"),
    ("plain", put("tensors", 0, lambda t: replace(t, scale=(1, 5000))), "is no integer in -1023"),
    ("plain", put("tensors", 0, lambda t: replace(t, scale=(1, (2,)))), "is no integer in -1023|are no scales"),
    ("plain", put("tensors", 0, lambda t: replace(t, scale=(7,))), "are no scales of the tensor's channels"),
    ("plain", put("tensors", 0, lambda t: replace(t, role="weight")), "is none of input, output"),
    ("plain", put("tensors", 0, lambda t: replace(t, name="\u202egpj")), "is no printable text"),
    ("plain", put("tensors", 0, lambda t: replace(t, name="x" * 5000)), "is no printable text"),
    ("plain", put("tensors", 1, lambda t: replace(t, name="m")), "tensors: two of one name"),
    ("plain", lambda vk: replace(vk, model="a\x1b[2Jb"), "model is no printable text"),
    ("plain", lambda vk: replace(vk, model="a\u2028b"), "model is no printable text"),
    ("hidden", lambda vk: replace(vk, hidden_bits=(1, *vk.hidden_bits[1:])), r"hidden_bits\[0\] is no integer"),
    ("hidden", lambda vk: replace(vk, hidden_bits=(61, *vk.hidden_bits[1:])), r"hidden_bits\[0\] is no integer"),
    ("hidden", drop("hidden_bits", 0), "hidden_bits are not one for each hidden column"),
    ("plain", lambda vk: replace(vk, hidden_bits=(6,)), "hidden_bits are not one for each hidden column"),
    ("plain", put("fixed_commitments", 0, lambda c: c[:-1] + bytes([c[-1] ^ 1])), "G1 point 0|point 0 is"),
    ("plain", put("fixed_commitments", 2, lambda c: OFF_SUBGROUP), "2 is not in"),
    ("plain", lambda vk: replace(vk, tau_g2=bytes(192)), "tau_g2 is that of tau = 0 or 1"),
    ("plain", lambda vk: replace(vk, tau_g2=_native.g2_generator()), "tau_g2 is that of tau = 0 or 1"),
    ("plain", lambda vk: replace(vk, tau_g2=vk.tau_g2[:-1] + b"\0"), "G2 point is not"),
    ("plain", lambda vk: replace(vk, tau_g2=vk.tau_g2[1:]), "does not have 192 bytes"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["plain", "packed", "hidden"])
def test_the_keys_without_a_fault_are_accepted(keys: dict[str, ProvingKey], tmp_path: Path, name: str) -> None:
    pk = keys[name]
    assert VerifyingKey.decode(pk.vk.encode(), "vk").encode() == pk.vk.encode()
    pk.save(tmp_path / "pk")
    ProvingKey.load(tmp_path / "pk").save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "pk").read_bytes()


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_verifying_keys(keys: dict[str, ProvingKey], number: int) -> None:
    name, change, message = REFUSED[number]
    changed = change(keys[name].vk)
    assert changed.encode() != keys[name].vk.encode()
    with pytest.raises(FileError, match=f"^the vk: .*(?:{message})"):
        VerifyingKey.decode(changed.encode(), "the vk")


def columns(index: int, **changes: Any) -> Callable[[ProvingKey], ProvingKey]:
    def changed(pk: ProvingKey) -> ProvingKey:
        fixed = list(pk.fixed)
        at = index if index >= 0 else next(i for i, c in enumerate(fixed) if (c.labels, c.palette, c.blinding)[index])
        fixed[at] = replace(fixed[at], **{name: change(fixed[at]) for name, change in changes.items()})
        return replace(pk, fixed=tuple(fixed))

    return changed


def level(**changes: Any) -> Callable[[ProvingKey], ProvingKey]:
    """Change the first level of the last phase."""

    def changed(pk: ProvingKey) -> ProvingKey:
        *phases, (first, *others) = pk.levels
        made = replace(first, **{name: change(pk, first) for name, change in changes.items()})
        return replace(pk, levels=(*phases, (made, *others)))

    return changed


def gates(**changes: Any) -> Callable[[ProvingKey], ProvingKey]:
    """Change the first gates."""
    return lambda pk: replace(pk, programs=(pk.programs[0]._replace(**changes), *pk.programs[1:]))


LABELS, PALETTE, BLINDING = -3, -2, -1
REFUSED_PK: list[tuple[str, Callable[[ProvingKey], ProvingKey], str]] = [
    ("plain", lambda pk: replace(pk, fixed=(*pk.fixed, pk.fixed[0])), "fixed columns are not as many as the verifying"),
    ("plain", columns(0, values=lambda c: np.zeros(200, np.int8)), "fixed column 0 has more rows than there are"),
    ("plain", columns(LABELS, values=lambda c: np.asarray(c.values) * 0 - 1), "has a label of no cell"),
    ("plain", columns(LABELS, values=lambda c: np.full(len(c.values), 100_000)), "has a label of no cell"),
    ("plain", columns(LABELS, view=lambda c: c.labels), "has a label of no cell"),
    ("plain", columns(LABELS, labels=lambda c: 1 << 19), "has a palette beside its labels|label"),
    ("plain", columns(PALETTE, values=lambda c: np.asarray(c.values) + 100), "names a value that its palette lacks"),
    ("plain", columns(PALETTE, values=lambda c: np.asarray(c.values) * 0 - 1), "names a value that its palette lacks"),
    ("plain", columns(PALETTE, labels=lambda c: 2), "has a palette beside its labels"),
    ("plain", columns(0, blinding=lambda c: bytes(64)), "has other random rows"),
    ("hidden", columns(BLINDING, blinding=lambda c: c.blinding[64:]), "has other random rows"),
    ("hidden", columns(BLINDING, palette=lambda c: tuple(range(256))), "palette lacks|no integers"),
    ("plain", lambda pk: replace(pk, levels=pk.levels[1:]), "levels are not one list for each phase"),
    ("plain", lambda pk: replace(pk, programs=()), "programs is no list of at least 1"),
    ("plain", gates(cosets=99), "programs: more cosets"),
    ("plain", gates(cosets=99, rest=0), "programs: more cosets"),
    ("plain", gates(cosets=-1), "is no integer in 0"),
    ("plain", gates(cosets=0, rest=0), "is no integer in 1"),
    ("plain", gates(rest=9), "is no integer in 0..8"),
    ("plain", gates(rest=-1), "is no integer in 0..8"),
    ("plain", gates(program=Program((), (5,), (), np.zeros((0, 3), np.int32), (0,))), "programs: one reads no column"),
    ("plain", lambda pk: gates(cosets=pk.vk.pieces * pk.vk.packing, rest=1)(pk), "programs: more cosets"),
    ("plain", lambda pk: gates(program=replace(pk.programs[0].program, outputs=(0, 0)))(pk), "several outputs"),
    ("plain", lambda pk: replace(pk, circuit_digest=b"short"), "circuit does not have 0 or 32 bytes"),
    ("plain", level(columns=lambda pk, x: ((0, "ratio", 0), *x.columns[1:])), "levels: a column of another phase"),
    ("plain", level(columns=lambda pk, x: ((x.columns[0][0], "sum", 0), *x.columns[1:])), "is none of ratio, recurr"),
    ("plain", level(columns=lambda pk, x: (*x.columns, x.columns[0])), "levels: a column is filled twice"),
    ("plain", level(columns=lambda pk, x: x.columns[1:]), "its columns' outputs|is no list of at least 1"),
    ("plain", level(columns=lambda pk, x: ((x.columns[0][0], "fractions", 0), *x.columns[1:])), "of no fractions"),
    ("plain", level(columns=lambda pk, x: ((x.columns[0][0], "fractions", 1 << 40), *x.columns[1:])), "outputs"),
    ("plain", level(columns=lambda pk, x: ((x.columns[0][0], "recurrence", -1), *x.columns[1:])), "is no integer in 0"),
    ("plain", level(program=lambda pk, x: replace(x.program, scalars=(*x.program.scalars[:-1], "y"))), "comes later"),
    ("plain", level(program=lambda pk, x: replace(x.program, slots=(
        *x.program.slots[:-1], Slot("advice", x.columns[0][0], 0)))), "reads a column that is filled later"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED_PK)))
def test_proving_keys(keys: dict[str, ProvingKey], tmp_path: Path, number: int) -> None:
    name, change, message = REFUSED_PK[number]
    change(keys[name]).save(tmp_path / "pk")
    with pytest.raises(FileError, match=rf"/pk: .*(?:{message})"):
        ProvingKey.load(tmp_path / "pk")
