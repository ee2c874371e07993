"""What the parts of a key must say together, whoever made it: plonk/key_files.py asks for it wherever one is read.

A key that passes is one that prover, verifier and contract can work with: every index lies in its list, every public
byte is some tensor's and in some instance column, everything that is opened is committed once. That its gates are those
of a model no check can see: whoever relies on a key makes it again, or has its maker's word.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from plonnx import _native
from plonnx._native import Points
from plonnx.kzg.curve import G2_BYTES
from plonnx.kzg.record import require
from plonnx.plonk.filling import parts
from plonnx.plonk.program import FEW, INVERSE_PSI, PSI, Slot

if TYPE_CHECKING:
    from plonnx.plonk.keys import FixedColumn, Level, ProvingKey, VerifyingKey

MOST_BLINDING = 8  # rows u .. n - 1
MOST_DRAWN = 255  # challenges of a phase: the j-th is numbered by a byte
MOST_PUBLIC = 1 << 32  # bytes
WORD_BYTES = 31
ORDER = ("advice", "fixed", "combination", "quotient")  # of what is opened


def check_verifying_key(vk: VerifyingKey) -> None:
    """Raise Malformed; `check_points` is for who verifies with the key, its points are nothing to the prover."""
    _check_phases(vk)
    _check_fixed(vk)
    _check_opened(vk)
    _check_hiding(vk)
    _check_public(vk)
    require(len(vk.program.outputs) == 1, "program has several outputs")


def check_points(vk: VerifyingKey) -> None:
    """Raise ValueError for a point off the curve or outside its subgroup, and for a tau that everybody knows."""
    Points.from_bytes(b"".join(vk.fixed_commitments), check=True)
    _native.g2_from_bytes(vk.tau_g2)
    weak = (bytes(G2_BYTES), _native.g2_generator())
    require(vk.tau_g2 not in weak, "tau_g2 is that of tau = 0 or 1")


def _check_phases(vk: VerifyingKey) -> None:
    require(vk.phases[0].first == 0, "phases do not start with column 0")
    require(all(a.stop == b.first for a, b in pairwise(vk.phases)), "phases leave columns out or share them")
    require(all(phase.first < phase.stop for phase in vk.phases), "phases: one has no column")
    require(all(len(phase.challenges) <= MOST_DRAWN for phase in vk.phases), "phases: one draws too many challenges")
    require(vk.phases[-1].challenges[-1:] == ("y",), "phases: the last challenge is not y")
    names = [name for phase in vk.phases for name in phase.challenges] + [column.name for column in vk.instances]
    require(len({*names, INVERSE_PSI}) == len(names) + 1, "two challenges or instance columns have one name")


def _drawn(vk: VerifyingKey, phases: int) -> set[str]:
    """The challenges of the first phases, and 1/psi with psi."""
    names = {name for phase in vk.phases[:phases] for name in phase.challenges}
    return names | ({INVERSE_PSI} if PSI in names else set())


def _check_fixed(vk: VerifyingKey) -> None:
    """Each fixed column stands behind one commitment; of a combination that is opened or masked, alone."""
    columns = sorted(column for members in vk.fixed_members for column in members)
    require(columns == list(range(len(columns))), "fixed_members leave a column out or name one twice")
    require(all(len(members) <= vk.packing for members in vk.fixed_members), "fixed_members: more than are packed")
    require(len(vk.fixed_members) == len(vk.fixed_commitments), "fixed_commitments are not as many as fixed_members")
    challenges = _drawn(vk, len(vk.phases))
    for combination in vk.combinations:
        require(all(column < len(columns) for column, _ in combination.terms), "combinations: a column is not there")
        for _, monomial in combination.terms:
            names = [name for name, _ in monomial]
            known = set(names) <= challenges and len(set(names)) == len(names)
            require(known, "combinations: a monomial's challenges are not there, or one is there twice")
    require(all(a < b for a, b in pairwise(vk.masked)), "masked is not in order")
    require(all(index < len(vk.combinations) for index in vk.masked), "masked: a combination is not there")
    alone = {members[0] for members in vk.fixed_members if len(members) == 1}
    opened = {o.members[0] for o in vk.opened if o.kind == "combination"}
    for index in opened.intersection(range(len(vk.combinations))):
        terms = vk.combinations[index].terms
        require(all(column in alone for column, _ in terms), "opened: a combination of packed columns")
    require(opened.issuperset(vk.masked), "masked: a combination is not opened")
    hidden = {column for index in vk.masked for column, _ in vk.combinations[index].terms}
    shown = {column for o in vk.opened if o.kind == "fixed" for column in o.members}
    shown |= {c for i in range(len(vk.combinations)) if i not in vk.masked for c, _ in vk.combinations[i].terms}
    require(not hidden & shown, "masked: a hidden column is shown elsewhere")
    require(len(vk.hidden_bits) == len(hidden), "hidden_bits are not one for each hidden column")


def _check_opened(vk: VerifyingKey) -> None:
    kinds = [ORDER.index(o.kind) for o in vk.opened]
    require(kinds == sorted(kinds), "opened is not in order")
    members = {kind: [member for o in vk.opened if o.kind == kind for member in o.members] for kind in ORDER}
    firsts = [o.members[0] for o in vk.opened if o.kind == "advice"]
    for phase in vk.phases:
        inside = [sorted(o.members) for o in vk.opened_in_phase(phase)]
        columns = sorted(column for held in inside for column in held)
        require(columns == list(range(phase.first, phase.stop)), "opened: the advice columns of a phase, each once")
        require(firsts[: len(inside)] == [o.members[0] for o in vk.opened_in_phase(phase)], "opened is not in order")
        del firsts[: len(inside)]
    require(not firsts, "opened: an advice column is not there")
    quotients = [o.members for o in vk.opened if o.kind == "quotient"]
    require(quotients == [tuple(range(vk.pieces))], "opened: the quotient, once, over its pieces in order")
    require(len(set(members["combination"])) == len(members["combination"]), "opened: a combination twice")
    require(all(index < len(vk.combinations) for index in members["combination"]), "opened: no such combination")
    require(len(set(members["fixed"])) == len(members["fixed"]), "opened: a fixed column twice")
    behind = set(vk.fixed_members)
    for o in vk.opened:
        packings = (vk.packing,) if o.kind == "advice" else (1, vk.packing) if o.kind == "fixed" else (1,)
        fits = len(o.members) <= o.packing or o.kind == "quotient"
        require(o.packing in packings and fits, f"opened: {o.kind} is packed otherwise")
        require(o.kind != "fixed" or o.members in behind, "opened: fixed columns that no commitment stands for")
        rotations = ((0,), (0, 1), (1,)) if o.kind == "advice" else ((0,),)
        require(o.rotations in rotations, f"opened: {o.kind} at these rotations")


def hiding_rows(queried: Iterable[Slot]) -> int:
    """n - u: what openings, commitments and the quotient see of a column is random (docs/protocol.md section 5).

    Of a column at zeta alone three values: there, in its commitment, in the quotient's. One queried at +1 has a value
    more, keeps its value in row u, and what the quotient shows of it is hidden by a column at zeta alone; where there
    is none, by one more row.
    """
    rotations: dict[int, set[int]] = {}
    for slot in queried:
        if slot.kind == "advice":
            rotations.setdefault(slot.index, {0}).add(slot.rotation)
    others = all(len(r) > 1 for r in rotations.values())
    return max((len(r) + 2 + (1 in r) for r in rotations.values()), default=3) + (others and bool(rotations))


def _check_hiding(vk: VerifyingKey) -> None:
    """Who proves with somebody else's key shows no more than with an own one."""
    least = hiding_rows(vk.program.slots)
    if any(1 in o.rotations for o in vk.opened if o.kind == "advice"):  # some are opened there that no gate queries
        least = max(least, hiding_rows((Slot("advice", 0, 0), Slot("advice", 1, 1))))
    require(least <= vk.n - vk.last_row <= MOST_BLINDING, f"last_row is not {least} to {MOST_BLINDING} below 2^k")


