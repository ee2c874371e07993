"""The kernels without AVX-512, forced by PLONNX_PORTABLE=1 in a process of its own: the same bytes, the same tests."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from circuits import squares
from plonnx import _native
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import prove, seeded_rng

ROOT = Path(__file__).parent.parent.parent


def results() -> dict[str, str]:
    """Digests of what kernels give, over vectors and not, and of a proof."""
    rng = np.random.default_rng(3)
    f, g = (_native.Vec.from_wide_bytes(rng.bytes(64 << 12)) for _ in range(2))
    narrow = rng.integers(-127, 128, 1 << 12).astype(np.int8)
    points = _native.srs_powers(77, 1 << 12)
    program = _native.Program([(0, 0), (1, 1)], [3], 1, [(2, 0, 1), (0, 4, 2), (1, 5, 3), (2, 6, 6)], [7])
    circuit = squares.circuit()
    srs = SRS.development(9, tau=5)
    made = {
        "ntt": _native.ntt(f, 7).to_bytes(),
        "intt": _native.intt(f, 7).to_bytes(),
        "program": program.run([f, g], [11])[0].to_bytes(),
        "product": f.mul(g).to_bytes(),
        "inverse": f.inverse().to_bytes(),
        "combination": _native.linear_combination([f, g], [3, 5]).to_bytes(),
        "integers": _native.row_sums(narrow, _native.Vec.powers(77, 8)).to_bytes(),
        "evaluation": f.evaluate(99).to_bytes(32, "big"),
        "evaluations at eight points": _native.evaluate_at_eight([f], 99)[0].to_bytes(),
        "program of few rows": program.run_queried([f.slice(0, 8), g.slice(0, 8)], [11])[0].to_bytes(),
        "sum of products": points.msm(f),
        "narrow sum of products": points.msm_ints(narrow),
        "proof": prove(keygen(circuit, srs), squares.witness(circuit), srs, seeded_rng(b"paths")).proof,
    }
    return {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}


def _in_a_process(portable: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PLONNX_PORTABLE": portable, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _found(portable: str) -> dict[str, object]:
    """Whether a process uses vectors, and its results."""
    code = (
        "import json; from plonnx import _native; from tests.native.test_paths import results;"
        "print(json.dumps({'vectors': _native.vector_kernels(), 'results': results()}))"
    )
    ran = _in_a_process(portable, "-c", code)
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_the_portable_path_gives_the_same_bytes() -> None:
    assert _found("1") == {"vectors": False, "results": results()}


@pytest.mark.skipif(not _native.vector_kernels(), reason="this processor has no AVX-512 IFMA, or it is forbidden")
def test_nothing_else_forces_it() -> None:
    assert _found("0")["vectors"]


@pytest.mark.skipif(not _native.vector_kernels(), reason="these tests run on the portable path anyway")
def test_the_kernels_tests_pass_on_the_portable_path() -> None:
    files = [f"tests/native/test_{name}.py" for name in ("msm", "ntt", "program", "field")]
    ran = _in_a_process("1", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files)
    assert ran.returncode == 0, ran.stdout[-2000:]
