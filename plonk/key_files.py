"""Keys from files that anybody may have made: every field by its type and bounds, then all of them together.

The writing side is in plonk/keys.py; what the fields must say together in plonk/key_checks.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from plonnx.kzg import record
from plonnx.kzg.curve import G1_BYTES, G2_BYTES, MODULUS
from plonnx.kzg.record import INT64, Record, Value, require
from plonnx.kzg.srs import MAX_K
from plonnx.plonk import runs
from plonnx.plonk.filling import KINDS
from plonnx.plonk.key_checks import MOST_PUBLIC, check_points, check_proving_key, check_verifying_key
from plonnx.plonk.keys import (
    Combination,
    FixedColumn,
    Gates,
    InstanceColumn,
    Level,
    Opened,
    Phase,
    ProvingKey,
    PublicTensor,
    Run,
    Scale,
    VerifyingKey,
    nested,
)
from plonnx.plonk.program import FEW, INVERSE_PSI, MOST, PSI, Program, Slot

MOST_PIECES, MOST_PACKED = 256, 1024
MOST_EXPONENT = 1 << 62  # of a challenge
MOST_SCALE = 1023  # of a tensor: 2^scale is a float


def read_verifying_key(content: bytes, source: str | Path) -> VerifyingKey:
    """A verifying key from its canonical bytes, or a FileError that names `source`."""
    with Record(content, "verifying key", source) as held:
        vk = _verifying_key(held)
        check_points(vk)
    return vk


def _verifying_key(held: Record) -> VerifyingKey:
    phases = tuple(_phase(phase) for phase in held["phases"].items(1))
    opened = tuple(_opened(o) for o in held["opened"].items(1))
    instances = tuple(_instance(column) for column in held["instances"].items())
    vk = VerifyingKey(
        k=held["k"].integer(2, MAX_K),
        last_row=held["last_row"].integer(1, 1 << MAX_K),
        phases=phases,
        pieces=held["pieces"].integer(1, MOST_PIECES),
        combinations=tuple(_combination(terms) for terms in held["combinations"].items()),
        masked=held["masked"].integers(0, MOST),
        packing=held["packing"].integer(1, MOST_PACKED),
        opened=opened,
        fixed_members=tuple(members.integers(0, MOST, least=1) for members in held["fixed_members"].items()),
        program=Program.read(
            held["program"],
            held.array("program", np.int32, (None, 3)),
            _slots(opened).__contains__,
            _scalars(phases, instances),
        ),
        instances=instances,
        tensors=tuple(_tensor(tensor) for tensor in held["tensors"].items()),
        public_bytes=held["public_bytes"].integer(0, MOST_PUBLIC),
        fixed_commitments=tuple(row.tobytes() for row in held.array("fixed_commitments", np.uint8, (None, G1_BYTES))),
        hidden_bits=held["hidden_bits"].integers(2, 60),
        tau_g2=held["tau_g2"].hexadecimal(G2_BYTES),
        model=held["model"].text(),
    )
    check_verifying_key(vk)
    return vk


def read_proving_key(path: str | Path) -> ProvingKey:
    """A proving key from its file, or a FileError."""
    with record.load(path, "proving key") as held:
        with Record(held.bytes("vk"), "verifying key", path) as inner:
            vk = _verifying_key(inner)
        labels, views = held["labels"].integers(0, MOST), held["views"].integers(0, MOST)
        require(len(views) == len(labels), "views are not one for each fixed column")
        palettes = held["palettes"].parts(len(labels))
        counts = {"advice": vk.advice_count, "fixed": len(labels), "combination": len(vk.combinations), "selector": 4}
        names = _scalars(vk.phases, vk.instances)

        def program(data: Value, name: str) -> Program:
            ops = held.array(name, np.int32, (None, 3))
            return Program.read(data, ops, lambda slot: slot.index < counts[slot.kind], names)

        def level(data: Value, name: str) -> Level:
            gates, columns = data.parts(2)
            return Level(program(gates, name), tuple(_filled(*column.parts(3)) for column in columns.items(1)))

        def gates(data: Value, name: str) -> Gates:
            cosets, rest, ops = data.parts(3)
            beyond = rest.integer(0, FEW)
            return Gates(cosets.integer(0 if beyond else 1, MOST_PIECES), beyond, program(ops, name))

        phases = [levels.items() for levels in held["levels"].items()]
        pk = ProvingKey(
            vk=vk,
            programs=tuple(gates(data, f"program.{i}") for i, data in enumerate(held["programs"].items(1))),
            fixed=tuple(
                FixedColumn(
                    column,
                    tuple(value.scalar() for value in palettes[i].items()),
                    labels[i],
                    views[i],
                    held.bytes(f"blinding.{i}") if held.has_array(f"blinding.{i}") else b"",
                )
                for i, column in enumerate(runs.decode(held, "fixed", len(labels)))
            ),
            levels=tuple(
                tuple(level(data, f"level.{p}.{i}") for i, data in enumerate(levels)) for p, levels in enumerate(phases)
            ),
            chosen=tuple(name.text() for name in held["chosen"].items(1)),
            circuit_digest=held["circuit"].hexadecimal(0, 32),
        )
        check_proving_key(pk)
    return pk


def _slots(opened: Iterable[Opened]) -> set[Slot]:
    """What the verifier's program may read: what is opened, and the selectors."""
    return {Slot("selector", index, 0) for index in range(4)} | {slot for o in opened for slot in o.slots}


