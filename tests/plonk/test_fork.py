"""A Prover in forked worker processes: none of the threads that its kernels ran on are there, and it proves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 120  # some two in fact; a kernel that waits for threads of the parent waits for ever
WORKERS = """
import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor

from circuits import squares
from plonnx.kzg.srs import SRS
from plonnx.plonk.keygen import keygen
from plonnx.plonk.prover import Prover
from plonnx.plonk.verifier import verify

circuit, srs = squares.circuit(), SRS.development(9, tau=5)
prover, witness = Prover(keygen(circuit, srs), srs), squares.witness(circuit)
verify(prover.vk, prover.prove(witness))  # the kernels' threads are there when the process is forked


def work(number):
    verify(prover.vk, prover.prove(witness))
    return number


def both():  # two kernels at a time in one forked process, and a process forked from it
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(work, range(2))) == [0, 1]
    child = multiprocessing.get_context("fork").Process(target=work, args=(0,))
    child.start()
    child.join()
    sys.exit(child.exitcode)


with multiprocessing.get_context("fork").Pool(2) as pool:
    print(*pool.map(work, range(4)))
process = multiprocessing.get_context("fork").Process(target=both)
process.start()
process.join()
print(process.exitcode, work(7))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_prover_in_forked_processes() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKERS],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, err
    assert out.split() == ["0", "1", "2", "3", "0", "7"]