def _check_public(vk: VerifyingKey) -> None:
    """The tensors tile the public bytes, and so do the runs: what none holds is unchecked.

    What many hold would take a verifier many times as long as a proof is.
    """
    end = 0
    for tensor in vk.tensors:
        count = prod(tensor.shape)
        require(tensor.offset == end and count <= MOST_PUBLIC, "tensors do not lie one after another")
        limit = 1 << (8 * tensor.width - 1)
        require(-limit <= tensor.low <= tensor.high < limit, f"tensors: {tensor.name} goes beyond its width")
        end += count * tensor.width
    require(end == vk.public_bytes, "tensors do not fill the public bytes")
    named = [(tensor.role, tensor.name) for tensor in vk.tensors]
    require(len(set(named)) == len(named), "tensors: two of one name")
    drawn = {name for phase in vk.phases for name in phase.challenges}
    require(not vk.instances or "chi" in drawn, "instances: no challenge chi is drawn")
    runs = [run for column in vk.instances for run in column.runs]
    require(all(run.width * run.per_word <= WORD_BYTES for run in runs), "instances: a word of more than 31 bytes")
    spans = sorted((run.offset, run.offset + run.count * run.width) for run in runs)
    require(all(stop <= vk.public_bytes for _, stop in spans), "instances: a run beyond the public bytes")
    tied = 0
    for start, stop in spans:
        require(start <= tied, f"instances: public byte {tied} is in none")
        require(start == tied, f"instances: public byte {start} is in two")
        tied = stop
    require(tied == vk.public_bytes, f"instances: public byte {tied} is in none")


