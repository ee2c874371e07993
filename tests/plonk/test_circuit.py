"""What circuits and keygen refuse, each by a circuit that differs from an accepted one in one thing."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import pytest

from plonnx.kzg.srs import SRS
from plonnx.plonk.circuit import Circuit, CircuitError
from plonnx.plonk.expression import ACTIVE, FIRST, LAST, Column, X
from plonnx.plonk.keygen import keygen
from plonnx.plonk.keys import PublicTensor, Run
from plonnx.plonk.mock import MockProver
from plonnx.plonk.structure import blinding_rows
from plonnx.plonk.tally import Tally

RUN = Run(0, 1, 1, 1, 0, 0)


def small(k: int = 4) -> tuple[Circuit, Column, Column]:
    """Accepted: a fixed and an advice column, equal on the active rows."""
    circuit = Circuit(k, name="small")
    fixed, advice = circuit.fixed("f", np.arange(5)), circuit.advice("a")
    circuit.gate("equal", advice() - fixed())
    return circuit, fixed, advice


def accept(circuit: Circuit) -> None:
    keygen(circuit, SRS.development(circuit.k, tau=5))


def test_the_circuit_without_the_fault_is_accepted() -> None:
    accept(small()[0])


def _rotation(rotation: int) -> Callable[[Circuit, Column, Column], None]:
    return lambda c, f, a: c.gate("turned", a(rotation) - f())


def _selected(selector: object) -> Callable[[Circuit, Column, Column], None]:
    return lambda c, f, a: c.gate("ends", a(1), selector)


def _unused(c: Circuit, f: Column, a: Column) -> None:
    c.advice("forgotten")


def _undefined(c: Circuit, f: Column, a: Column) -> None:
    c.gate("late", c.advice("late", 1)())


def _early_challenge(c: Circuit, f: Column, a: Column) -> None:
    c.recurrence("early", 1, 0, 0, c.challenge("late", after=1) * a())


def _early_in_a_ratio(c: Circuit, f: Column, a: Column) -> None:
    c.ratio("early", 1, a(), c.challenge("late", after=2) + a())


def _instance_in_a_definition(c: Circuit, f: Column, a: Column) -> None:
    c.recurrence("early", 1, 0, 0, c.instance("total", [RUN]) * a())


def _circular(c: Circuit, f: Column, a: Column) -> None:
    own = Column("advice", 1, "own")
    c.ratio("own", 1, a(), own() + c.challenge("beta"))


def _long_fixed(c: Circuit, f: Column, a: Column) -> None:
    c.gate("long", a() * c.fixed("long", np.ones(14, np.int64))())


def _copy_of_the_last_row(c: Circuit, f: Column, a: Column) -> None:
    last = c.n - blinding_rows(c)
    c.copy(a, np.array([0]), a, np.array([last]))


def _copy_of_row_minus_one(c: Circuit, f: Column, a: Column) -> None:
    c.copy(a, np.array([-1]), a, np.array([0]))


def _copy_of_fixed(c: Circuit, f: Column, a: Column) -> None:
    c.copy(f, np.array([0]), a, np.array([1]))


def _copy_of_phase_one(c: Circuit, f: Column, a: Column) -> None:
    c.copy(c.recurrence("r", 1, 0, 1, 0), np.array([0]), a, np.array([1]))


def _lookup_of_a_free_column(c: Circuit, f: Column, a: Column) -> None:
    table = c.table("t", [f()])
    c.lookup("late", table, [c.free("r", 1)()])


def _table_of_a_free_column(c: Circuit, f: Column, a: Column) -> None:
    c.advice("multiplicities of t, part 0")
    c.table("t", [c.free("r", 1)()], sums=True)


def _table_of_sums_and_cells(c: Circuit, f: Column, a: Column) -> None:
    c.advice("multiplicities of t, part 0")
    c.table("t", [a()], sums=True)


def _late_multiplicities(c: Circuit, f: Column, a: Column) -> None:
    c.free("multiplicities of t, part 0", 1)
    c.table("t", [f()], sums=True)


def _advice_numerator(c: Circuit, f: Column, a: Column) -> None:
    c.lookup("switch", c.table("t", [f()]), [a()], numerator=a())


def _selector_numerator(c: Circuit, f: Column, a: Column) -> None:
    c.lookup("switch", c.table("t", [f()]), [a()], numerator=X)


def _advice_table(c: Circuit, f: Column, a: Column) -> None:
    c.table("t", [f()], [a()])


def _wrong_width(c: Circuit, f: Column, a: Column) -> None:
    c.lookup("pair", c.table("t", [f()]), [a(), a()])


def _numerator_of(values: list[int], palette: tuple[int, ...] = ()) -> Callable[[Circuit, Column, Column], None]:
    def fault(c: Circuit, f: Column, a: Column) -> None:
        switch = c.fixed("switch", np.array(values), palette)
        c.lookup("switch", c.table("t", [f()]), [a()], numerator=switch())

    return fault


def _ratio_over(denominator: Callable[[Circuit, Column], object]) -> Callable[[Circuit, Column, Column], None]:
    return lambda c, f, a: c.gate("h", c.ratio("free", 1, a(), denominator(c, a))())


def _untied_byte(c: Circuit, f: Column, a: Column) -> None:
    c.challenge("chi")
    c.sum("total", a(), c.instance("total", [RUN]))
    c.public_bytes = 2


def _byte_twice(c: Circuit, f: Column, a: Column) -> None:
    c.challenge("chi")
    c.sum("total", a(), c.instance("total", [Run(0, 2, 1, 1, 0, 0), Run(1, 1, 1, 1, 2, 0)]))
    c.public_bytes = 2


def _instance_beyond(c: Circuit, f: Column, a: Column) -> None:
    c.challenge("chi")
    c.sum("total", a(), c.instance("total", [Run(1, 2, 1, 1, 0, 0)]))
    c.public_bytes = 2


def _instance_in_no_gate(c: Circuit, f: Column, a: Column) -> None:
    c.challenge("chi")
    c.instance("total", [RUN])
    c.public_bytes = 1


def _hidden_in_a_gate(c: Circuit, f: Column, a: Column) -> None:
    c.gate("bare", c.hidden_fixed("h", np.arange(3), 4)() * a())


def _hidden_table(c: Circuit, f: Column, a: Column) -> None:
    c.lookup("bare", c.table("t", [c.hidden_fixed("h", np.arange(3), 4)()]), [a()])


def _half_hidden(c: Circuit, f: Column, a: Column) -> None:
    h = c.hidden_fixed("h", np.arange(3), 4)
    c.gate("half", c.combination("half", [(h, ()), (f, ())])() * a())


def _hidden_and_unused(c: Circuit, f: Column, a: Column) -> None:
    c.hidden_fixed("h", np.arange(3), 3)


def _phases_backwards(c: Circuit, f: Column, a: Column) -> None:
    c.recurrence("r", 1, 0, 1, 0)
    c.advice("b", 0)


def _challenge_of_two_phases(c: Circuit, f: Column, a: Column) -> None:
    c.challenge("chi")
    c.challenge("chi", after=1)


def _instance_called_like_a_challenge(c: Circuit, f: Column, a: Column) -> None:
    c.challenge("chi")
    c.instance("chi", [RUN])


def _challenge_called_like_an_instance(c: Circuit, f: Column, a: Column) -> None:
    c.instance("total", [RUN])
    c.challenge("total")


def _two_instances_of_one_name(c: Circuit, f: Column, a: Column) -> None:
    c.instance("total", [RUN])
    c.instance("total", [RUN])


def _challenge_called_y(c: Circuit, f: Column, a: Column) -> None:
    c.challenge("y")


REFUSED: list[tuple[Callable[[Circuit, Column, Column], None], str]] = [
    (_rotation(2), r"gate turned: rotation \+2 leaves the active rows"),
    (_rotation(-1), r"gate turned: rotation -1 leaves the active rows"),
    (_selected(LAST), "gate ends: a rotation needs the selector active"),
    (_selected(FIRST), "gate ends: a rotation needs the selector active"),
    (_selected(None), "gate ends: a rotation needs the selector active"),
    (_unused, "advice column forgotten is in no gate"),
    (_undefined, "advice column late of phase 1 has no definition"),
    (_early_challenge, "column early of phase 1 uses late, known only after it"),
    (_early_in_a_ratio, "column early of phase 1 uses late, known only after it"),
    (_instance_in_a_definition, "column early of phase 1 uses total, known only after it"),
    (_circular, "column own is defined through itself"),
    (_long_fixed, "fixed column long has 14 rows; k = 4 has 13 active ones"),
    (_copy_of_the_last_row, "column a: a copied cell lies beyond the active rows"),
    (_copy_of_row_minus_one, r"a copy of a to a names row -1"),
    (_copy_of_fixed, "copy of f: only advice of phase 0 on its own row can be copied"),
    (_copy_of_phase_one, "copy of r: only advice of phase 0 on its own row can be copied"),
    (_lookup_of_a_free_column, "lookup late: what is chosen after phase 0 is not looked up"),
    (_table_of_a_free_column, "table t: its entries must be fixed columns, or sums"),
    (_table_of_sums_and_cells, "table t: its entries must be fixed columns, or sums"),
    (_late_multiplicities, "multiplicities of t, part 0 must stand in phase 0"),
    (_advice_numerator, "lookup switch: its numerator must be a fixed column"),
    (_selector_numerator, "lookup switch: its numerator must be a fixed column"),
    (_numerator_of([0, 1, 2]), "lookup switch: its numerator must be 1 or a fixed column of zeros and ones"),
    (_numerator_of([-1]), "lookup switch: its numerator must be 1 or a fixed column of zeros and ones"),
    (_numerator_of([0, 1], (0, 5)), "lookup switch: its numerator must be 1 or a fixed column of zeros and ones"),
    (_ratio_over(lambda c, a: a() + 1), "ratio free: its denominator holds no challenge"),
    (lambda c, f, a: c.product("free", 1, (a(), a() + 1)), "product free: its denominator holds no challenge"),
    (_ratio_over(lambda c, a: a() * c.challenge("z")), "ratio free: its denominator holds no challenge"),
    (_ratio_over(lambda c, a: (a() - 1) * (a() + c.challenge("z"))), "ratio free: its denominator holds no challenge"),
    (_ratio_over(lambda c, a: c.challenge("z") * (1 - a()) ** 2), "ratio free: its denominator holds no challenge"),
    (_untied_byte, "public byte 1 is in no instance column"),
    (_byte_twice, "instance column total holds a public byte that is in another run, too"),
    (_instance_beyond, "instance column total reads beyond the 2 public bytes"),
    (_instance_in_no_gate, "instance column total is in no gate"),
    (_hidden_in_a_gate, "gate bare: hidden column h needs a combination"),
    (_hidden_table, "hidden column h needs a combination"),
    (_half_hidden, "combination half mixes hidden and shown columns"),
    (_hidden_and_unused, "hidden column h is in no combination"),
    (_advice_table, "table t: its entries must be fixed columns"),
    (_wrong_width, "lookup pair: 2 inputs for table t of 1 columns"),
    (_phases_backwards, "advice column b: columns are declared phase by phase"),
    (_challenge_of_two_phases, "challenge chi is drawn after phase 0, not 1"),
    (_instance_called_like_a_challenge, "the name chi is taken"),
    (_challenge_called_like_an_instance, "the name total is taken"),
    (_two_instances_of_one_name, "the name total is taken"),
    (_challenge_called_y, "the name y is taken"),
]


@pytest.mark.parametrize(("fault", "message"), REFUSED, ids=lambda x: getattr(x, "__name__", ""))
def test_refused(fault: Callable[[Circuit, Column, Column], None], message: str) -> None:
    circuit, fixed, advice = small()
    with pytest.raises(CircuitError, match=message):
        fault(circuit, fixed, advice)
        accept(circuit)


@pytest.mark.parametrize(
    "denominator",
    [lambda c, a: c.challenge("z") + a(), lambda c, a: 2, lambda c, a: (c.challenge("z") * a() + 1) * c.challenge("z")],
)
def test_denominators_that_are_accepted(denominator: Callable[[Circuit, Column], object]) -> None:
    """As polynomials in the challenges they are not zero, whatever the columns hold."""
    circuit, fixed, advice = small()
    _ratio_over(denominator)(circuit, fixed, advice)
    accept(circuit)


def test_too_few_rows() -> None:
    with pytest.raises(CircuitError, match="k = 1 leaves no active rows"):
        accept(small(1)[0])


def test_an_srs_that_is_too_small() -> None:
    with pytest.raises(ValueError, match=r"holds 8 powers; this circuit needs 16: give a larger one as srs"):
        keygen(small()[0], SRS.development(3, tau=5))


def test_blinding_rows_follow_the_openings() -> None:
    """At zeta alone: what a commitment, an evaluation and the quotient tell. At omega zeta, too: one more, and row u
    stays. Where no column is at zeta alone, none hides what the quotient tells: one more again."""
    circuit, _, advice = small()
    assert blinding_rows(circuit) == 3
    circuit.gate("steps", advice(1) - advice())
    assert blinding_rows(circuit) == 6
    other = circuit.advice("other")
    circuit.gate("stays", other() - other() ** 2)
    assert blinding_rows(circuit) == 5
    circuit.gate("again", advice(1) * other(), ACTIVE)
    assert blinding_rows(circuit) == 5


def test_a_challenge_asked_for_twice_is_one() -> None:
    circuit = Circuit(4)
    assert circuit.challenge("chi") == circuit.challenge("chi")
    assert [scalar.name for scalar in circuit.challenges[0]] == ["chi"]


def test_two_circuits_at_once_do_not_mix_their_columns() -> None:
    """The first circuit's keys do not change when another circuit with like-named columns is written."""
    srs = SRS.development(4, tau=5)
    alone = keygen(small()[0], srs).vk.digest
    first = small()[0]
    other = Circuit(4)
    other.advice("x")
    other.advice("f")
    moved = other.advice("a")
    other.gate("moved", moved() - moved(1))
    assert keygen(first, srs).vk.digest == alone


