"""The front end as one call: options, the choice of the table, the report, refusals, determinism."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from plonnx.compiler.calibration import InnerTensors
from plonnx.compiler.compile import quantized
from plonnx.compiler.graph import CompileError
from plonnx.compiler.judging import Judge
from plonnx.compiler.options import Options
from plonnx.compiler.report import Report, evaluate, inner_errors
from plonnx.gadgets import OutOfRange
from plonnx.layout.inputs import InputError
from tests.compiler.small import compiled, onnx_model, random_samples, saved

RANDOM = np.random.RandomState(5)
SIGNATURE = "float[N,8] x) => (float[N,4] y)"
BODY = "h = Gemm(x, w, b) r = Relu(h) y = MatMul(r, v)"
CONSTANTS = {"w": RANDOM.randn(8, 16), "b": RANDOM.randn(16), "v": RANDOM.randn(16, 4)}


def mlp(folder: Path) -> Path:
    """A small MLP as a file."""
    return saved(folder, onnx_model(SIGNATURE, BODY, CONSTANTS))


def test_the_smallest_table_within_the_target(tmp_path: Path) -> None:
    data = {"x": RANDOM.uniform(-1, 1, (40, 8))}
    chosen = quantized(mlp(tmp_path), data, Options(error_target=0.003)).report
    smaller = quantized(mlp(tmp_path), data, Options(table_bits=chosen.table_bits - 1, error_target=0.003)).report
    assert chosen.reached
    assert smaller.outputs[0].max_group_relative > 0.003 >= chosen.outputs[0].max_group_relative
    assert chosen.outputs[0].max_relative <= 0.003
    assert quantized(mlp(tmp_path), data, Options(error_target=0.05)).report.table_bits < chosen.table_bits


def test_a_sample_is_run_once_for_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What misses the target by far is seen on the first: only the size that is taken is run on all, and between."""
    ran: list[tuple[int, int]] = []

    def counted(builder: Any, ports: Any, samples: Any) -> Any:
        ran.append((builder.table_bits, len(samples["x"])))
        return evaluate(builder, ports, samples)

    monkeypatch.setattr("plonnx.compiler.judging.evaluate", counted)
    data = {"x": np.random.default_rng(1).uniform(-1, 1, (40, 8))}
    taken = quantized(mlp(tmp_path), data, Options(error_target=1e-3)).report.table_bits
    samples = {bits: sum(count for b, count in ran if b == bits) for bits, _ in ran}
    assert samples[taken] == 40 + 512
    assert taken > 9 and samples[8] == samples[9] == 1


def test_a_group_that_misses_the_target_decides_before_others_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2^9 holds on the first 16 samples against the range of all, not against that of their group: that alone tells.

    Nor does it on the whole first group of 32. The other samples are run at 2^10 alone.
    """
    ran: list[int] = []

    def counted(builder: Any, ports: Any, samples: Any) -> Any:
        ran.append(len(samples["x"]) if builder.table_bits == 9 else 0)
        return evaluate(builder, ports, samples)

    def run() -> tuple[Report, int]:
        ran.clear()
        return quantized(mlp(tmp_path), data, Options(error_target=0.005)).report, sum(ran)

    monkeypatch.setattr("plonnx.compiler.judging.evaluate", counted)
    data = {"x": np.random.default_rng(1).uniform(-1, 1, (128, 8))}
    by_those_run, fewest = run()
    monkeypatch.setattr("plonnx.compiler.judging.Judge._seen", lambda *given: 0.0)
    by_groups, few = run()
    monkeypatch.setattr("plonnx.compiler.judging.Judge._misses", lambda *given: False)
    by_all, every = run()
    assert by_those_run == by_groups == by_all
    assert 16 == fewest < few < every == 128


def test_the_group_that_promises_to_miss_the_target_is_run_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four groups the last one misses it, of which a sample that was run is near the target."""
    judge, asked, error = object.__new__(Judge), list[list[int]](), np.zeros(128)
    judge.target, error[[3, 7]] = 0.01, (0.008, 0.011)

    def misses(built: Any, group: Any) -> bool:
        asked.append(list(group))
        return bool(error[group].max() > judge.target)

    monkeypatch.setattr(judge, "_stages", lambda built: [np.arange(128)])
    monkeypatch.setattr(judge, "_seen", lambda built, group: error[group[group < 4]].max())
    monkeypatch.setattr(judge, "_misses", misses)
    assert not judge.within(cast(Any, None))
    assert asked == [list(range(3, 128, 4))]


