"""The order of a tape's steps, and the blocks that hold them: docs/protocol.md section 12.

A block has room for six multiply-adds, or for nine of the simpler steps, all of one kind; so what can be computed by
now is taken kind by kind. Steps of a *row* stand in consecutive words, as a Horner run over their results needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from plonnx.solidity.arithmetic import Place

ZERO, ONE, MINUS_ONE = (Place("constants", i) for i in range(3))
GENERAL, PRODUCT, SUM, DIFFERENCE, RUNS = range(5)  # kinds of blocks
NUMBERS = 18  # in a block
TAKES = {GENERAL: 3, PRODUCT: 2, SUM: 2, DIFFERENCE: 2, RUNS: 6}  # numbers of a step
RESULTS = "results"  # the space of what blocks compute
MOST = (1 << 12) - 1  # of a number


class Instruction(NamedTuple):
    """The next word is a * b + c. A place in the space "steps" is the result of that step."""

    a: Place
    b: Place
    c: Place

    @property
    def kind(self) -> int:
        """The block that takes it."""
        if self.c == ZERO:
            return PRODUCT
        return SUM if ONE in self[:2] else DIFFERENCE if MINUS_ONE in self[:2] else GENERAL

    @property
    def operands(self) -> tuple[Place, ...]:
        """What its block says of it: of a difference c - b, b comes first."""
        if self.kind in (GENERAL, PRODUCT):
            return tuple(self[: TAKES[self.kind]])
        constant = ONE if self.kind == SUM else MINUS_ONE
        return self.b if self.a == constant else self.a, self.c


class HornerRun(NamedTuple):
    """The next word is sum_i x^i f_i over `terms` words, the first at `first`, `stride` words apart."""

    first: Place
    terms: int
    stride: int
    x: Place

    @property
    def operands(self) -> tuple[Place, ...]:
        """The words that it reads but for those of a row."""
        return (self.first, self.x)


Step = Instruction | HornerRun


class Block(NamedTuple):
    """Of one kind, with words, or (of runs) numbers that are no words."""

    kind: int
    numbers: tuple[Place | int, ...]


@dataclass
class Ordered:
    """Blocks, and where the result of each step is."""

    blocks: list[Block] = field(default_factory=list)
    places: dict[int, Place] = field(default_factory=dict)
    words: int = 0  # of results


def ordered(steps: Sequence[Step], rows: Sequence[Sequence[int]]) -> Ordered:
    """Blocks of steps in an order in which they can be computed. rows: numbers of steps, the first is read by a run."""
    return _Scheduler(steps, rows).made


class _Scheduler:
    def __init__(self, steps: Sequence[Step], rows: Sequence[Sequence[int]]) -> None:
        self.steps, self.made = steps, Ordered()
        self.row = {row[0]: row for row in rows}
        self.rowed = {number for row in rows for number in row}
        self.reads = [self._read(step) for step in steps]
        self.readers: list[list[int]] = [[] for _ in steps]
        for number, read in enumerate(self.reads):
            for other in read:
                self.readers[other].append(number)
        self.missing = [len(read) for read in self.reads]
        self.height = [0] * len(steps)
        for number in range(len(steps) - 1, -1, -1):
            self.height[number] = 1 + max((self.height[reader] for reader in self.readers[number]), default=0)
        self.ready = {number for number, missing in enumerate(self.missing) if not missing}
        while self.ready:
            self._next()

    def _read(self, step: Step) -> set[int]:
        """The steps whose results a step reads, those of a row among them."""
        read = {place.index for place in step.operands if place.space == "steps"}
        return read | {number for first in read for number in self.row.get(first, ()) if isinstance(step, HornerRun)}

    def _next(self) -> None:
        """One more block, or a row's: full ones first; of steps that hold up others first."""
        single = [n for n in self.ready if isinstance(self.steps[n], Instruction) and n not in self.rowed]
        best = max((self._chosen(single, kind) for kind in (PRODUCT, SUM, DIFFERENCE)), key=len)
        if len(best) == NUMBERS // 2:
            return self._instructions(self._kind(best[0]), best)
        mixed = self._chosen(single, GENERAL)
        if len(mixed) == NUMBERS // 3:
            return self._instructions(GENERAL, mixed)
        if rows := self._rows_ready(Instruction):
            return self._row(max(rows, key=lambda row: self.height[row[0]]))
        if runs := self._runs_ready():
            return self._runs(runs)
        if len(best) >= len(mixed):
            return self._instructions(self._kind(best[0]), best)
        return self._instructions(GENERAL, mixed)

    def _chosen(self, single: Iterable[int], kind: int) -> list[int]:
        """Steps for one block: those of its kind that are ready, or will be by those before them."""
        waiting = {n for n in single if self._fits(n, kind)}
        chosen: list[int] = []
        missing: dict[int, int] = {}
        while waiting and len(chosen) < NUMBERS // TAKES[kind]:
            number = max(waiting, key=lambda n: (kind == GENERAL and self._kind(n) == GENERAL, self.height[n], -n))
            waiting.remove(number)
            chosen.append(number)
            for reader in self.readers[number]:
                missing[reader] = missing.get(reader, self.missing[reader]) - 1
                if not missing[reader] and reader not in self.rowed and self._fits(reader, kind):
                    waiting.add(reader)
        return chosen

    def _kind(self, number: int) -> int:
        step = self.steps[number]
        return step.kind if isinstance(step, Instruction) else RUNS

    def _fits(self, number: int, kind: int) -> bool:
        return self._kind(number) == kind or (kind == GENERAL and self._kind(number) != RUNS)

    def _row(self, row: Sequence[int]) -> None:
        """Blocks for a row: nine of a kind that stand together, or six."""
        at = 0
        while at < len(row):
            kinds = {self._kind(number) for number in row[at : at + NUMBERS // 2]}
            kind = kinds.pop() if len(kinds) == 1 else GENERAL
            count = NUMBERS // TAKES[kind]
            self._instructions(kind, row[at : at + count])
            at += count

    def _instructions(self, kind: int, numbers: Sequence[int]) -> None:
        held: list[Place | int] = []
        room = NUMBERS // TAKES[kind]
        for at, number in enumerate(numbers):
            step = self.steps[number]
            assert isinstance(step, Instruction)
            self._done(number, at)
            held += map(self._word, step if kind == GENERAL else step.operands)
        held += [ZERO] * (NUMBERS - len(held))
        self.made.blocks.append(Block(kind, tuple(held)))
        self.made.words += room

    def _rows_ready(self, kind: type[Step]) -> list[Sequence[int]]:
        ready = [row for row in self.row.values() if self.ready.issuperset(row)]
        return [row for row in ready if isinstance(self.steps[row[0]], kind)]

    def _runs_ready(self) -> list[int]:
        rowed = [number for row in self._rows_ready(HornerRun) for number in row]
        single = [step for step in map(self._run, self.ready - self.rowed) if step is not None]
        return rowed + [number for *_, number in sorted(single)]

    def _run(self, number: int) -> tuple[int, int, Place, Place, int] | None:
        """A run and its number, alike ones beside one another when sorted."""
        step = self.steps[number]
        return (step.terms, step.stride, step.x, step.first, number) if isinstance(step, HornerRun) else None

    def _runs(self, numbers: Sequence[int]) -> None:
        """These runs, and those over their results that the last block has room for."""
        records: list[tuple[HornerRun, int, int]] = []  # a run, how often it comes, how far apart these begin
        while numbers:
            for number in numbers:
                step = self.steps[number]
                assert isinstance(step, HornerRun)
                run = step._replace(first=self._word(step.first), x=self._word(step.x))
                if not records or not (again := _again(*records[-1], run)):
                    records.append((run, 1, 0))
                else:
                    records[-1] = again
                self._done(number, 0)
                self.made.words += 1
            numbers = self._runs_ready() if len(records) % (NUMBERS // TAKES[RUNS]) else ()
        for at in range(0, len(records), NUMBERS // TAKES[RUNS]):
            held: list[Place | int] = []
            for run, count, apart in records[at : at + NUMBERS // TAKES[RUNS]]:
                held += [*run, count, apart]
            self.made.blocks.append(Block(RUNS, (*held, *[0] * (NUMBERS - len(held)))))

    def _word(self, place: Place) -> Place:
        return self.made.places[place.index] if place.space == "steps" else place

    def _done(self, number: int, after: int) -> None:
        """The step's result is so many words behind the last block's."""
        self.made.places[number] = Place(RESULTS, self.made.words + after)
        self.ready.remove(number)
        for reader in self.readers[number]:
            self.missing[reader] -= 1
            if not self.missing[reader]:
                self.ready.add(reader)


def _again(before: HornerRun, count: int, apart: int, run: HornerRun) -> tuple[HornerRun, int, int] | None:
    """One record with a run that is like the ones before it and begins as far behind the last."""
    gap = run.first.index - before.first.index - apart * (count - 1)
    same = run._replace(first=before.first) == before and run.first.space == before.first.space
    return (before, count + 1, gap) if same and 0 <= gap <= MOST and (count == 1 or gap == apart) else None