LATE: list[Callable[[Circuit, Column, Column], object]] = [
    lambda c, f, a: c.fixed("late", np.arange(2)),
    lambda c, f, a: c.hidden_fixed("late", np.arange(2), 4),
    lambda c, f, a: c.advice("late"),
    lambda c, f, a: c.free("late", 1),
    lambda c, f, a: c.challenge("late"),
    lambda c, f, a: c.combination("late", [(f, ())]),
    lambda c, f, a: c.instance("late", [RUN]),
    lambda c, f, a: c.gate("late", a()),
    lambda c, f, a: c.ratio("late", 1, a(), 2),
    lambda c, f, a: c.recurrence("late", 1, 0, 1, 0),
    lambda c, f, a: c.table("late", [f()]),
    lambda c, f, a: c.lookup("late", c.tables[0], [a()]),
    lambda c, f, a: c.copy(a, np.array([0]), a, np.array([1])),
    lambda c, f, a: c.sum("late", a()),
    lambda c, f, a: setattr(c, "tensors", (PublicTensor("late", "output", (1,), 0, 0, 1, 0, 1),)),
    lambda c, f, a: setattr(c, "public_bytes", 1),
    lambda c, f, a: setattr(c, "active_rows", 3),
    lambda c, f, a: setattr(c, "packing", 2),
    lambda c, f, a: setattr(c, "finished", False),
]