@pytest.mark.parametrize(("clear", "judged"), [(1.0, 8), (1e6, 128)])
def test_a_large_model_is_run_on_some_random_samples_where_it_is_clearly_within_the_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clear: float, judged: int
) -> None:
    data = {"x": np.random.default_rng(1).uniform(-1, 1, (3, 8))}
    whole = quantized(mlp(tmp_path), data, Options(error_target=1e-3)).report
    assert (whole.samples, whole.random_samples) == (3, 128)
    for name, value in (("_ELEMENTS", 0), ("_RANDOM", 8), ("CLEAR", clear)):
        monkeypatch.setattr(f"plonnx.compiler.judging.{name}", value)
    ran: list[int] = []

    def counted(builder: Any, ports: Any, samples: Any) -> Any:
        ran.append(len(samples["x"]) if builder.table_bits == whole.table_bits else 0)
        return evaluate(builder, ports, samples)

    monkeypatch.setattr("plonnx.compiler.judging.evaluate", counted)
    found = quantized(mlp(tmp_path), data, Options(error_target=1e-3)).report
    assert (found.samples, found.random_samples) == (3, judged)
    assert sum(ran) == 3 + judged
    assert found.table_bits == whole.table_bits
    assert found.outputs[0].max_relative <= whole.outputs[0].max_relative


def test_inner_tensors_of_a_large_model_are_ranked_by_fewer_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = compiled(tmp_path, SIGNATURE, BODY, CONSTANTS)
    ran: list[int] = []

    def counted(self: InnerTensors, samples: Any) -> Any:
        ran.append(len(samples["x"]))
        return of(self, samples)

    of = InnerTensors.of
    monkeypatch.setattr(InnerTensors, "of", counted)
    samples = {"x": RANDOM.uniform(-1, 1, (100, 1, 8))}
    every = inner_errors(made.builder, made.graph, made.facts.inputs, samples)
    monkeypatch.setattr("plonnx.compiler.report._TRACED_CELLS", 0)
    few = inner_errors(made.builder, made.graph, made.facts.inputs, samples)
    assert ran == [64, 8]
    assert [error.name for error in few] == [error.name for error in every]
    assert all(0.0 < error.max_relative < 0.01 for error in (*few, *every))


def test_a_target_out_of_reach_is_reported(tmp_path: Path) -> None:
    report = quantized(mlp(tmp_path), {"x": RANDOM.uniform(-1, 1, (40, 8))}, Options(error_target=1e-9)).report
    assert not report.reached
    assert report.table_bits == 16
    assert report.missed is not None and "the target is 0.00%" in report.missed


def test_whole_numbers_report_how_many_agree() -> None:
    """Of a decision about real numbers as of one about integers, which is exact."""
    x = np.random.default_rng(3).normal(size=(40, 4))
    rounded = quantized(
        onnx_model("float[1,4] x) => (int64[1] y)", "y = ArgMax <axis = 1, keepdims = 0> (x)"), {"x": x}
    )
    (error,) = rounded.report.outputs
    assert error.stepped and error.agreement is not None and error.agreement > 0.9
    counts = np.random.default_rng(3).integers(0, 50, (40, 4))
    exact = quantized(onnx_model("int32[1,4] x) => (bool[1,4] y)", "t = Add(x, x) y = Greater(t, x)"), {"x": counts})
    (error,) = exact.report.outputs
    assert not error.stepped and error.agreement == 1.0 and error.max_absolute == 0.0
    (error,) = quantized(onnx_model("float[1,4] x) => (float[1,4] y)", "y = Exp(x)"), {"x": x}).report.outputs
    assert not error.stepped and error.agreement is None
    guarded = "a = Softmax(x) n = IsNaN(a) m = Not(n) y = Where(m, a, c)"
    made = quantized(onnx_model("float[1,4] x) => (float[1,4] y)", guarded, {"c": np.zeros(1)}), {"x": x})
    assert not made.report.outputs[0].stepped, "numbers of a circuit are finite, whatever asks whether they are"


def test_report(tmp_path: Path) -> None:
    made = compiled(tmp_path, SIGNATURE, BODY, CONSTANTS)
    report = json.loads(json.dumps(made.report.as_json()))
    assert report["samples"] == 32 and report["random_samples"] == 0
    assert report["outputs"][0]["top1"] >= 0.95
    assert 0 < report["outputs"][0]["mean_absolute"] < report["outputs"][0]["max_absolute"] < 0.1
    assert report["worst"]["name"] in ("h", "r")
    assert list(report["scales"]) == ["x", "h", "r", "y"]
    assert made.facts.operators == {"Gemm": 2, "Relu": 1}
    assert made.facts.parameters == 8 * 16 + 16 + 16 * 4


