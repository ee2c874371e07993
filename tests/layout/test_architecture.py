"""Architectures: no secret inside, the same file again, and nothing believed of what somebody else wrote."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plonnx
from plonnx.compiler.compile import compile_model
from plonnx.compiler.options import Options
from plonnx.gadgets.linear.convolution import Convolution
from plonnx.gadgets.linear.sum import Sum
from plonnx.kzg import container
from plonnx.kzg.container import FileError
from plonnx.kzg.srs import SRS
from plonnx.layout.architecture import KIND, Architecture
from plonnx.layout.circuit import ModelCircuit
from plonnx.plonk.keys import ProvingKey, VerifyingKey
from plonnx.plonk.program import Program
from plonnx.plonk.verifier import VerificationError
from tests.compiler.small import onnx_model, saved

MALFORMED = r"the architecture file does not hold what it should \("
SIGNATURE = "float[1,2,4,4] x) => (float y)"
BODY = """
    c = Conv<strides = [2, 2], pads = [1, 1, 0, 0]>(x, w, b)
    r = Relu(c)
    p = GlobalMaxPool(r)
    s = Sigmoid(c)
    m = Mul(s, p)
    a = GlobalAveragePool(m)
    f = Flatten(a)
    g = Gemm(f, v, d)
    e = Add(g, k)
    h = Pad(e, n)
    y = Add(h, h)
