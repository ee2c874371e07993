"""The structured reference string: powers of a secret tau in G1, [tau]_2, and the commitments made with them.

    [tau^i]_1 for i < size        monomial form: commits coefficients; [1]_1 and [1]_2 are the standard generators
    [L_i(tau)]_1 over H, 2^k      Lagrange form: commits values, and narrow integers at the cost of their bit width

The Lagrange form of a size is a Fourier transform over the group, computed once and kept in the user's cache folder. An
SRS is universal: one serves every circuit up to its size. Whoever knows tau can forge proofs, so real ones come from
ceremonies.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plonnx import _native
from plonnx._native import Points, Vec
from plonnx.kzg import opening, record
from plonnx.kzg.container import Arrays, FileError, decode, read_bytes, write_container
from plonnx.kzg.curve import G1_BYTES, G2_BYTES, MODULUS
from plonnx.kzg.record import Value

if TYPE_CHECKING:
    from plonnx._native import IntArray

ETHEREUM_FILE = Path(__file__).parent / "ceremony" / "ethereum_2023.bin"
ETHEREUM_SIZE = 4096
ETHEREUM_SHA256 = "f7933dc8fb209cfcf6b30fd59308abcd8541410eeef8cdd387448c50847cbefd"
ETHEREUM_POWERS_SHA256 = "2ab2ea576293ede14f62cc315d49d2f98a54df399546a0e52ca546c2d2f9601f"  # 96 bytes each

MAX_K = 32


Form = tuple[int, int, int]  # k, packing, place: of [X^place L_i(X^packing)]_1 over 2^k rows


class Rows(NamedTuple):
    """Values on rows start, start + 1, .. of a column f. With packing t > 1 it stands for X^place f(X^t)."""

    scalars: Vec | IntArray
    start: int = 0
    packing: int = 1
    place: int = 0


def sums_of_products(terms: Sequence[tuple[Points, Vec | IntArray]]) -> list[bytes]:
    """The MSMs of points and scalars, together: small ones share the cores. All commitments come from here."""
    return _native.msm_many([points for points, _ in terms], [scalars for _, scalars in terms])


@dataclass(frozen=True, eq=False)
class SRS:
    """Powers of tau and what commits with them.

    >>> srs = SRS.ethereum()
    >>> srs.size, srs.unsafe
    (4096, False)
    """

    name: str
    unsafe: bool
    powers: Points = field(repr=False)
    tau_g2: bytes = field(repr=False)
    # Known for a development SRS alone, where it makes the Lagrange forms fast.
    tau: int | None = field(default=None, repr=False)
    # Whether Lagrange forms are kept on disk.
    keeps_cache: bool = field(default=True, repr=False)
    _lagrange: dict[Form, Points] = field(default_factory=dict, init=False, repr=False)

    # Constructors

    @staticmethod
    @functools.cache
    def ethereum() -> SRS:
        """Ethereum's KZG ceremony, as shipped with plonnx: 4096 powers."""
        content = read_bytes(ETHEREUM_FILE)
        if hashlib.sha256(content).hexdigest() != ETHEREUM_SHA256:
            raise FileError(f"{ETHEREUM_FILE}: damaged (its sha256 does not fit): reinstall plonnx")
        # Digests pin the bytes, and the tests check these points in full: no subgroup checks on every start.
        end, last = ETHEREUM_SIZE * G1_BYTES // 2, G2_BYTES // 2  # the generator of G2 stands between
        return SRS(
            name="Ethereum KZG ceremony (2023)",
            unsafe=False,
            powers=_decompressed(content[:end]),
            tau_g2=_native.g2_from_bytes(content[-last:], compressed=True),
        )

    @staticmethod
    def development(k: int, tau: int | None = None) -> SRS:
        """An UNSAFE SRS of 2^k powers, for development and tests: whoever made it knows tau and can forge proofs.

        tau is drawn from the operating system unless it is given.
        """
        if not 0 <= k <= MAX_K:
            raise ValueError(f"k = {k}: a development SRS has 2^k powers, 0 <= k <= {MAX_K}")
        if tau is None:
            tau = int.from_bytes(os.urandom(64), "big") % MODULUS
        if not 1 < tau < MODULUS:
            raise ValueError("tau must be in 2..r-1")
        return SRS(
            name="UNSAFE development SRS",
            unsafe=True,
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
                name=held["name"].text(),
                unsafe=held["unsafe"].flag(),
                powers=Points.from_bytes(held.bytes("powers"), check=False),
                tau_g2=_native.g2_from_bytes(held.bytes("tau_g2")),
                tau=held["tau"].optional(Value.scalar),
            )
            if srs.tau is not None:  # never behind the marker: the digest does not cover it
                if not srs.unsafe:
                    raise ValueError("it names its tau, so it is no ceremony's SRS, whatever it says")
                if _native.g2_mul(_native.g2_generator(), srs.tau) != srs.tau_g2:
                    raise ValueError("the tau of the development SRS does not fit its points")
            marker = f"verified-{srs.digest.hex()}"
            if _read_cache(marker, "verified") is None:
                srs.verify()
                _write_cache(marker, "verified", {})
        return srs

    def save(self, path: str | Path) -> None:
        """Write the monomial form to a file. A development SRS takes its tau along: it is no secret."""
        meta = {"name": self.name, "unsafe": self.unsafe, "tau": None if self.tau is None else hex(self.tau)}
        arrays = {"powers": self.powers.to_bytes(), "tau_g2": self.tau_g2}
        write_container(path, "srs", meta, {name: np.frombuffer(data, np.uint8) for name, data in arrays.items()})

    # Properties

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
        Points.from_bytes(self.powers.to_bytes(), check=True)
        _native.g2_from_bytes(self.tau_g2)
        if self.tau is not None and _native.g2_mul(_native.g2_generator(), self.tau) != self.tau_g2:
            raise ValueError("the tau of the development SRS does not fit its points")
        count = self.size - 1
        random = np.frombuffer(os.urandom(count * 16), np.uint8).reshape(count, 16)
        scalars = np.zeros((count, 32), np.uint8)
        scalars[:, 16:] = random
        factors = Vec.from_bytes(scalars.tobytes())
        low, high = self.powers.slice(0, count).msm(factors), self.powers.slice(1, count + 1).msm(factors)
        minus_high = _native.g1_mul(high, MODULUS - 1)
        if not _native.pairing_check([(low, self.tau_g2), (minus_high, _native.g2_generator())]):
            raise ValueError("the powers of the SRS are not those of one tau (the pairing check fails)")

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
        self._load({(k, part.packing, part.place) for part in parts})
        points = [self._points(k, part) for part in parts]
        sums = iter(sums_of_products([(at, part.scalars) for at, part in zip(points, parts, strict=True)]))
        return [functools.reduce(_native.g1_add, (next(sums) for _ in column), bytes(G1_BYTES)) for column in columns]

    def lagrange(self, k: int, packing: int = 1, place: int = 0) -> Points:
        """[X^place L_i(X^packing)]_1 over H of 2^k rows: from memory, from the cache on disk, or computed."""
        key = (k, packing, place)
        self._load({key})
        return self._lagrange[key]

    def _describe(self) -> str:
        return f"{self.name} has {self.size} powers"

    def _points(self, k: int, part: Rows) -> Points:
        points, stop = self.lagrange(k, part.packing, part.place), part.start + len(part.scalars)
        if part.start < 0 or stop > len(points):
            raise ValueError(f"rows {part.start}..{stop} are not all among the 2^{k} rows")
        return points.slice(part.start, stop)

    def _load(self, wanted: Iterable[Form]) -> None:
        """Lagrange forms into memory, together: what comes from the cache is checked at once (`_fits`)."""
        missing = sorted(form for form in wanted if form not in self._lagrange)
        for k, packing, _ in missing:
            if not 0 <= k <= MAX_K or packing << k > self.size:
                raise ValueError(f"2^{k} rows, {packing} packed, need an SRS of that size; {self._describe()}")
        cached = self.keeps_cache and self.tau is None
        stored = {form: points for form in missing if cached and (points := self._stored(form)) is not None}
        if stored and not self._fits(stored):
            stored = {}  # as good as damaged: made again
        self._lagrange.update(stored)
        for form in missing:
            if form not in stored:
                self._lagrange[form] = made = self._compute_lagrange(*form)
                if cached:
                    _write_cache(self._entry(form), "lagrange", {"points": np.frombuffer(made.to_bytes(), np.uint8)})

    def _entry(self, form: Form) -> str:
        k, packing, place = form
        return f"lagrange-{self.digest.hex()}-{k}" + (f"-{packing}-{place}" if packing > 1 else "")

    def _stored(self, form: Form) -> Points | None:
        stored = _read_cache(self._entry(form), "lagrange")
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
        in one of three times; no key or proof with such a commitment is accepted.) It costs an MSM by the powers.
        """
        values = {form: np.frombuffer(os.urandom(4 << form[0]), np.int32) for form in stored}
        sums = sums_of_products([(points, values[form]) for form, points in stored.items()])
        polynomial = Vec.zeros(max(packing << k for k, packing, _ in stored))
        for (k, packing, place), random in values.items():
            members = [Vec.zeros(1 << k)] * packing
            members[place] = _native.intt(Vec.from_ints(random))
            polynomial.add_scaled_(1, opening.pack(members, packing))
        return functools.reduce(_native.g1_add, sums) == self.commit(polynomial)

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


def cache_folder() -> Path | None:
    """Where computed points are kept: $PLONNX_CACHE, or plonnx in the platform's cache folder; None without a home."""
    chosen = os.environ.get("PLONNX_CACHE")
    if chosen:
        return Path(chosen)
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "plonnx"
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "plonnx" / "cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plonnx"
    except RuntimeError:
        return None


def _read_cache(entry: str, kind: str) -> dict[str, NDArray[Any]] | None:
    """The arrays of a cache entry; None where there is none, or where it is damaged (it is then made again)."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        meta, arrays = decode((folder / entry).read_bytes(), kind, entry)
    except (OSError, ValueError):
        return None
    return arrays if meta == {"entry": entry} else None


def _decompressed(powers: bytes) -> Points:
    """The ceremony's powers. Their square roots are taken once and kept, as long as what is kept has its digest."""
    entry = f"powers-{ETHEREUM_POWERS_SHA256}"
    stored = _read_cache(entry, "points")
    if stored is not None and hashlib.sha256(stored["points"].tobytes()).hexdigest() == ETHEREUM_POWERS_SHA256:
        return Points.from_bytes(stored["points"].tobytes(), check=False)
    points = Points.from_bytes(powers, compressed=True, check=False)
    _write_cache(entry, "points", {"points": np.frombuffer(points.to_bytes(), np.uint8)})
    return points


def _write_cache(entry: str, kind: str, arrays: Arrays) -> None:
    """Keep a cache entry where that is possible; a command never fails because its cache cannot be written."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_container(folder / entry, kind, {"entry": entry}, arrays)
    except (OSError, FileError):
        return