def _scalars(phases: Iterable[Phase], instances: Iterable[InstanceColumn]) -> list[str]:
    """Challenges and instance sums, and what follows from psi."""
    names = [name for phase in phases for name in phase.challenges]
    return names + [column.name for column in instances] + [INVERSE_PSI] * (PSI in names)


def _phase(data: Value) -> Phase:
    first, stop, names = data.parts(3)
    return Phase(first.integer(0, MOST), stop.integer(1, MOST), tuple(name.text() for name in names.items()))


def _combination(data: Value) -> Combination:
    terms = []
    for column, monomial in (term.parts(2) for term in data.items(1)):
        factors = [factor.parts(2) for factor in monomial.items()]
        powers = tuple((name.text(), exponent.integer(1, MOST_EXPONENT)) for name, exponent in factors)
        terms.append((column.integer(0, MOST), powers))
    return Combination(tuple(terms))


def _opened(data: Value) -> Opened:
    kind, members, rotations, packing = data.parts(4)
    return Opened(
        kind.word("advice", "fixed", "combination", "quotient"),
        members.integers(0, MOST, least=1),
        rotations.integers(0, 1, least=1),
        packing.integer(1, MOST_PACKED),
    )


def _instance(data: Value) -> InstanceColumn:
    name, runs = data.parts(2)
    return InstanceColumn(name.text(), tuple(_run(*run.parts(6)) for run in runs.items()))


def _run(offset: Value, count: Value, width: Value, per_word: Value, exponent: Value, power: Value) -> Run:
    return Run(
        offset.integer(0, MOST_PUBLIC),
        count.integer(1, MOST_PUBLIC),
        width.integer(1, 8),
        per_word.integer(1, 31),
        exponent.integer(0, MOST_EXPONENT),
        power.integer(0, MOST_EXPONENT),
    )


def read_scale(value: Value, shape: tuple[int, ...]) -> Scale:
    """One exponent, or those of a tensor's channels in the one form that `nested` gives them."""

    def read(value: Value, depth: int) -> Scale:
        if not depth or not isinstance(value.held, list):
            return value.integer(-MOST_SCALE, MOST_SCALE)
        return tuple([read(item, depth - 1) for item in value.items(1)])

    scale = read(value, len(shape))
    try:
        scales = np.array(scale)
        extents = zip(scales.shape, shape[len(shape) - scales.ndim :], strict=True)
        fits = scales.dtype.kind == "i" and all(own in (1, extent) for own, extent in extents)
    except ValueError:
        fits = False
    if not fits or nested(scales) != scale:
        value.refuse("are no scales of the tensor's channels")
    return scale


def _tensor(data: Value) -> PublicTensor:
    name, role, shape, scale, offset, width, low, high = data.parts(8)
    extents = shape.integers(1, MOST_PUBLIC)
    return PublicTensor(
        name.text(),
        role.word("input", "output"),
        extents,
        read_scale(scale, extents),
        offset.integer(0, MOST_PUBLIC),
        width.integer(1, 8),
        low.integer(*INT64),
        high.integer(*INT64),
    )


def _filled(index: Value, kind: Value, first: Value) -> tuple[int, str, int]:
    return index.integer(0, MOST), kind.word(*KINDS), first.integer(0, MODULUS - 1)
