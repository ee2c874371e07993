"""Field vectors against Python integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx import _native
from plonnx._native import Vec

R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
EDGES = [0, 1, 2, R - 1, R - 2, (R - 1) // 2, 2**64 - 1, 2**64, 2**128 - 1, 2**192, 2**254, R - 2**64, (1 << 255) % R]

scalars = st.one_of(st.sampled_from(EDGES), st.integers(0, R - 1))
vectors = st.lists(scalars, max_size=40)
INT_TYPES: list[type[np.signedinteger]] = [np.int8, np.int16, np.int32, np.int64]


def values(vec: Vec) -> list[int]:
    data = vec.to_bytes()
    return [int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32)]


def random_scalars(rng: np.random.Generator, count: int) -> list[int]:
    return [int.from_bytes(rng.bytes(48), "big") % R for _ in range(count)]


@given(vectors)
def test_round_trips(numbers: list[int]) -> None:
    vec = Vec.from_scalars(numbers)
    assert len(vec) == len(numbers)
    assert values(vec) == numbers == [vec[i] for i in range(len(numbers))]
    assert values(Vec.from_bytes(vec.to_bytes())) == numbers


@given(st.lists(st.tuples(scalars, scalars), max_size=20))
def test_element_wise(pairs: list[tuple[int, int]]) -> None:
    a, b = Vec.from_scalars([x for x, _ in pairs]), Vec.from_scalars([y for _, y in pairs])
    assert values(a.add(b)) == [(x + y) % R for x, y in pairs]
    assert values(a.sub(b)) == [(x - y) % R for x, y in pairs]
    assert values(a.mul(b)) == [x * y % R for x, y in pairs]


def test_every_pair_of_edges() -> None:
    pairs = [(x, y) for x in EDGES for y in EDGES]
    test_element_wise.hypothesis.inner_test(pairs)  # type: ignore[attr-defined]


@given(vectors, scalars)
def test_scale_and_evaluate(numbers: list[int], x: int) -> None:
    vec = Vec.from_scalars(numbers)
    assert values(vec.scale(x)) == [x * v % R for v in numbers]
    assert vec.evaluate(x) == sum(v * pow(x, i, R) for i, v in enumerate(numbers)) % R


@given(vectors)
def test_inverse(numbers: list[int]) -> None:
    expected = [pow(v, -1, R) if v else 0 for v in numbers]
    assert values(Vec.from_scalars(numbers).inverse()) == expected


@pytest.mark.parametrize("length", [1023, 1024, 1025, 5000])
def test_operations_across_chunks(length: int) -> None:
    rng = np.random.default_rng(length)
    numbers = random_scalars(rng, length)
    numbers[length // 2] = numbers[-1] = 0
    vec = Vec.from_scalars(numbers)
    inverse = values(vec.inverse())
    assert all(v * w % R == (1 if v else 0) for v, w in zip(numbers, inverse, strict=True))
    x, acc = 12345678901234567890, 0
    for v in reversed(numbers):
        acc = (acc * x + v) % R
    assert vec.evaluate(x) == acc
    assert values(Vec.powers(7, length, 3)) == [3 * pow(7, i, R) % R for i in range(length)]
    assert vec.nonzero().tolist() == [i for i, v in enumerate(numbers) if v]
    assert values(vec.add(vec)) == [2 * v % R for v in numbers]


@pytest.mark.parametrize("dtype", INT_TYPES)
def test_from_ints(dtype: type) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(1)
    ints = rng.integers(info.min, info.max, 3000, dtype=dtype, endpoint=True)
    ints[:5] = [info.min, info.max, 0, 1, -1]
    assert values(Vec.from_ints(ints)) == [int(v) % R for v in ints]
    assert values(Vec.from_ints(ints[:0])) == []
    assert values(Vec.from_ints(ints[1:2])) == [info.max]


@given(st.binary(min_size=0, max_size=5).map(lambda b: b * 64))
def test_from_wide_bytes(data: bytes) -> None:
    expected = [int.from_bytes(data[i : i + 64], "big") % R for i in range(0, len(data), 64)]
    assert values(Vec.from_wide_bytes(data)) == expected


def test_from_wide_bytes_extremes() -> None:
    wide = [
        b"\xff" * 64,
        b"\0" * 64,
        R.to_bytes(64, "big"),
        (R << 256).to_bytes(64, "big"),
        (R * R).to_bytes(64, "big"),
    ]
    assert values(Vec.from_wide_bytes(b"".join(wide))) == [int.from_bytes(w, "big") % R for w in wide]


def test_reshaping() -> None:
    numbers = list(range(10))
    vec = Vec.from_scalars(numbers)
    assert values(vec.slice(2, 5)) == [2, 3, 4]
    assert values(vec.slice(5, 5)) == []
    assert values(vec.padded(12)) == [*numbers, 0, 0]
    assert values(vec.take(np.array([9, 0, 0, 3]))) == [9, 0, 0, 3]
    other = vec.copy()
    other.write_(3, Vec.from_scalars([R - 1, R - 2]))
    assert values(other) == [0, 1, 2, R - 1, R - 2, 5, 6, 7, 8, 9]
    assert values(vec) == numbers, "a copy is its own"
    other.write_(0, other)
    assert len(other) == 10
    assert vec[-1] == 9
    assert [vec[i] for i in range(10)] == numbers
    assert values(Vec.zeros(3)) == [0, 0, 0]


@given(vectors, scalars, st.data())
def test_add_scaled(numbers: list[int], factor: int, data: st.DataObject) -> None:
    other = data.draw(st.lists(scalars, max_size=len(numbers)))
    vec = Vec.from_scalars(numbers)
    vec.add_scaled_(factor, Vec.from_scalars(other))
    padded = other + [0] * (len(numbers) - len(other))
    assert values(vec) == [(a + factor * b) % R for a, b in zip(numbers, padded, strict=True)]


def test_add_scaled_to_itself() -> None:
    vec = Vec.from_scalars([1, 2, R - 1])
    vec.add_scaled_(R - 1, vec)
    assert values(vec) == [0, 0, 0]


@given(vectors, scalars)
def test_divide_by_root(numbers: list[int], root: int) -> None:
    vec = Vec.from_scalars(numbers)
    quotient, value = vec.divide_by_root(root), vec.evaluate(root)
    assert len(quotient) == len(numbers)
    x = 987654321
    assert (quotient.evaluate(x) * (x - root) + value) % R == vec.evaluate(x)
    if numbers:
        assert quotient[-1] == 0


@given(st.lists(st.tuples(scalars, vectors), max_size=5))
def test_linear_combination(terms: list[tuple[int, list[int]]]) -> None:
    result = _native.linear_combination([Vec.from_scalars(v) for _, v in terms], [f for f, _ in terms])
    expected = [0] * max((len(v) for _, v in terms), default=0)
    for factor, numbers in terms:
        for i, v in enumerate(numbers):
            expected[i] = (expected[i] + factor * v) % R
    assert values(result) == expected


def test_sums_of_many_extreme_products() -> None:
    """More terms than a sum takes before it is reduced, of lengths that end anywhere in a chunk."""
    lengths = [0, 1, 7, 8, 1023, 1024, 1025, 1500, *[2000] * 192]
    vectors, factor = [Vec.from_ints(np.full(length, -1)) for length in lengths], R - 1
    result = _native.linear_combination(vectors, [factor] * len(vectors))
    assert values(result) == [sum(length > i for length in lengths) for i in range(2000)]
    x = random_scalars(np.random.default_rng(3), 1)[0]
    powers = [pow(x, i, R) for i in range(2000)]
    assert _native.evaluate_many(vectors, x) == [-sum(powers[:length]) % R for length in lengths]
    assert _native.evaluate_many(vectors, 1) == [-length % R for length in lengths]
    assert _native.evaluate_many([], x) == []
    points = [x * pow(_native.omega(3), i, R) % R for i in range(8)]
    eight = _native.evaluate_at_eight(vectors, x)
    assert [values(each) for each in eight] == [[vector.evaluate(at) for at in points] for vector in vectors]
    assert _native.evaluate_at_eight([], x) == []


@pytest.mark.parametrize("kind", INT_TYPES)
@pytest.mark.parametrize("rows", [0, 1, 15, 17])
def test_sums_of_rows(kind: type[np.signedinteger], rows: int) -> None:
    rng, info = np.random.default_rng(rows), np.iinfo(kind)
    factors = [*EDGES, *random_scalars(rng, 30)]
    integers = rng.integers(info.min, info.max, (rows, len(factors)), dtype=kind, endpoint=True)
    integers[: rows // 3] = info.min
    expected = [sum(f * int(v) for f, v in zip(factors, row, strict=True)) % R for row in integers]
    assert values(_native.row_sums(integers.reshape(-1), Vec.from_scalars(factors))) == expected


@pytest.mark.parametrize("rows", [0, 1, 17, 3000])
def test_weighted_sums_of_columns(rows: int) -> None:
    rng = np.random.default_rng(rows)
    weights = (EDGES + random_scalars(rng, rows))[:rows]
    infos = [np.iinfo(kind) for kind in INT_TYPES]
    columns = [rng.integers(i.min, i.max, rows, dtype=i.dtype, endpoint=True) for i in infos]
    columns += [np.full(rows, end, i.dtype) for i in infos for end in (i.min, i.max)]
    expected = [sum(w * int(v) for w, v in zip(weights, column, strict=True)) % R for column in columns]
    assert _native.weighted_sums(columns, Vec.from_scalars(weights)) == expected
    with pytest.raises(ValueError, match="weights for a column"):
        _native.weighted_sums([*columns, np.zeros(rows + 1, np.int8)], Vec.from_scalars(weights))


@pytest.mark.parametrize("kind", INT_TYPES)
@pytest.mark.parametrize("count", [0, 1, 7, 17])
def test_sums_of_gathered_integers(kind: type[np.signedinteger], count: int) -> None:
    """What an index behind a channel's integers names is zero, not the next channel's."""
    rng, info, channels, taps, size = np.random.default_rng(count), np.iinfo(kind), 5, 3, 11
    integers = rng.integers(info.min, info.max, (channels, size), dtype=kind, endpoint=True)
    integers[0] = info.min
    index = rng.integers(0, size + 2, (taps, count))
    factors = (EDGES * 3 + random_scalars(rng, channels * taps))[: channels * taps]
    padded = np.pad(integers, ((0, 0), (0, 2)))
    expected = [
        sum(factors[c * taps + t] * int(padded[c, index[t, p]]) for c in range(channels) for t in range(taps)) % R
        for p in range(count)
    ]
    found = _native.gathered_sums(integers.reshape(-1), channels, Vec.from_scalars(factors), index.reshape(-1))
    assert values(found) == expected


@pytest.mark.parametrize("extreme", [np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_sums_of_integers_do_not_overflow(extreme: int) -> None:
    column, factors = np.full(1000, extreme, dtype=np.int64), Vec.from_scalars([R - 1] * 1000)
    expected = [1000 * (R - 1) * extreme % R]
    assert values(_native.row_sums(column, factors)) == expected
    assert values(_native.gathered_sums(column, 1000, factors, np.zeros(1, np.int64))) == expected


@given(scalars, st.lists(st.tuples(scalars, scalars), max_size=20))
@settings(max_examples=50)
def test_affine_scan(first: int, steps: list[tuple[int, int]]) -> None:
    expected = [first]
    for factor, term in steps:
        expected.append((factor * expected[-1] + term) % R)
    factors, terms = Vec.from_scalars([f for f, _ in steps]), Vec.from_scalars([t for _, t in steps])
    assert values(_native.affine_scan(first, factors, terms)) == expected


def test_numpy_and_large_scalars_are_integers() -> None:
    assert Vec.from_scalars([np.int64(5), True, R - 1])[0] == 5


@pytest.mark.parametrize("bad", [-1, R, R + 1, 2**256, -(2**70)])
def test_scalars_out_of_range_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="not in"):
        Vec.from_scalars([0, bad])
    with pytest.raises(ValueError, match="not in"):
        Vec.zeros(1).scale(bad)


def test_bad_arguments_are_value_errors() -> None:
    vec = Vec.from_scalars([1, 2, 3])
    good = (R - 1).to_bytes(32, "big")
    with pytest.raises(ValueError, match="scalar 2 is not below r"):
        Vec.from_bytes(good * 2 + R.to_bytes(32, "big") + b"\xff" * 32)
    with pytest.raises(ValueError, match="whole number"):
        Vec.from_bytes(b"\0" * 33)
    with pytest.raises(ValueError, match="whole number"):
        Vec.from_wide_bytes(b"\0" * 32)
    with pytest.raises(ValueError, match="lengths 3 and 2"):
        vec.add(Vec.zeros(2))
    with pytest.raises(ValueError, match="slice"):
        vec.slice(1, 4)
    with pytest.raises(ValueError, match="slice"):
        vec.slice(2, 1)
    with pytest.raises(ValueError, match="fit"):
        vec.write_(2, Vec.zeros(2))
    with pytest.raises(ValueError, match="padded"):
        vec.padded(2)
    with pytest.raises(ValueError, match="length"):
        vec.add_scaled_(1, Vec.zeros(4))
    for index in (3, -1, np.iinfo(np.int64).min):
        with pytest.raises(ValueError, match="out of range"):
            vec.take(np.array([0, index]))
    with pytest.raises(IndexError):
        vec[3]
    with pytest.raises(ValueError, match="factors"):
        _native.linear_combination([vec], [])
    ints, index = np.zeros(6, np.int8), np.zeros(3, np.int64)
    for powers in (Vec.zeros(0), Vec.zeros(4)):
        with pytest.raises(ValueError, match="parts"):
            _native.row_sums(ints, powers)
    for channels, factors in ((0, 3), (4, 4), (2, 3), (2, 0), (2, 4)):
        with pytest.raises(ValueError, match="parts"):
            _native.gathered_sums(ints, channels, Vec.zeros(factors), index)
    with pytest.raises(ValueError, match="out of range"):
        _native.gathered_sums(ints, 3, vec, index - 1)
    with pytest.raises(ValueError, match="terms"):
        _native.affine_scan(0, vec, Vec.zeros(2))


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2), np.int64), np.zeros(8, np.int64)[::2], np.zeros(3, np.float64), np.zeros(3, np.uint64)]
)
def test_arrays_of_the_wrong_shape_or_type_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="integer array"):
        Vec.from_ints(array)