def test_visibility(tmp_path: Path) -> None:
    made = compiled(tmp_path, SIGNATURE, BODY, CONSTANTS, input="private", output={"y": "public"})
    assert [port.public for port in (*made.facts.inputs, *made.facts.outputs)] == [False, True]
    assert [block.public for block in made.builder.inputs] == [False]
    assert [output.public for output in made.builder.outputs] == [True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": {"z": "private"}}, r"input=\{'z': private\}: the model's inputs are x"),
        ({"output": "hidden"}, "output=hidden: choose public or private"),
        ({"table_bits": 3}, "table_bits=3: choose 4 to 20"),
        ({"margin": 0.9}, r"margin=0\.9"),
        ({"dims": {"M": 2}}, r"dims=\{\'M\': \.\.\}: .*it has N"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compiled(tmp_path, SIGNATURE, BODY, CONSTANTS, **options)


def test_data_is_needed(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="give samples of its inputs with data"):
        quantized(mlp(tmp_path), None)


def test_several_data_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RANDOM.uniform(-1, 1, (20, 8)))
    (tmp_path / "b.json").write_text(json.dumps({"input_data": [[3.0] * 8]}))
    made = quantized(mlp(tmp_path), [tmp_path / "a.npy", tmp_path / "b.json"], Options(table_bits=10))
    assert made.report.samples == 21
    assert made.facts.inputs[0].largest == pytest.approx(6.0, rel=1e-2)


def test_bad_data_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"input_data": [[1, 2]]}')
    with pytest.raises(InputError, match=r"bad\.json: input 'x' has shape \[2\]; expected \[1, 8\]"):
        quantized(mlp(tmp_path), tmp_path / "bad.json")


def test_a_fixed_batch(tmp_path: Path) -> None:
    made = quantized(mlp(tmp_path), {"x": RANDOM.uniform(-1, 1, (16, 3, 8))}, Options(dims={"N": 3}, table_bits=10))
    assert made.facts.outputs[0].shape == (3, 4)


def test_values_out_of_range_name_the_tensor(tmp_path: Path) -> None:
    """An input in its range whose inner values leave theirs: the calibration data was all in one direction."""
    path = saved(tmp_path, onnx_model("float[1,2] x) => (float[1,1] y)", "y = MatMul(x, w)", {"w": [[1.0], [-1.0]]}))
    made = quantized(path, {"x": np.linspace([1, 0.99], [2, 1.99], 32)}, Options(table_bits=10))
    with pytest.raises(OutOfRange, match="y"):
        made.evaluate({"x": np.array([[[2.0, -2.0]]])})
    with pytest.raises(InputError, match="input 'x' is 9"):
        made.evaluate({"x": np.array([[[9.0, 0.0]]])})


def test_samples_are_independent_of_their_batch(tmp_path: Path) -> None:
    made = compiled(tmp_path, SIGNATURE, BODY, CONSTANTS)
    samples = random_samples(made.graph, 200)
    together = made.evaluate(samples)["y"]
    alone = made.evaluate({"x": samples["x"][150:151]})["y"]
    np.testing.assert_array_equal(together[150:151], alone)


FINGERPRINT = """
import sys, hashlib
from plonnx.compiler.compile import quantized
made = quantized(sys.argv[1], sys.argv[2])
text = repr((made.facts, made.report.as_json(), [(b.name, b.first, b.count) for b in made.builder.blocks]))
for block in made.builder.blocks:
    for part in ("x", "weights", "bias", "terms", "constant"):
        array = getattr(block, part, None)
        text += "none" if array is None else hashlib.sha256(array.tobytes()).hexdigest()
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_same_model_gives_the_same_circuit_in_any_process(tmp_path: Path) -> None:
    path = mlp(tmp_path)
    (tmp_path / "data.json").write_text(json.dumps({"input_data": [RANDOM.uniform(-1, 1, 8).tolist()]}))
    prints = set()
    for seed in ("0", "1234"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1" if seed == "0" else "2"}
        command = [sys.executable, "-c", FINGERPRINT, str(path), str(tmp_path / "data.json")]
        prints.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(prints) == 1


def test_a_larger_table_that_brings_nothing_is_not_taken() -> None:
    """Thirds that are rounded at a half: no table decides them as floats do, so a small one serves as well."""
    x = (np.random.default_rng(3).integers(-5, 5, (400, 1, 4)) + 0.5) / 3
    constants = {"k": np.full(4, 3.0), "w": np.random.default_rng(4).normal(size=(4, 3))}
    model = onnx_model("float[1,4] x) => (float[1,3] y)", "a = Mul(x, k) r = Floor(a) y = MatMul(r, w)", constants)
    thirds = x + np.where(np.random.default_rng(5).random(x.shape) < 0.5, 0.5, 0.0) / 3
    made = quantized(model, {"x": thirds}, Options(error_target=0.001))
    finest = quantized(model, {"x": thirds}, Options(table_bits=16, error_target=0.001))
    assert not made.report.reached and not finest.report.reached
    assert made.report.table_bits < 16
    excess = [report.outputs[0].excess(0.001) for report in (made.report, finest.report)]
    assert excess[0] <= 1.25 * excess[1]
