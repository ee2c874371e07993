"""Files under attack: one of each kind, and what somebody who recomputes the digest may put in its place."""

from __future__ import annotations

import copy
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from plonnx.gadgets import Builder
from plonnx.kzg import container
from plonnx.kzg.srs import SRS
from plonnx.layout import search
from plonnx.layout.circuit import ModelCircuit
from plonnx.layout.inputs import Port
from plonnx.layout.shape import Shape
from tests.adversarial.models import picture

HEADER = 56  # bytes before the body
FACTS: dict[str, Any] = {"opset": 17, "parameters": 9, "operators": {"Conv": 2, "Relu": 1}}
FACTS["larger_setups"] = [{"powers": 1 << 15, "gas": 600_000, "prove_seconds": 0.25}]
FACTS["notes"] = ["output 'y' is the number of a class: 0 is 'cat', 1 is 'dog'"]
REPORT = {"reached": True, "outputs": [{"name": "y", "max_relative": 0.001, "top1": None}], "samples": 3}


def circuit_of(builder: Builder, shape: Shape | None = None) -> ModelCircuit:
    """A builder as compiling would leave it."""
    size = builder.table_size
    inputs = tuple(Port(b.name, b.shape, "float32", 3, size, b.public) for b in builder.inputs)
    outputs = tuple(Port(o.name, o.cells.shape, "float32", 2, size, o.public) for o in builder.outputs)
    chosen = shape or search.choose(builder, search.Aim("prover")).shape
    return ModelCircuit("picture", builder, chosen, inputs, outputs, copy.deepcopy(REPORT), copy.deepcopy(FACTS))


def picture_circuit(packing: int = 1) -> ModelCircuit:
    """Every gadget; packed columns where asked for."""
    builder = picture().builder
    return circuit_of(builder, Shape(7, 2, 2, 3, packing))


def hidden_circuit() -> ModelCircuit:
    """Two hidden layers."""
    b = Builder(5, True, 6, 12)
    x = b.input("x", (2, 3))
    y = b.linear(x, np.array([[1, -2], [3, 4], [-5, 6]]), np.array([7, -8]), "y")
    b.output("z", b.linear(b.relu(y, "r"), np.array([[9], [-10]]), None, "z"))
    return circuit_of(b, Shape(6, 2, 2, 3))


def write_all(folder: Path) -> dict[str, Path]:
    """A file of each kind."""
    srs = SRS.development(8, tau=5)
    paths: dict[str, Path] = {}

    def saved(name: str, held: Any) -> None:
        paths[name] = folder / name
        held.save(paths[name])

    from plonnx.layout.registration import register

    for name, circuit in (("", picture_circuit()), ("packed ", picture_circuit(2)), ("hidden ", hidden_circuit())):
        pk = circuit.keygen(srs, None if not circuit.hidden else b"a seed of sixteen")
        inputs = {block.name: np.ones(block.shape, np.int64) for block in circuit.builder.inputs}
        from plonnx.plonk.prover import prove

        saved(f"{name}circuit", circuit)
        saved(f"{name}pk", pk)
        saved(f"{name}vk", pk.vk)
        saved(f"{name}proof", prove(pk, circuit.witness(inputs), srs))
        if circuit.hidden:
            saved("registration", register(pk, circuit.architecture.known, srs))
    saved("srs", SRS.development(3, tau=7))
    return paths


# What is put in the place of something ------------------------------------------------------------------------------

HOSTILE: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, "", "\n", "\u202e", "y", "chi", "0x0", "-", [], {}, [[]], [0], {"a": 1}, 0.5, -0.0, 1e308),
        *(-1, 0, 1, 2, 3, 31, 32, 255, 256, 1 << 16, 1 << 31, 1 << 32, 1 << 62, 1 << 63, 1 << 64, -(1 << 63), 10**300),
    ]
).map(copy.deepcopy)  # the next change may be one of this value