@pytest.mark.parametrize("number", range(len(LATE)))
@pytest.mark.parametrize("finishing", ["mock", "keygen"])
def test_a_finished_circuit_takes_no_declaration(number: int, finishing: str) -> None:
    """A lookup declared after a mock was in no key: a false proof was accepted."""
    circuit, fixed, advice = small()
    circuit.lookup("early", circuit.table("t", [fixed()]), [advice()])
    if finishing == "mock":
        MockProver(circuit)
    else:
        accept(circuit)
    before = dict(vars(circuit))
    with pytest.raises(CircuitError, match=r"circuit small is finished|phase by phase"):
        LATE[number](circuit, fixed, advice)
    assert vars(circuit) == before


def test_what_is_declared_cannot_be_changed_behind_a_circuit() -> None:
    circuit, _, advice = small()
    rows = np.array([0])
    circuit.copy(advice, rows, advice, rows + 1)
    for held in vars(circuit).values():
        assert isinstance(held, int | str | tuple | frozenset | MappingProxyType | None)
    for values in (circuit.fixed_columns[0].values, circuit.copies[0][1], circuit.copies[0][3]):
        assert isinstance(values, np.ndarray)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1
    rows[0] = 0  # the caller's own array stays the caller's


def test_finishing_that_fails_leaves_the_circuit_as_it_was() -> None:
    """The arguments' columns are added all or none: what is mended then gets them once."""
    circuit, fixed, advice = small()
    circuit.lookup("fine", circuit.table("t", [fixed()]), [advice()])
    before = dict(vars(circuit))
    circuit.copies += ((fixed(), np.array([0]), advice(), np.array([1])),)
    with pytest.raises(CircuitError, match="only advice of phase 0"):
        circuit.finish()
    circuit.copies = ()
    assert vars(circuit) == before
    circuit.finish()
    assert sum(name.startswith("lookup helper") for name in circuit.advice_names) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.array([1, 2, 0, 0]), np.array([1, 2], np.int8), True),
        (np.array([0, 300, 0]), np.array([0, 300]), True),
        (np.array([1, 9, 2, 9])[::2], np.array([1, 2]), True),
        (np.zeros(3, np.int64), np.zeros(0, np.int8), True),
        (np.array([0, 1]), np.array([1]), False),
        (np.array([256]), np.array([1, 1], np.int8), False),
        (np.array([300]), np.array([300, 1]), False),
        (np.array([1, 0, 1, 0, 0, 0, 0, 0, 0]), np.array([1, 0, 1], np.int8), True),
        (np.array([1, 0, 0, 0, 0, 0, 0, 0, 1]), np.array([1], np.int8), False),
        (np.array([-128]), np.array([1]), False),
        (np.array([-128], np.int8), np.array([-128, 0]), True),
    ],
)
def test_a_shared_column_is_told_by_its_values(one: np.ndarray, other: np.ndarray, same: bool) -> None:
    for circuit in (Circuit(4), Tally(4)):
        assert (circuit.shared_fixed("one", one) == circuit.shared_fixed("other", other)) == same


@pytest.mark.parametrize("value", [1, -1, 3, 300])
def test_marks_are_the_column_that_they_make(value: int) -> None:
    rows = np.array([0, 2, 9])
    column = np.zeros(12, np.int64)
    column[rows] = value
    for circuit in (Circuit(4), Tally(4)):
        made = circuit.shared_marks("marks", rows, value)
        assert made == circuit.shared_fixed("column", column)
        assert made != circuit.shared_marks("others", rows, value + 1)
        assert made != circuit.shared_marks("fewer", rows[1:], value)
