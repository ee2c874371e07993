"""Multi-scalar multiplication against the discrete logarithms of the points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx import _native
from plonnx._native import Points, Vec

R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
G1 = _native.g1_generator()
EDGES = [0, 1, 2, R - 1, R - 2, (R - 1) // 2, (R + 1) // 2, 2**64, 2**128 - 1, 2**254, R - 2**64]
SIZES = [0, 1, 2, 3, 7, 31, 32, 33, 100, 255, 256, 1000, 1024, 4097]


def logs(count: int, seed: int = 0) -> list[int]:
    rng = np.random.default_rng(seed)
    return [int.from_bytes(rng.bytes(48), "big") % R for _ in range(count)]


LOGS = logs(max(SIZES), 99)
POINTS = _native.fixed_base(Vec.from_scalars(LOGS))


def expected(point_logs: list[int], scalars: list[int]) -> bytes:
    return _native.g1_mul(G1, sum(a * b for a, b in zip(point_logs, scalars, strict=False)) % R)


@pytest.mark.parametrize("count", SIZES)
def test_full_scalars(count: int) -> None:
    scalars = logs(count, count)
    scalars[: len(EDGES)] = EDGES[:count]
    vec = Vec.from_scalars(scalars)
    assert POINTS.msm(vec) == expected(LOGS, scalars) == _native.blst_msm(POINTS, vec)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("count", SIZES)
def test_signed_integers(count: int, dtype: type) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(count)
    ints = rng.integers(info.min, info.max, count, dtype=dtype, endpoint=True)
    ints[:5] = [info.min, info.max, 0, -1, 1][:count]
    assert POINTS.msm_ints(ints) == expected(LOGS, [int(v) for v in ints])


@pytest.mark.parametrize("bits", range(1, 64, 3))
def test_every_width(bits: int) -> None:
    rng = np.random.default_rng(bits)
    ints = rng.integers(-(2**bits), 2**bits, 300)
    ints[:2] = 2**bits - 1, -(2**bits)
    assert POINTS.msm_ints(ints) == expected(LOGS, ints.tolist())


@pytest.mark.parametrize("count", [5, 1000, 4097])
def test_sparse_and_rarely_changing_columns(count: int) -> None:
    rng = np.random.default_rng(count)
    sparse = np.where(rng.random(count) < 0.02, rng.integers(-(2**20), 2**20, count), 0)
    assert POINTS.msm_ints(sparse) == expected(LOGS, sparse.tolist())
    steps = np.repeat(rng.integers(-(2**40), 2**40, count // 5 + 1), 5)[:count]
    assert POINTS.msm_ints(steps) == expected(LOGS, steps.tolist())
    full = [int(v) % R for v in np.repeat(logs(count // 50 + 1, 3), 50)[:count]]
    assert POINTS.msm(Vec.from_scalars(full)) == expected(LOGS, full)
    for constant in (0, 1, -1, 77, np.iinfo(np.int64).min):
        ints = np.full(count, constant, np.int64)
        assert POINTS.msm_ints(ints) == expected(LOGS, ints.tolist())
        scalars = [constant % R] * count
        assert POINTS.msm(Vec.from_scalars(scalars)) == expected(LOGS, scalars)


@pytest.mark.parametrize(("start", "stop"), [(0, 4097), (0, 200), (17, 1040), (4000, 4097)])
def test_rarely_changing_columns_anywhere_in_the_points(start: int, stop: int) -> None:
    """These are summed by their changes, over the sums of all points from each to the end."""
    rng = np.random.default_rng(start)
    for low, high in ((-100, 100), (-(2**61), 2**61), (-(2**63), 2**63 - 1)):
        ints = np.repeat(rng.integers(low, high, 50), 100)[: stop - start]
        assert POINTS.slice(start, stop).msm_ints(ints) == expected(LOGS[start:], ints.tolist())
    scalars = [value for value in logs(50, start) for _ in range(100)][: stop - start]
    assert POINTS.slice(start, stop).msm(Vec.from_scalars(scalars)) == expected(LOGS[start:], scalars)


@given(st.integers(0, 10**6), st.sampled_from([40, 700]))
@settings(max_examples=30, deadline=None)
def test_colliding_points(seed: int, count: int) -> None:
    """Few distinct points, their negatives and infinity: every exceptional case of the addition."""
    rng = np.random.default_rng(seed)
    point_logs = [int(v) % R for v in rng.integers(-2, 3, count)]
    points = _native.fixed_base(Vec.from_scalars(point_logs))
    ints = rng.integers(-3, 4, count)
    assert points.msm_ints(ints) == expected(point_logs, ints.tolist())
    scalars = [EDGES[i] for i in rng.integers(0, len(EDGES), count)]
    vec = Vec.from_scalars(scalars)
    assert points.msm(vec) == expected(point_logs, scalars)


def test_fewer_scalars_than_points() -> None:
    assert POINTS.msm(Vec.from_scalars([3])) == expected(LOGS, [3])
    assert POINTS.slice(5, 9).msm_ints(np.array([1, 2], np.int8)) == expected(LOGS[5:], [1, 2])
    with pytest.raises(ValueError, match="3 scalars for 2 points"):
        POINTS.slice(0, 2).msm(Vec.zeros(3))
    with pytest.raises(ValueError, match="3 scalars for 2 points"):
        POINTS.slice(0, 2).msm_ints(np.zeros(3, np.int8))


def test_infinite_points() -> None:
    points = Points.from_bytes(bytes(96) * 100)
    assert points.msm_ints(np.arange(100)) == bytes(96) == points.msm(Vec.powers(5, 100))


@pytest.mark.parametrize("distinct", [64, 338, 799])
@pytest.mark.parametrize("arrangement", ["sorted", "scattered"])
def test_repeated_full_scalars(distinct: int, arrangement: str) -> None:
    """Few distinct values leave most buckets empty: the sums over the bits of bucket numbers then need most room."""
    random = np.random.default_rng(distinct)
    weights = Vec.from_scalars(LOGS[:4096])
    for _ in range(8):
        values = Vec.from_wide_bytes(random.bytes(64 * distinct))
        at = random.integers(0, distinct, 4096)
        scalars = values.take(np.sort(at) if arrangement == "sorted" else at)
        log = _native.affine_scan(0, Vec.powers(1, 4096), scalars.mul(weights))[4096]
        assert POINTS.slice(0, 4096).msm(scalars) == _native.g1_mul(G1, log)


def test_many_at_once() -> None:
    """Sums of every kind side by side, some of the same points: as one after another."""
    rng = np.random.default_rng(20)
    few, many = POINTS.slice(0, 5), POINTS.slice(7, len(POINTS))
    terms: list[tuple[Points, Vec | np.ndarray]] = []
    for _ in range(20):
        terms += [
            (few, Vec.from_wide_bytes(rng.bytes(64 * 5))),
            (many, Vec.from_wide_bytes(rng.bytes(64 * len(many)))),
            (many, rng.integers(-128, 128, len(many)).astype(np.int8)),
            (POINTS, np.repeat(rng.integers(-(2**40), 2**40, len(POINTS) // 50), 50)),
            (POINTS, Vec.zeros(0)),
        ]
    alone = [p.msm_ints(s) if isinstance(s, np.ndarray) else p.msm(s) for p, s in terms]
    assert _native.msm_many([p for p, _ in terms], [s for _, s in terms]) == alone
    assert _native.msm_many([], []) == []
    with pytest.raises(ValueError, match="1 lists of points for 0"):
        _native.msm_many([few], [])
    with pytest.raises(ValueError, match="6 scalars for 5 points"):
        _native.msm_many([many, few], [Vec.zeros(3), Vec.zeros(6)])
    with pytest.raises(ValueError, match="int8, int16, int32 or int64, not uint8"):
        _native.msm_many([few], [np.zeros(5, np.uint8)])
    with pytest.raises(TypeError, match="^a numpy array of integers is needed here"):
        _native.msm_many([few], [[1, 2]])


def test_many_large_ones() -> None:
    points = _native.srs_powers(5, 1 << 15)
    ones = np.ones(1 << 15, np.int64)
    wide = Vec.from_ints(ones[:-1])
    expected_sum = _native.g1_mul(G1, sum(pow(5, i, R) for i in range(1 << 15)) % R)
    first = _native.g1_mul(G1, 7)
    sums = _native.msm_many([points] * 3, [ones, np.array([7]), wide])
    assert sums == [expected_sum, first, points.slice(0, (1 << 15) - 1).msm(wide)]