def places(held: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested plain data."""
    found = [at]
    inside = held.items() if isinstance(held, dict) else enumerate(held) if isinstance(held, list) else ()
    for key, value in inside:
        found += places(value, (*at, key))
    return found


def _change(draw: Callable[..., Any], held: Any) -> Any:
    """One change of plain data: another value, one more or less, something left out, doubled or moved."""
    at = draw(st.sampled_from(places(held)))
    if not at:
        return draw(HOSTILE)
    parent = held
    for key in at[:-1]:
        parent = parent[key]
    value, key = parent[at[-1]], at[-1]
    ways = ["replace", "remove", "add"]
    if isinstance(value, int):
        ways += ["near"] * 4
    if isinstance(parent, list):
        ways += ["double", "swap"]
    way = draw(st.sampled_from(ways))
    if way == "near":
        parent[key] = draw(st.sampled_from([value + 1, value - 1, 2 * value, -value, value + 256]))
    elif way == "replace":
        parent[key] = draw(HOSTILE)
    elif way == "remove":
        del parent[key]
    elif way == "double":
        parent.insert(key, copy.deepcopy(value))
    elif way == "swap":
        other = draw(st.integers(0, len(parent) - 1))
        parent[key], parent[other] = parent[other], parent[key]
    elif isinstance(parent, dict):
        parent[draw(st.sampled_from(["g2", "name", "k", "\u202e"]))] = draw(HOSTILE)
    else:
        parent.append(draw(HOSTILE))
    return held


def _change_array(draw: Callable[..., Any], arrays: container.Arrays) -> None:
    """One change of an array: an element, its type, its shape, or all of it."""
    name = draw(st.sampled_from(sorted(arrays)))
    array = arrays[name].copy()
    ways = ["element", "element", "element", "far", "type", "shape", "cut", "remove", "add", "fill"]
    way = draw(st.sampled_from(ways))
    if way == "far" and array.size and array.dtype.kind == "i":  # what a magnitude, a sum or a product wraps for
        array = array.astype(np.int64)
        array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from([-1 << 63, -1 << 62, 1 << 62]))
        array = container.narrow(array)
    elif way == "element" and array.size:
        info = np.iinfo(array.dtype)
        at, old = draw(st.integers(0, array.size - 1)), int(array.flat[draw(st.integers(0, array.size - 1))])
        value = draw(st.sampled_from([info.min, info.max, 0, 1, old, old + 1, old - 1]) | st.integers(-300, 300))
        array.flat[at] = min(max(value, info.min), info.max)
    elif way == "type":
        array = array.astype(draw(st.sampled_from([np.int8, np.uint8, np.int32, np.int64])))
    elif way == "shape":
        array = array.reshape(draw(st.sampled_from([(-1,), (1, -1), (-1, 1), (1, *array.shape)])))
    elif way == "cut":
        array = array[draw(st.integers(0, 2)) :] if array.ndim else array
    elif way == "fill":
        array[...] = draw(st.sampled_from([0, 1, 127]))
    if way == "remove":
        del arrays[name]
    else:
        arrays[name + (" more" if way == "add" else "")] = array


@st.composite
def changed(draw: Callable[..., Any], content: bytes) -> bytes:
    """The bytes of a file with a few changes and the digest that fits them."""
    kind = content[8:24].rstrip(b"\0").decode()
    meta, arrays = container.decode(content, kind, "file")
    meta, arrays = copy.deepcopy(meta), dict(arrays)
    vk = arrays.get("vk")
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        if arrays and draw(st.integers(0, 2)) == 0:
            _change_array(draw, arrays)
        elif vk is not None and draw(st.booleans()):  # what has been changed before may be no key any more
            inner, points = container.decode(vk.tobytes(), "verifying key", "file")
            inner, points = _change(draw, copy.deepcopy(inner)), dict(points)
            if draw(st.booleans()):
                _change_array(draw, points)
            arrays["vk"] = np.frombuffer(container.encode("verifying key", inner, points), np.uint8)
        else:
            meta = _change(draw, meta)
    return container.encode(kind, meta, arrays)


def with_body(content: bytes, body: bytes) -> bytes:
    """Another body behind a file's header, with the digest that fits it."""
    return content[:24] + hashlib.sha256(body).digest() + body


def with_text(content: bytes, text: bytes) -> bytes:
    """Other JSON, as it is, before the same arrays."""
    (length,) = struct.unpack_from("<Q", content, HEADER)
    padded = text + b" " * (-len(text) % 8)
    return with_body(content, struct.pack("<Q", len(padded)) + padded + content[HEADER + 8 + length :])


def text_of(content: bytes) -> dict[str, Any]:
    """The JSON of a file: its fields ("meta") and its arrays."""
    (length,) = struct.unpack_from("<Q", content, HEADER)
    record: dict[str, Any] = json.loads(content[HEADER + 8 : HEADER + 8 + length])
    return record
