"""Straight-line programs against the same program over Python integers."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plonnx._native import Program, Vec

R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


@dataclass
class Case:
    n: int
    columns: list[list[int]]
    queries: list[tuple[int, int]]
    constants: list[int]
    scalars: list[int]
    ops: list[tuple[int, int, int]]
    outputs: list[int]

    def expected(self) -> list[list[int]]:
        result = []
        for row in range(self.n):
            known = [self.columns[c][(row + r) % self.n] for c, r in self.queries] + self.constants + self.scalars
            for code, left, right in self.ops:
                a, b = known[left], known[right]
                known.append((a + b, a - b, a * b)[code] % R)
            result.append([known[v] for v in self.outputs])
        return [[row[i] for row in result] for i in range(len(self.outputs))]

    def run(self) -> list[list[int]]:
        program = Program(self.queries, self.constants, len(self.scalars), self.ops, self.outputs)
        columns = [Vec.from_scalars(column) for column in self.columns]
        outputs = program.run(columns, self.scalars)
        return [[output[row] for row in range(self.n)] for output in outputs]


def random_case(seed: int, n: int, op_count: int) -> Case:
    rng = np.random.default_rng(seed)

    def scalars(count: int) -> list[int]:
        return [int.from_bytes(rng.bytes(48), "big") % R for _ in range(count)]

    columns = [scalars(n) for _ in range(3)]
    queries = [(int(rng.integers(3)), int(rng.integers(-n - 2, n + 3))) for _ in range(int(rng.integers(1, 5)))]
    constants, run_scalars = [0, 1, R - 1, *scalars(1)], scalars(int(rng.integers(0, 3)))
    inputs = len(queries) + len(constants) + len(run_scalars)
    ops = [
        (int(rng.integers(3)), int(rng.integers(inputs + i)), int(rng.integers(inputs + i))) for i in range(op_count)
    ]
    outputs = [int(v) for v in rng.integers(inputs + op_count, size=int(rng.integers(1, 5)))]
    return Case(n, columns, queries, constants, run_scalars, ops, outputs)


@pytest.mark.parametrize("n", [1, 8, 77, 300])
def test_integers_are_read_as_they_are(n: int) -> None:
    """Beside field elements, at every width, and behind the last row from the first."""
    rng = np.random.default_rng(n)
    kinds = (np.int8, np.int16, np.int32, np.int64)
    infos = [np.iinfo(kind) for kind in kinds]
    integers = [rng.integers(i.min, i.max, n, dtype=i.dtype, endpoint=True) for i in infos]
    for column, info in zip(integers, infos, strict=True):
        column[: n // 3] = info.min
        column[n // 2 : n // 2 + 3] = 0
    field = [int.from_bytes(rng.bytes(48), "big") % R for _ in range(n)]
    columns = [*([int(v) % R for v in column] for column in integers), field]
    queries = [(c, r) for c in range(5) for r in (0, 1, -2)]
    ops = [(2, 0, 3), (2, 15, 6), (1, 16, 9), (0, 17, 12), (1, 4, 7), (2, 10, 13), (0, 2, 5)]
    outputs = [*range(15, 22), *range(15)]
    case = Case(n, columns, queries, [], [], ops, outputs)
    program = Program(queries, [], 0, ops, outputs)
    made = program.run([*integers, Vec.from_scalars(field)], [])
    assert [[output[row] for row in range(n)] for output in made] == case.expected()
    with pytest.raises(ValueError, match="lengths"):
        program.run([*integers, Vec.zeros(n + 1)], [])


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 8, 13, 64, 77]), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_random_programs(seed: int, n: int, op_count: int) -> None:
    case = random_case(seed, n, op_count)
    assert case.run() == case.expected()


@pytest.mark.parametrize("n", [255, 256, 257, 600, 1024])
def test_programs_across_chunks(n: int) -> None:
    case = random_case(n, n, 60)
    assert case.run() == case.expected()


@pytest.mark.parametrize("code", [0, 1, 2])
@pytest.mark.parametrize("value", [0, 1, R - 1])
def test_long_chains_outgrow_nothing(code: int, value: int) -> None:
    """Values are not reduced after every op: sums, differences and products of many extreme ones, in both orders."""
    ops = [(code, 0, 1), *((code, *((5 + i, 1) if i % 2 else (0, 5 + i))) for i in range(200))]
    case = Case(64, [[value] * 64, [R - 1] * 64], [(0, 0), (1, 0)], [R - 1, value], [1], ops, [5, 100, 205])
    assert case.run() == case.expected()
    doubled = [(code, 0, 2), *((code, 5 + i, 5 + i) for i in range(40)), (2, 45, 45)]
    case = Case(64, [[value] * 64, [R - 1] * 64], [(0, 0), (1, 0)], [R - 1, value], [1], doubled, [5, 30, 46])
    assert case.run() == case.expected()


def test_the_largest_product_is_settled_first() -> None:
    """Twice a query and three times a constant have the bound 35 r; with all of them near theirs, the square outgrows
    2^260."""
    constant = -pow(2**260, -1, R) % R
    column = [(-1 - row) * pow(2**256, -1, R) % R for row in range(64)]
    ops = [(0, 0, 0), (0, 2, 1), (0, 3, 1), (0, 4, 1), (2, 5, 5)]
    case = Case(64, [column], [(0, 0)], [constant], [], ops, [6])
    assert case.run() == case.expected()


def test_one_value_many_outputs_and_dead_operations() -> None:
    case = Case(
        4, [[1, 2, 3, 4]], [(0, 0), (0, -1)], [5], [6], [(0, 2, 3), (2, 0, 1), (2, 4, 4), (1, 5, 4)], [7, 7, 0, 4, 3]
    )
    assert case.run() == case.expected()


def test_what_queries_read_may_be_given() -> None:
    """One vector each, and no rotation."""
    program = Program([(0, 0), (1, -1), (0, 1)], [3], 1, [(2, 0, 1), (0, 5, 2), (1, 6, 4)], [7, 2])
    columns = [Vec.from_scalars(column) for column in ([1, 2, 3, 4], [9, 8, 7, 6])]
    read = [Vec.from_scalars(column) for column in ([1, 2, 3, 4], [6, 9, 8, 7], [2, 3, 4, 1])]
    found, expected = program.run_queried(read, [5]), program.run(columns, [5])
    assert [each.to_bytes() for each in found] == [each.to_bytes() for each in expected]


def test_no_outputs() -> None:
    assert Program([(0, 0)], [], 0, [(0, 0, 0)], []).run([Vec.zeros(4)], []) == []


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="op 0"):
        Program([(0, 0)], [], 0, [(0, 0, 1)], [1])
    with pytest.raises(ValueError, match="op code 3"):
        Program([(0, 0)], [], 0, [(3, 0, 0)], [1])
    with pytest.raises(ValueError, match="output 2"):
        Program([(0, 0)], [], 0, [(0, 0, 0)], [2])
    program = Program([(1, 0)], [], 1, [(0, 0, 1)], [2])
    with pytest.raises(ValueError, match="scalars"):
        program.run([Vec.zeros(2), Vec.zeros(2)], [])
    with pytest.raises(ValueError, match="columns"):
        program.run([Vec.zeros(2)], [1])
    with pytest.raises(ValueError, match="lengths"):
        program.run([Vec.zeros(2), Vec.zeros(3)], [1])
    with pytest.raises(ValueError, match="2 vectors for 1 queries"):
        program.run_queried([Vec.zeros(2), Vec.zeros(2)], [1])
    with pytest.raises(ValueError, match="scalars"):
        program.run_queried([Vec.zeros(2)], [])
    with pytest.raises(ValueError, match="lengths 2 and 3"):
        Program([(0, 0), (1, 0)], [], 0, [], [1]).run_queried([Vec.zeros(2), Vec.zeros(3)], [])
