"""Parts side by side come back in their order, with their exceptions, and no more of them run than may."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from plonnx import _native
from plonnx.gadgets.in_order import in_order


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "thread_count", lambda: 3)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 11])
def test_results_come_in_order(count: int) -> None:
    def work(part: int) -> int:
        time.sleep(0.002 * (part % 3 == 0))
        return part * part

    assert list(in_order(work, iter(range(count)))) == [part * part for part in range(count)]


def test_parts_run_side_by_side_but_few_at_a_time() -> None:
    meeting = threading.Barrier(3, timeout=20)
    assert list(in_order(lambda part: meeting.wait() >= 0, range(9))) == [True] * 9  # alone, none would pass
    begun: list[int] = []
    results = in_order(begun.append, range(100))
    next(results)
    results.close()
    assert begun and len(begun) <= 3


def test_an_exception_comes_where_its_part_would() -> None:
    def work(part: int) -> int:
        if part == 2:
            raise ValueError("two")
        return part

    results = in_order(work, range(9))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_the_error_state_of_numpy_holds_in_every_part() -> None:
    def work(part: int) -> float:
        return float(np.log(np.float64(-part)))

    with np.errstate(invalid="raise", divide="ignore"), pytest.raises(FloatingPointError):
        list(in_order(work, range(4)))


def test_one_core_takes_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plonnx._native.thread_count", lambda: 1)
    assert set(in_order(lambda part: threading.get_ident(), range(4))) == {threading.get_ident()}