"""
RANDOM = np.random.default_rng(3)
CONSTANTS = {
    "w": RANDOM.uniform(-1, 1, (3, 2, 3, 3)),
    "b": RANDOM.uniform(-1, 1, 3),
    "v": RANDOM.uniform(-1, 1, (3, 2)),
    "d": RANDOM.uniform(-1, 1, 2),
    "k": RANDOM.uniform(-1, 1, (1, 2)),
    "n": np.array([0, 0, 0, 1]),
}


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> ModelCircuit:
    """A model that has every kind of block, secrets and constants in each place."""
    path = saved(tmp_path_factory.mktemp("model"), onnx_model(SIGNATURE, BODY, CONSTANTS))
    data = {"x": np.random.default_rng(1).uniform(-1, 1, (40, 2, 4, 4))}
    made = compile_model(path, [data], Options(model="private", table_bits=8, error_target=0.1))
    kinds = {type(block).__name__ for block in made.builder.blocks}
    assert kinds == {"Input", "Convolution", "Sum", "Lookup", "Maximum", "Product"}
    return made


@pytest.fixture(scope="module")
def srs(circuit: ModelCircuit) -> SRS:
    return SRS.development(circuit.srs_k, 5)


@pytest.fixture(scope="module")
def pk(circuit: ModelCircuit, srs: SRS) -> ProvingKey:
    return circuit.keygen(srs)


def test_it_holds_no_secret(circuit: ModelCircuit, tmp_path: Path) -> None:
    """Not in the file and not in memory: every weight, bias and constant that is one has become zero."""
    architecture = circuit.architecture
    assert circuit.builder.secrets == architecture.circuit.builder.secrets > 60
    for made in architecture.circuit.builder.blocks:
        if isinstance(made, Convolution):
            assert not np.any(made.weights * made.kernel.secret), made.name
            assert made.bias is None or not np.any(made.bias), made.name
        if isinstance(made, Sum) and made.hides:
            assert made.constant is not None and not np.any(made.constant), made.name
    assert set(architecture.circuit.report) == {"scales"}, "how exact it is would tell of the weights"
    assert architecture.circuit.facts == {}
    assert {port.limit for port in (*architecture.circuit.inputs, *architecture.circuit.outputs)} == {256}
    architecture.save(tmp_path / "m.architecture")
    content = (tmp_path / "m.architecture").read_bytes()
    _, arrays = container.decode(content, KIND, "")
    held = {name.split(".", 2)[2]: array for name, array in arrays.items() if name.startswith("block.")}
    assert "bias" not in held and "constant" not in held
    assert {array.size for name, array in arrays.items() if name.endswith(".weights")} == {4}, "of the mean alone"
    assert Architecture.load(tmp_path / "m.architecture").encode() == content
    with pytest.raises(FileError, match="this is a plonnx architecture file, a circuit file is needed here"):
        ModelCircuit.load(tmp_path / "m.architecture")


def test_a_public_model_has_none(circuit: ModelCircuit, tmp_path: Path) -> None:
    path = saved(tmp_path, onnx_model(SIGNATURE, BODY, CONSTANTS))
    data = {"x": np.random.default_rng(1).uniform(-1, 1, (40, 2, 4, 4))}
    public = compile_model(path, [data], Options(table_bits=8, error_target=0.1))
    with pytest.raises(ValueError, match="is public"):
        public.architecture  # noqa: B018  # the property refuses
    assert {block.hides for block in public.builder.blocks if hasattr(block, "hides")} <= {None, False}


def test_the_public_part_is_rebuilt(circuit: ModelCircuit, pk: ProvingKey, srs: SRS) -> None:
    """By hand and by the public function, which gives the widths."""
    architecture = Architecture.decode(circuit.architecture.encode(), "a file")
    assert architecture.public_part(srs).encode() == pk.vk.public_part.encode() != pk.vk.encode()
    registration = plonnx.register(circuit, pk, srs)
    bits = plonnx.verify_registration(pk.vk, registration, architecture, srs)
    assert bits == pk.vk.hidden_bits == (16,) * (len(bits) - 1) + (18,)


def test_what_it_shows(circuit: ModelCircuit) -> None:
    said = circuit.architecture.describe()
    layers = {layer["name"]: layer for layer in said["layers"]}
    assert layers["x"]["kind"] == "input" and layers["x"]["to"] == [1, 2, 4, 4]
    convolution = layers["c"]
    assert (convolution["reads"], convolution["from"], convolution["to"]) == (["x"], [8, 2, 2], [3, 2, 2])
    assert (convolution["secrets"], convolution["constants"]) == (3 * 2 * 9 + 3, 3 * 2 * 7), "16 taps of phases, 9 real"
    assert layers["a"]["secrets"] == 0 and layers["a"]["constants"] == 4
    (largest,) = (layer for layer in said["layers"] if layer["kind"] == "maximum")
    assert largest["reads"] == ["c+"]
    assert (said["weight_bits"], said["bias_bits"], said["table"]) == (16, 18, 256)
    assert said["secrets"] == circuit.builder.secrets == 3 * 2 * 9 + 3 + 3 * 2 + 2
    (sigmoid,) = said["functions"]
    assert sigmoid["name"].startswith("Sigmoid(x), scale ") and sigmoid["from"] < 0 < sigmoid["to"]
    assert [tensor["name"] for tensor in said["tensors"]] == ["x", "y"]
    scales = {port.name: port.scale for port in (*circuit.inputs, *circuit.outputs)}
    assert {tensor["name"]: tensor["scale"] for tensor in said["tensors"]} == scales


# Keys ----------------------------------------------------------------------------------------------------------------


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"{value}'"
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, Program):
        return replace(value, constants=(*value.constants, 7))
    assert isinstance(value, tuple)
    return value[:-1] if value else (1,)


@pytest.mark.parametrize("field", [f.name for f in fields(VerifyingKey)])
def test_no_field_of_the_key_is_free(circuit: ModelCircuit, pk: ProvingKey, srs: SRS, field: str) -> None:
    given = getattr(pk.vk, field)
    changed = (other(given[0]), *given[1:]) if field == "fixed_commitments" else other(given)
    with pytest.raises(VerificationError, match=f"{field} differ|public|another SRS"):
        circuit.architecture.check_key(replace(pk.vk, **{field: changed}), srs)
    circuit.architecture.check_key(pk.vk, srs)


def test_the_hidden_commitments_are_not_compared(circuit: ModelCircuit, srs: SRS) -> None:
    one, another = circuit.keygen(srs).vk, circuit.keygen(srs).vk
    assert one.digest != another.digest
    for vk in (one, another):
        circuit.architecture.check_key(vk, srs)


# Files from somebody else --------------------------------------------------------------------------------------------


def tampered(content: bytes, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    meta, arrays = container.decode(content, KIND, "")
    meta, held = copy.deepcopy(meta), {name: np.array(array) for name, array in arrays.items()}
    change(meta, held)
    return container.encode(KIND, meta, held)


def block(meta: dict[str, Any], kind: str) -> tuple[int, dict[str, Any]]:
    """The first block of a kind that reads something."""
    blocks = enumerate(meta["builder"]["blocks"])
    return next((i, record) for i, record in blocks if record["kind"] == kind and record.get("coefficients") != [])


def into(kind: str, name: str, value: Any, at: Any = 0) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Put a value into an array of the first block of a kind."""

    def change(meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        array = arrays[f"block.{block(meta, kind)[0]}.{name}"].astype(np.int64)
        array.reshape(-1)[at] = value
        arrays[f"block.{block(meta, kind)[0]}.{name}"] = container.narrow(array)

    return change


def field(kind: str, name: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda meta, arrays: block(meta, kind)[1].__setitem__(name, value)


def meta_of(*path: Any, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        place: Any = meta
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def cyclic(meta: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The product reads its own first cell."""
    record = block(meta, "product")[1]
    into("product", "factors", 2 * record["first"])(meta, arrays)


TAMPERED: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "reads itself": cyclic,
    "reads beyond": into("lookup", "x", 10**6),
    "reads below": into("lookup", "x", -2),
    "a hole in a sum": into("sum", "terms", -1),
    "a huge coefficient": field("sum", "coefficients", [1 << 70]),
    "a huge multiplier": field("product", "multiplier", 1 << 60),
    "half a multiplier": field("product", "multiplier", 1.5),
    "another first unit": field("maximum", "first", 3),
    "a count that is no integer": field("lookup", "count", 12.0),
    "far more units": field("convolution", "count", 1 << 50),
    "more groups": field("convolution", "groups", 5),
    "another shape": field("convolution", "shape", [2, 3]),
    "offsets far away": into("convolution", "offsets", 1 << 40),
    "an offset without a magnitude": into("convolution", "offsets", -1 << 63),
    "which weights are secret: 2": into("convolution", "hides", 2),
    "weights of another shape": field("convolution", "weights", [3, 4, 3]),
    "weights of no shape": field("convolution", "weights", [1 << 40, 1 << 40, 3]),
    "a bias of another length": field("convolution", "bias", [4]),
    "no bias bits": meta_of("builder", "hidden", value=[16, 0]),
    "far too many weight bits": meta_of("builder", "hidden", value=[60, 60]),
    "a public model": meta_of("builder", "hidden", value=None),
    "table bits": meta_of("builder", "table_bits", value=60),
    "table bits of another type": meta_of("builder", "table_bits", value=8.0),
    "k": meta_of("shape", "k", value=60),
    "too small a k": meta_of("shape", "k", value=4),
    "no lanes": meta_of("shape", "lanes", value=0),
    "weight columns": meta_of("shape", "weight_columns", value=1 << 40),
    "group": meta_of("shape", "group", value=True),
    "packing": meta_of("shape", "packing", value=-1),
    "a shape with more": meta_of("shape", "more", value=1),
    "another port": meta_of("ports", 0, 0, "name", value="z"),
    "a port without a scale": meta_of("ports", 1, 0, "scale", value="4"),
    "a port more": lambda meta, arrays: meta["ports"][0].append(meta["ports"][0][0]),
    "two inputs of one name": lambda meta, arrays: (
        meta["ports"][0].append(meta["ports"][0][0]),
        meta["builder"]["blocks"].insert(1, dict(meta["builder"]["blocks"][0])),
    )[0],
    "a narrower output": meta_of("builder", "outputs", 0, 1, value=0),
    "an output beyond the table": meta_of("builder", "outputs", 0, 2, value=1 << 20),
    "a function that holds too much": lambda meta, arrays: arrays.__setitem__(
        "function.0", np.full(arrays["function.0"].shape, 257, np.int16)
    ),
    "an empty function": lambda meta, arrays: arrays.__setitem__("function.0", np.zeros(0, np.int8)),
    "a function far away": meta_of("builder", "functions", 0, 1, value=1 << 62),
    "a function that is not used": lambda meta, arrays: (
        meta["builder"]["functions"].append(["more", 0]),
        arrays.__setitem__("function.1", np.zeros(3, np.int8)),
    )[0],
    "a block of no kind": field("maximum", "kind", "minimum"),
    "a block less": lambda meta, arrays: meta["builder"]["blocks"].pop(),
    "no blocks": meta_of("builder", "blocks", value=[]),
    "no names": lambda meta, arrays: meta.pop("name"),
    "scales of another kind": meta_of("scales", value=[1, 2]),
    "an array more": lambda meta, arrays: arrays.__setitem__("more", np.zeros(3, np.int8)),
    "wider arrays": lambda meta, arrays: arrays.__setitem__("function.0", arrays["function.0"].astype(np.int64)),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_no_compiler_writes_is_refused(circuit: ModelCircuit, tmp_path: Path, name: str) -> None:
    content = tampered(circuit.architecture.encode(), TAMPERED[name])
    (tmp_path / "m.architecture").write_bytes(content)
    with pytest.raises(FileError, match=rf"m\.architecture: {MALFORMED}") as refused:
        Architecture.load(tmp_path / "m.architecture")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_the_tampering_changes_something(circuit: ModelCircuit) -> None:
    honest = circuit.architecture.encode()
    assert tampered(honest, lambda meta, arrays: None) == honest
    Architecture.decode(honest, "")
    assert len({tampered(honest, change) for change in TAMPERED.values()} | {honest}) == len(TAMPERED) + 1


HONEST_BUT_OTHER: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "another name": meta_of("name", value="other"),
    "another scale of a port": meta_of("ports", 0, 0, "scale", value=1),
    "another table": lambda meta, arrays: arrays.__setitem__("function.0", arrays["function.0"][::-1].copy()),
    "another coefficient": lambda meta, arrays: block(meta, "sum")[1]["coefficients"].__setitem__(0, 5),
    "more bits": meta_of("builder", "hidden", value=[17, 18]),
    "fewer weight columns": meta_of("shape", "weight_columns", value=1),
    "a hidden input": lambda meta, arrays: (
        block(meta, "input")[1].__setitem__("public", False),
        meta["ports"][0][0].__setitem__("public", False),
    )[0],
}


@pytest.mark.parametrize("name", HONEST_BUT_OTHER)
def test_another_architecture_is_another_key(circuit: ModelCircuit, pk: ProvingKey, srs: SRS, name: str) -> None:
    """What a compiler could have written, and is not what the key was made from."""
    read = Architecture.decode(tampered(circuit.architecture.encode(), HONEST_BUT_OTHER[name]), "a file")
    with pytest.raises(VerificationError, match="not of this architecture: its "):
        read.check_key(pk.vk, srs)


def test_an_architecture_that_hides_more_is_another_registration(
    circuit: ModelCircuit, pk: ProvingKey, srs: SRS
) -> None:
    """The same key could be of a model with a secret bias more: its registration says that it is not."""

    def secret_taps(meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        number, record = block(meta, "convolution")
        del arrays[f"block.{number}.hides"]
        record["hides"] = None

    read = Architecture.decode(tampered(circuit.architecture.encode(), secret_taps), "a file")
    assert read.circuit.builder.secrets > circuit.builder.secrets
    read.check_key(pk.vk, srs)
    registration = plonnx.register(circuit, pk, srs)
    with pytest.raises(VerificationError, match="does not hold"):
        plonnx.verify_registration(pk.vk, registration, read, srs)


def test_json_numbers_of_another_type_are_refused(circuit: ModelCircuit) -> None:
    """1.0 and true are equal to 1 in Python, not in the file."""
    honest = circuit.architecture.encode()
    meta, arrays = container.decode(honest, KIND, "")
    for old, new in (('"groups":1,', '"groups":true,'), ('"groups":1,', '"groups":1.0,')):
        text = json.dumps(meta, sort_keys=True, separators=(",", ":"))
        assert old in text
        with pytest.raises(FileError, match=MALFORMED):
            Architecture.decode(container.encode(KIND, json.loads(text.replace(old, new)), dict(arrays)), "a file")


VALUES: tuple[Any, ...] = (0, 1, -1, 3, 1 << 31, 1 << 64, -(1 << 63), 1.0, 0.5, True, None, "", "x", [], [1], [[1]], {})


def test_random_damage_is_refused_in_one_line(circuit: ModelCircuit) -> None:
    """Anything anywhere in the JSON, and in the arrays: refused as no architecture, or read as another one."""
    honest = circuit.architecture.encode()
    random = np.random.default_rng(6)
    refused = 0
    for _ in range(400):

        def damage(meta: dict[str, Any], arrays: dict[str, Any]) -> None:
            if random.random() < 0.3:
                held = sorted(name for name in arrays if arrays[name].size)
                name = held[random.integers(len(held))]
                array = arrays[name].astype(np.int64)
                array.reshape(-1)[random.integers(array.size)] += random.integers(-3, 4)
                arrays[name] = container.narrow(array)
                return
            place: Any = meta
            while True:
                key = random.choice(sorted(place)) if isinstance(place, dict) else int(random.integers(len(place)))
                inside = place[key]
                if not isinstance(inside, dict | list) or not inside or random.random() < 0.1:
                    break
                place = inside
            place[key] = VALUES[random.integers(len(VALUES))]

        content = tampered(honest, damage)
        try:
            assert Architecture.decode(content, "a file").encode() == content
        except FileError as error:
            refused += 1
            assert "\n" not in str(error)
    assert 200 < refused < 400
