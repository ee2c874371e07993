"""The structured reference string: powers of a secret tau in G1, [tau]_2, and the commitments made with them.

    [tau^i]_1 for i < size        monomial form: commits coefficients; [1]_1 and [1]_2 are the standard generators
    [L_i(tau)]_1 over H, 2^k      Lagrange form: commits values, and narrow integers at the cost of their bit width

The Lagrange form of a size is a Fourier transform over the group, computed once and kept in the user's cache folder. An
SRS is universal: one serves every circuit up to its size. Whoever knows tau can forge proofs, so real ones come from
ceremonies. Two come with plonnx; what an SRS is called follows from its [tau]_2 (origin.py), never from its file.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from plonnx import _native
from plonnx._native import Points, Vec
from plonnx.kzg import opening, record
from plonnx.kzg.cache import keep_entry, read_entry
from plonnx.kzg.container import FileError, read_bytes, write_container
from plonnx.kzg.curve import G1_BYTES, G2_BYTES, MODULUS
from plonnx.kzg.origin import DEVELOPMENT, DEVELOPMENT_TAU, Origin, origin_of
from plonnx.kzg.record import Value

if TYPE_CHECKING:
    from plonnx._native import Fractions, IntArray, Scalars

MAX_K = 32
_PART = 1 << 16  # points that are checked at a time


class Shipped(NamedTuple):
    """The output of a ceremony as it comes with plonnx (kzg/ceremony/README.md)."""

    file: Path
    size: int
    sha256: str
    powers_sha256: str  # of the powers, decompressed to 96 bytes each


_FOLDER = Path(__file__).parent / "ceremony"
ETHEREUM = Shipped(
    _FOLDER / "ethereum_2023.bin",
    1 << 12,
    "f7933dc8fb209cfcf6b30fd59308abcd8541410eeef8cdd387448c50847cbefd",
    "2ab2ea576293ede14f62cc315d49d2f98a54df399546a0e52ca546c2d2f9601f",
)
MIDNIGHT = Shipped(
    _FOLDER / "midnight_2025.bin",
    1 << 14,
    "20ee039f45d21df76680611efec8f5e55d10636d04b4c80f866a911a26abc458",
    "449173f63e368afcae0488a8adcc6deb36c56244e71f7df50057fcc2d07aaf2b",
)


Form = tuple[int, int, int]  # k, packing, place: of [X^place L_i(X^packing)]_1 over 2^k rows


class Rows(NamedTuple):
    """Values on rows start, start + 1, .. of a column f. With packing t > 1 it stands for X^place f(X^t).

    fractions: what the first of the scalars are sums of, which makes the commitment faster.
    """

    scalars: Vec | IntArray
    start: int = 0
    packing: int = 1
    place: int = 0
    fractions: Fractions | None = None

    @property
    def terms(self) -> Scalars:
        """The scalars as sums of products take them."""
        if self.fractions is None:
            return self.scalars
        assert isinstance(self.scalars, Vec)
        return self.scalars, self.fractions


def sums_of_products(terms: Sequence[tuple[Points, Scalars]]) -> list[bytes]:
    """The MSMs of points and scalars, together: small ones share the cores. All commitments come from here."""
    return _native.msm_many([points for points, _ in terms], [scalars for _, scalars in terms])


@dataclass(frozen=True, eq=False, repr=False)
class SRS:
    """Powers of tau and what commits with them.

    >>> SRS.ethereum()
    SRS(Ethereum KZG ceremony (2023), 4096 powers)
    """

    powers: Points
    tau_g2: bytes
    # Known for a development SRS alone, where it makes the Lagrange forms, and their check, fast.
    tau: int | None = None
    # Whether Lagrange forms are kept on disk.
    keeps_cache: bool = True
    _lagrange: dict[Form, Points] = field(default_factory=dict, init=False)

    def __repr__(self) -> str:
        return f"SRS({self.name}, {self.size} powers)"

    # Constructors

    @staticmethod
    def ethereum() -> SRS:
        """Ethereum's KZG ceremony, as shipped with plonnx: 2^12 powers."""
        return shipped(ETHEREUM)

    @staticmethod
    def midnight() -> SRS:
        """Midnight's ceremony, as shipped with plonnx: 2^14 powers. `plonnx srs fetch` brings more of them."""
        return shipped(MIDNIGHT)

    @staticmethod
    def development(k: int, tau: int = DEVELOPMENT_TAU) -> SRS:
        """An UNSAFE SRS of 2^k powers, for development and tests: everyone knows its tau and can forge proofs.

        Keys over the published tau are known to be unsafe wherever they go. Another `tau` is known to this object and
        its file alone: of such a key nobody else can tell.
        """
        if not 0 <= k <= MAX_K:
            raise ValueError(f"k = {k}: a development SRS has 2^k powers, 0 <= k <= {MAX_K}")
        if not 1 < tau < MODULUS:
            raise ValueError("tau must be in 2..r-1")
        return SRS(
            powers=_native.srs_powers(tau, 1 << k),
            tau_g2=_native.g2_mul(_native.g2_generator(), tau),
            tau=tau,
            keeps_cache=False,
        )

    @staticmethod
    def load(path: str | Path) -> SRS:
        """An SRS file written by `save`. Its points are checked in full (`verify`) the first time the file is seen."""
        with record.load(path, "srs") as held:
            srs = SRS(
                powers=Points.from_bytes(held.bytes("powers"), check=False),
                tau_g2=_native.g2_from_bytes(held.bytes("tau_g2")),
                tau=held["tau"].optional(Value.scalar),
            )
            if srs.tau is not None:  # never behind the marker: the digest does not cover it
                srs.verify_tau()
            if read_entry(srs._marker, "verified") is None:
                srs.verify()
                srs.note_verified()
        return srs

    def save(self, path: str | Path) -> None:
        """Write the monomial form to a file. A development SRS takes its tau along: it is no secret."""
        meta = {"tau": None if self.tau is None else hex(self.tau)}
        arrays = {"powers": self.powers.to_bytes(), "tau_g2": self.tau_g2}
        write_container(path, "srs", meta, {name: np.frombuffer(data, np.uint8) for name, data in arrays.items()})

    # Properties

    @functools.cached_property
    def origin(self) -> Origin:
        """Whose secret it has; one whose tau is at hand is unsafe under every name."""
        found = origin_of(self.tau_g2)
        return found if self.tau is None or found.known else DEVELOPMENT

    @property
    def name(self) -> str:
        """What the setup is called."""
        return self.origin.name

    @property
    def unsafe(self) -> bool:
        """Whether its secret is known to somebody: proofs can be forged."""
        return self.origin.unsafe

    @property
    def g2(self) -> bytes:
        """The generator of G2: that of the standard, always."""
        return _native.g2_generator()

    @property
    def size(self) -> int:
        """The number of powers: commits polynomials of degree below it."""
        return len(self.powers)

    @functools.cached_property
    def digest(self) -> bytes:
        """sha256 over the content, whatever the name: equal for equal points."""
        content = hashlib.sha256(b"plonnx srs v2" + self.size.to_bytes(8, "big") + self.tau_g2)
        content.update(self.powers.to_bytes())
        return content.digest()

    def verify(self) -> None:
        """Check every point: subgroups, the first power, and e([tau^(i+1)]_1, [1]_2) = e([tau^i]_1, [tau]_2) for all i.

        The equations are checked at once, under random 128-bit factors. Raises ValueError with the reason.
        """
        if self.size == 0:
            raise ValueError("the SRS has no powers")
        if self.powers.slice(0, 1).to_bytes() != _native.g1_generator():
            raise ValueError("the first power of the SRS is not the generator of G1")
        if not any(self.tau_g2):
            raise ValueError("the SRS has tau = 0")
        for start in range(0, self.size, _PART):
            part = self.powers.slice(start, min(start + _PART, self.size))
            try:
                Points.from_bytes(part.to_bytes(), check=True)
            except ValueError as error:
                raise ValueError(f"of the powers from {start} on, {error}") from error
        _native.g2_from_bytes(self.tau_g2)
        if self.tau is not None:
            self.verify_tau()
        count = self.size - 1
        factors = _random_factors(count)
        low, high = _sum_in_parts(self.powers, 0, factors), _sum_in_parts(self.powers, 1, factors)
        minus_high = _native.g1_mul(high, MODULUS - 1)
        if not _native.pairing_check([(low, self.tau_g2), (minus_high, _native.g2_generator())]):
            raise ValueError("the powers of the SRS are not those of one tau (the pairing check fails)")

    def note_verified(self) -> None:
        """Spare `load` the checks of these very points, which have passed them."""
        keep_entry(self._marker, "verified", {})

    @property
    def _marker(self) -> str:
        return f"verified-{self.digest.hex()}"

    def verify_tau(self) -> None:
        """Raises ValueError where the tau of a development SRS is not the one in its points."""
        if (
            self.tau is None
            or not 1 < self.tau < MODULUS
            or _native.g2_mul(_native.g2_generator(), self.tau) != self.tau_g2
        ):
            raise ValueError("the tau of the development SRS does not fit its points")

    # Commitments: 96 bytes each

    def commit(self, coefficients: Vec) -> bytes:
        """[f]_1 of the polynomial with these coefficients."""
        return self.commit_many([coefficients])[0]

    def commit_many(self, polynomials: Sequence[Vec]) -> list[bytes]:
        """[f]_1 of each polynomial, given by its coefficients."""
        for coefficients in polynomials:
            if len(coefficients) > self.size:
                raise ValueError(f"{len(coefficients)} coefficients need an SRS of that size; {self._describe()}")
        return sums_of_products([(self.powers, coefficients) for coefficients in polynomials])

    def commit_rows(self, k: int, columns: Sequence[Sequence[Rows]]) -> list[bytes]:
        """For each column [f]_1 of the polynomial with these values on rows of H, 2^k rows, and zero elsewhere.

        Integers cost their real bit width, zeros nothing: a column may come in parts that lie on other rows, or on the
        same, where it is their sum.
        """
        parts = [part for column in columns for part in column]
        self.make_ready({(k, part.packing, part.place) for part in parts})
        points = [self._points(k, part) for part in parts]
        sums = iter(sums_of_products([(at, part.terms) for at, part in zip(points, parts, strict=True)]))
        return [functools.reduce(_native.g1_add, (next(sums) for _ in column), bytes(G1_BYTES)) for column in columns]

    def lagrange(self, k: int, packing: int = 1, place: int = 0) -> Points:
        """[X^place L_i(X^packing)]_1 over H of 2^k rows: from memory, from the cache on disk, or computed."""
        key = (k, packing, place)
        self.make_ready({key})
        return self._lagrange[key]

    def keep_lagrange(self, points: Points) -> None:
        """Keep the Lagrange form of len(points) rows on disk, which was computed elsewhere.

        ValueError where it is another: the points must commit random values to what their coefficients come to. Their
        subgroup is for the caller to check.
        """
        k = len(points).bit_length() - 1
        values = _random_factors(1 << k)
        if _sum_in_parts(points, 0, values) != _sum_in_parts(self.powers, 0, _native.intt(values)):
            raise ValueError("the Lagrange form is not that of the powers")
        self._keep((k, 1, 0), points)

    def _describe(self) -> str:
        return f"{self.name} has {self.size} powers"

    def _points(self, k: int, part: Rows) -> Points:
        points, stop = self.lagrange(k, part.packing, part.place), part.start + len(part.scalars)
        if part.start < 0 or stop > len(points):
            raise ValueError(f"rows {part.start}..{stop} are not all among the 2^{k} rows")
        return points.slice(part.start, stop)

    def make_ready(self, wanted: Iterable[Form]) -> None:
        """Lagrange forms into memory, together: what comes from the cache is checked at once (`_fits`)."""
        missing = sorted(form for form in wanted if form not in self._lagrange)
        for k, packing, _ in missing:
            if not 0 <= k <= MAX_K or packing << k > self.size:
                raise ValueError(f"2^{k} rows, {packing} packed, need an SRS of that size; {self._describe()}")
        stored = {form: points for form in missing if self.keeps_cache and (points := self._stored(form)) is not None}
        if stored and not self._fits(stored):
            stored = {}  # as good as damaged: made again
        self._lagrange.update(stored)
        for form in missing:
            if form not in stored:
                self._lagrange[form] = made = self._compute_lagrange(*form)
                if self.keeps_cache:
                    self._keep(form, made)

    def _entry(self, form: Form) -> str:
        k, packing, place = form
        return f"lagrange-{self.digest.hex()}-{k}" + (f"-{packing}-{place}" if packing > 1 else "")

    def _stored(self, form: Form) -> Points | None:
        stored = read_entry(self._entry(form), "lagrange")
        if stored is None or stored.keys() != {"points"} or stored["points"].size != G1_BYTES << form[0]:
            return None
        try:
            return Points.from_bytes(stored["points"].tobytes(), check=False)
        except ValueError:
            return None

    def _fits(self, stored: Mapping[Form, Points]) -> bool:
        """Whether points are the Lagrange forms that they are said to be.

        Whoever can write the cache could put others there, and choose what keys and proofs commit to. So commit to
        random values, of 32 bits, with them, and to the polynomial with these values by the powers: points that are
        wrong agree with a probability of 2^-32. (Points that are wrong by one of order 3, outside the subgroup, agree
        in one of three times; no key or proof with such a commitment is accepted.) It costs an MSM by the powers, or of
        a development SRS, whose tau is at hand, one product.
        """
        values = {form: np.frombuffer(os.urandom(4 << form[0]), np.int32) for form in stored}
        sums = sums_of_products([(points, values[form]) for form, points in stored.items()])
        polynomial = Vec.zeros(max(packing << k for k, packing, _ in stored))
        for (k, packing, place), random in values.items():
            members = [Vec.zeros(1 << k)] * packing
            members[place] = _native.intt(Vec.from_ints(random))
            polynomial.add_scaled_(1, opening.pack(members, packing))
        sum_of_all = functools.reduce(_native.g1_add, sums)
        if self.tau is not None:
            return sum_of_all == _native.g1_mul(_native.g1_generator(), polynomial.evaluate(self.tau))
        return sum_of_all == self.commit(polynomial)

    def _keep(self, form: Form, points: Points) -> None:
        keep_entry(self._entry(form), "lagrange", {"points": np.frombuffer(points.to_bytes(), np.uint8)})

    def _compute_lagrange(self, k: int, packing: int, place: int) -> Points:
        if self.tau is None:
            return self._strided_powers(packing << k, packing, place).lagrange(1 << k)
        # L_i(tau^packing) for all i are the inverse transform of the powers of tau^packing.
        powers = Vec.powers(pow(self.tau, packing, MODULUS), 1 << k, pow(self.tau, place, MODULUS))
        return _native.fixed_base(_native.intt(powers))

    def _strided_powers(self, stop: int, step: int, start: int) -> Points:
        if step == 1:
            return self.powers
        rows = np.frombuffer(self.powers.slice(0, stop).to_bytes(), np.uint8).reshape(-1, G1_BYTES)
        return Points.from_bytes(np.ascontiguousarray(rows[start::step]).tobytes(), check=False)