def check_proving_key(pk: ProvingKey) -> None:
    """Raise Malformed where the parts beside the verifying key do not fit it."""
    vk = pk.vk
    require(len(pk.fixed) == sum(map(len, vk.fixed_members)), "fixed columns are not as many as the verifying key's")
    hidden = {column for index in vk.masked for column, _ in vk.combinations[index].terms}
    for i, column in enumerate(pk.fixed):
        _check_fixed_column(vk, column, f"fixed column {i}", i in hidden)
    require(len(pk.levels) == len(vk.phases) - 1, "levels are not one list for each phase after the first")
    most = vk.pieces * vk.packing  # times n, what the quotient's pieces hold
    fits = all(gates.cosets + (gates.rest > 0) <= most for gates in pk.programs)
    require(fits, "programs: more cosets than fit the quotient's pieces")
    require(vk.n >= FEW or not any(gates.rest for gates in pk.programs), "programs: further points than rows")
    require(all(len(gates.program.outputs) == 1 for gates in pk.programs), "programs: one has several outputs")
    require(all(gates.program.slots for gates in pk.programs), "programs: one reads no column")
    for number, levels in enumerate(pk.levels, start=1):
        _check_levels(pk, number, levels)
    defined = sum(len(level.columns) for levels in pk.levels for level in levels)
    require(len(pk.chosen) == len(set(pk.chosen)) == vk.advice_count - defined, "chosen are not the other columns")


def _check_fixed_column(vk: VerifyingKey, column: FixedColumn, name: str, hidden: bool) -> None:
    require(len(column.values) <= (vk.n if column.labels else vk.last_row), f"{name} has more rows than there are")
    if column.labels:
        require(not column.palette and column.labels <= vk.advice_count, f"{name} has a palette beside its labels")
        rows, steps = column.runs.cells()
        cells = column.view * vk.n + rows + steps
        inside = bool(((cells >= 0) & (cells < column.labels * vk.n)).all())
        require(column.view < column.labels and inside, f"{name} has a label of no cell")
    elif column.palette:
        _, values = column.runs.cells()
        inside = bool(((values >= 0) & (values < len(column.palette))).all())
        require(inside, f"{name} names a value that its palette lacks")
    require(len(column.blinding) == (64 * (vk.n - vk.last_row) if hidden else 0), f"{name} has other random rows")
    require(not hidden or column.is_integer, f"{name} is hidden, and no integers")


def _check_levels(pk: ProvingKey, number: int, levels: tuple[Level, ...]) -> None:
    """A level reads the columns of earlier phases and levels, or free ones, and the challenges drawn before."""
    vk = pk.vk
    phase = vk.phases[number]
    drawn = _drawn(vk, number)
    waiting = [index for level in levels for index, _, _ in level.columns]
    require(len(set(waiting)) == len(waiting), "levels: a column is filled twice")
    for level in levels:
        own = [index for index, _, _ in level.columns]
        require(all(phase.first <= index < phase.stop for index in own), "levels: a column of another phase")
        sizes = [parts(kind, number) for _, kind, number in level.columns]
        require(all(sizes), "levels: a column of no fractions")
        require(len(level.program.outputs) == sum(sizes), "levels: a program does not have its columns' outputs")
        require(set(level.program.scalars) <= drawn, "levels: a program uses a challenge that comes later")
        read = {slot.index for slot in level.program.slots if slot.kind == "advice"}
        known = all(index < phase.stop for index in read) and not read & set(waiting)
        require(known, "levels: a program reads a column that is filled later")
        waiting = [index for index in waiting if index not in own]