def _sum_in_parts(points: Points, first: int, scalars: Vec) -> bytes:
    """sum scalars_i P_(first + i). A sum keeps its points in a form that is several times their size: not for once."""
    total = bytes(G1_BYTES)
    for start in range(0, len(scalars), _PART):
        stop = min(start + _PART, len(scalars))
        part = points.slice(first + start, first + stop).msm(scalars.slice(start, stop))
        total = _native.g1_add(total, part)
    return total


def _random_factors(count: int) -> Vec:
    """Of 128 bits."""
    scalars = np.zeros((count, 32), np.uint8)
    scalars[:, 16:] = np.frombuffer(os.urandom(count * 16), np.uint8).reshape(count, 16)
    return Vec.from_bytes(scalars.tobytes())


@functools.cache
def shipped(ceremony: Shipped) -> SRS:
    """The SRS of a ceremony that comes with plonnx; FileError where its file is not what was shipped."""
    content = read_bytes(ceremony.file)
    if hashlib.sha256(content).hexdigest() != ceremony.sha256:
        raise FileError(f"{ceremony.file}: damaged (its sha256 does not fit): reinstall plonnx")
    # Digests pin the bytes, and the tests check these points in full: no subgroup checks on every start.
    end = ceremony.size * G1_BYTES // 2
    tau_g2 = _native.g2_from_bytes(content[-G2_BYTES // 2 :], compressed=True)
    return SRS(_decompressed(content[:end], ceremony.powers_sha256), tau_g2)


def _decompressed(powers: bytes, digest: str) -> Points:
    """A ceremony's powers. Their square roots are taken once and kept, as long as what is kept has its digest."""
    entry = f"powers-{digest}"
    stored = read_entry(entry, "points")
    if stored is not None and hashlib.sha256(stored["points"].tobytes()).hexdigest() == digest:
        return Points.from_bytes(stored["points"].tobytes(), check=False)
    points = Points.from_bytes(powers, compressed=True, check=False)
    keep_entry(entry, "points", {"points": np.frombuffer(points.to_bytes(), np.uint8)})
    return points
