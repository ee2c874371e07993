"""The SRS: the shipped ceremonies in full, what an SRS is called, commitments, files and the cache."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plonnx import _native
from plonnx._native import Points, Vec
from plonnx.kzg import origin
from plonnx.kzg import srs as srs_module
from plonnx.kzg.ceremonies import extended_bytes
from plonnx.kzg.ceremony.pack import pack
from plonnx.kzg.container import FileError, write_container
from plonnx.kzg.origin import DEVELOPMENT_TAU
from plonnx.kzg.srs import ETHEREUM, MIDNIGHT, SRS, Rows, Shipped

R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
TAU = 0x123456789ABCDEF0123456789

# MIDNIGHT_SRS_CATALOG.md of the repository midnightntwrk/midnight-trusted-setup, by k
CATALOGUE = {
    1: "bbe04fe3c70d0c138447cb086b4baddc30cb8bb2a004114bc02e6f739516280e",
    2: "80e15568fa1a0117db893239be7fa5e34a6bcc3a8c3bfa7709534b9cb88eb6c1",
    3: "4be827a6472193df80d8f08b4b25a85baef436fdd1965d89b6af89f4ec4e99e2",
    4: "232f401fad10c7ddf8828d2aa4c85c6506c5da09795998cecaeb9f75fc8f6ada",
    5: "0a1c9229f315fc1868ff25f668fb83aec4d09f4f23a706b5197c692c619d72c6",
    6: "cf2ad6be7d0fedf5bec2aaa35f6be4aca33053d74268fdf5aa54fcb2891ea6df",
    7: "e82ae890c080188355f37feaffe91372584cd810615082d9143d4dec0453fd9d",
    8: "909b707551eaaea79828e883cde6fc46ab15986c3b1d791bed462c9e2805c933",
    9: "b9009f1098bcefffec3c461ab3a5e3a17f7e5599f0f08c70fcdc55a89227bcbd",
    10: "46b2290933cbed4c378889e4ba971f1a92888331ffb09466acd4ff61a1e2cb42",
    14: "fc253016885ec830e97808c9ec920bb5cab5c21af590380a6cb5eb0538e2b244",
}


def ceremony_text() -> str:
    chosen = os.environ.get("PLONNX_SRS_TXT")
    path = Path(chosen) if chosen else Path(__file__).parents[3] / "shared" / "srs" / "ethereum_kzg_4096.txt"
    if not path.exists():
        pytest.skip(f"the ceremony's text file is not at {path}: Lagrange points NOT compared (set PLONNX_SRS_TXT)")
    return path.read_text()


def catalogue_file(k: int) -> bytes:
    """The file of Midnight's catalogue with 2^k powers, made from those that are shipped."""
    srs = SRS.midnight()
    powers = srs.powers.slice(0, 1 << k)
    content = (
        k.to_bytes(4, "little")
        + powers.to_bytes()
        + powers.lagrange(1 << k).to_bytes()
        + _native.g2_generator()
        + srs.tau_g2
    )
    assert len(content) == extended_bytes(k)
    return content


def without_tau(srs: SRS) -> SRS:
    """The same SRS as a stranger knows it."""
    return SRS(srs.powers, srs.tau_g2)


def cached(srs: SRS, known: bool) -> SRS:
    """One that keeps its Lagrange forms, as a file's does, and knows its tau or not."""
    return SRS(srs.powers, srs.tau_g2, srs.tau if known else None)


# Shipped ceremonies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "name", "size"),
    [(SRS.ethereum, "Ethereum KZG ceremony (2023)", 4096), (SRS.midnight, "Midnight ceremony (2025)", 16384)],
)
def test_a_shipped_ceremony_passes_every_check(load: Callable[[], SRS], name: str, size: int) -> None:
    srs = load()
    assert (srs.name, srs.unsafe, srs.size) == (name, False, size)
    assert repr(srs) == f"SRS({name}, {size} powers)"
    srs.verify()
    assert load() is srs


def test_ethereum_ceremony_is_the_text_file() -> None:
    text = ceremony_text()
    assert pack(text.encode()) == ETHEREUM.file.read_bytes()
    lagrange = bytes.fromhex("".join(text.split()[2 : 2 + 4096]))
    assert SRS.ethereum().powers.lagrange(4096).to_bytes(compressed=True) == lagrange


@pytest.mark.parametrize("k", [*range(1, 11), 14])
def test_midnight_ceremony_is_the_catalogue(k: int) -> None:
    """Its files come out to the byte, powers, Lagrange form and G2: that of k = 14 is the one it was packed from."""
    content = catalogue_file(k)
    assert hashlib.sha256(content).hexdigest() == CATALOGUE[k]
    if k == 14:
        assert pack(content) == MIDNIGHT.file.read_bytes()


@pytest.mark.parametrize("ceremony", [ETHEREUM, MIDNIGHT])
def test_a_damaged_ceremony_file_is_refused(tmp_path: Path, ceremony: Shipped) -> None:
    damaged = bytearray(ceremony.file.read_bytes())
    damaged[1000] ^= 1
    path = tmp_path / "ceremony.bin"
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="damaged"):
        srs_module.shipped(ceremony._replace(file=path))


# What it is called ----------------------------------------------------------------------------------------------------


def test_the_pinned_points_are_those_of_their_setups() -> None:
    generator = _native.g2_generator()
    points = {
        origin.ETHEREUM: SRS.ethereum().tau_g2,
        origin.MIDNIGHT: SRS.midnight().tau_g2,
        origin.DEVELOPMENT: _native.g2_mul(generator, DEVELOPMENT_TAU),
    }
    for expected, point in points.items():
        assert origin.origin_of(point) == expected
    for degenerate in (generator, bytes(192)):
        assert origin.origin_of(degenerate).unsafe
    assert len(origin.PINNED) == 5
    assert [found.unsafe for found in origin.PINNED.values()] == [False, False, True, True, True]


def test_an_unknown_setup_is_called_unknown() -> None:
    one, other = (origin.origin_of(SRS.development(1, tau).tau_g2) for tau in (TAU, TAU + 1))
    assert one.name.startswith("unknown setup (tau ") and one.name != other.name
    assert not one.known and not one.unsafe
    for nonsense in (b"", b"\xff" * 192, bytes(10)):
        assert not origin.origin_of(nonsense).known


@pytest.mark.parametrize("label", ["Ethereum KZG ceremony (2023)", "Midnight ceremony (2025)"])
def test_a_label_in_a_file_decides_nothing(tmp_path: Path, label: str) -> None:
    """The published development tau, and another, under a ceremony's name and without their tau."""
    path = tmp_path / "labelled.srs"
    for tau, name, unsafe in ((DEVELOPMENT_TAU, "UNSAFE development SRS", True), (TAU, "unknown setup", False)):
        made = SRS.development(4, tau)
        arrays = {"powers": made.powers.to_bytes(), "tau_g2": made.tau_g2}
        held = {name: np.frombuffer(data, np.uint8) for name, data in arrays.items()}
        write_container(path, "srs", {"name": label, "unsafe": False, "tau": None}, held)
        with pytest.raises(FileError, match="field name is unknown"):
            SRS.load(path)
        write_container(path, "srs", {"tau": None}, held)
        loaded = SRS.load(path)
        assert loaded.tau is None and loaded.unsafe == unsafe and loaded.name.startswith(name)


def test_commitments() -> None:
    srs = SRS.development(5, TAU)
    f = Vec.from_wide_bytes(np.random.default_rng(5).bytes(64 * 16))
    at_tau = _native.g1_mul(_native.g1_generator(), f.evaluate(TAU))
    rows = np.array([0, 0, 0, -5, 7, 0, -128, 127, *[0] * 8], np.int8)
    columns = [
        [Rows(_native.ntt(f))],
        [Rows(Vec.from_ints(rows))],
        [Rows(rows)],
        [Rows(rows[3:8], 3)],
        [Rows(Vec.from_ints(rows[3:8]), 3)],
        [Rows(rows[3:6], 3), Rows(Vec.from_ints(rows[6:8]), 6)],
        [],
        [Rows(rows), Rows(_native.ntt(f))],
    ]
    first, *same, nothing, both = srs.commit_rows(4, columns)
    assert srs.commit(f) == at_tau == first
    assert srs.commit_many([f, Vec.zeros(0)]) == [at_tau, bytes(96)]
    assert set(same) == {srs.commit(_native.intt(Vec.from_ints(rows)))}
    assert nothing == bytes(96)
    assert both == _native.g1_add(first, same[0])


def test_requests_beyond_the_size_are_refused() -> None:
    srs = SRS.development(3, TAU)
    with pytest.raises(ValueError, match="UNSAFE development SRS has 8 powers"):
        srs.commit(Vec.zeros(9))
    for k in (4, -1, 40):
        with pytest.raises(ValueError, match="8 powers"):
            srs.lagrange(k)
    with pytest.raises(ValueError, match=r"rows 6\.\.9"):
        srs.commit_rows(3, [[Rows(Vec.zeros(3), 6)]])
    with pytest.raises(ValueError, match="rows -1"):
        srs.commit_rows(3, [[Rows(np.zeros(3, np.int8), -1)]])


def test_development_srs() -> None:
    srs = SRS.development(4, TAU)
    assert srs.unsafe
    assert "UNSAFE" in srs.name
    srs.verify()
    assert srs.digest == SRS.development(4, TAU).digest != SRS.development(4, TAU + 1).digest
    assert SRS.development(4).tau == DEVELOPMENT_TAU
    assert SRS.development(0, TAU).size == 1
    SRS.development(0, TAU).verify()
    for bad in (0, 1, R, -5):
        with pytest.raises(ValueError, match="tau"):
            SRS.development(2, bad)
    with pytest.raises(ValueError, match="k = -1"):
        SRS.development(-1)


def test_known_and_unknown_tau_give_the_same_lagrange_form() -> None:
    srs = SRS.development(5, TAU)
    for k in range(6):
        assert srs.lagrange(k).to_bytes() == without_tau(srs).lagrange(k).to_bytes()


@pytest.mark.parametrize("known", [True, False])
def test_files(tmp_path: Path, known: bool) -> None:
    srs = SRS.development(4, TAU) if known else without_tau(SRS.development(4, TAU))
    assert srs.unsafe == known
    path = tmp_path / "test.srs"
    srs.save(path)
    for _ in range(2):
        loaded = SRS.load(path)
        assert (loaded.name, loaded.unsafe, loaded.digest, loaded.tau) == (srs.name, srs.unsafe, srs.digest, srs.tau)
        assert loaded.lagrange(3).to_bytes() == srs.lagrange(3).to_bytes()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"test\.srs.*damaged"):
        SRS.load(path)
    with pytest.raises(ValueError, match=r"missing\.srs"):
        SRS.load(tmp_path / "missing.srs")


def test_a_wrong_srs_is_found_out(tmp_path: Path) -> None:
    good = SRS.development(4, TAU)
    data = good.powers.to_bytes()
    other = _native.g1_mul(_native.g1_generator(), 99)
    strangers: dict[str, dict[str, Any]] = {
        "pairing": {"powers": Points.from_bytes(data[: 5 * 96] + other + data[6 * 96 :])},
        "generator of G1": {"powers": good.powers.slice(1, 16)},
        "pairing check": {"tau_g2": _native.g2_mul(_native.g2_generator(), TAU + 1)},
        "tau = 0": {"tau_g2": bytes(192)},
        "no powers": {"powers": good.powers.slice(0, 0)},
    }
    for reason, change in strangers.items():
        bad = SRS(**{"powers": good.powers, "tau_g2": good.tau_g2, **change})
        with pytest.raises(ValueError, match=reason):
            bad.verify()
        bad.save(tmp_path / "bad.srs")
        with pytest.raises(ValueError, match=rf"bad\.srs.*{reason}"):
            SRS.load(tmp_path / "bad.srs")
    with pytest.raises(ValueError, match="tau"):
        replace(good, tau=TAU + 1).verify()


def test_lagrange_forms_are_kept_and_remade_when_damaged(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ceremony = without_tau(SRS.development(4, TAU))
    expected = ceremony.lagrange(4).to_bytes()
    (entry,) = cache.glob("lagrange-*-4")
    content = entry.read_bytes()

    def fail(*_: object) -> Points:
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr(SRS, "_compute_lagrange", fail)
        assert without_tau(ceremony).lagrange(4).to_bytes() == expected
        assert ceremony.lagrange(4) is ceremony.lagrange(4)
    for damage in (b"", content[:-96], content[:200] + bytes([content[200] ^ 1]) + content[201:], b"x" * len(content)):
        entry.write_bytes(damage)
        assert without_tau(ceremony).lagrange(4).to_bytes() == expected
        assert entry.read_bytes() == content
    assert list(cache.iterdir()) == [entry], "no temporary file is left"


def load_ethereum() -> SRS:
    """As in a process that has not loaded it yet."""
    return srs_module.shipped.__wrapped__(ETHEREUM)


FORMS = [(4, 1, 0), (3, 2, 1), (2, 4, 0), (2, 4, 3)]


def wrong_points(good: bytes, form: tuple[int, int, int], way: str) -> bytes:
    """Other points on the curve, in the subgroup, where the right ones belong."""
    points = [good[i : i + 96] for i in range(0, len(good), 96)]
    if way == "another tau":
        return without_tau(SRS.development(4, TAU + 1)).lagrange(*form).to_bytes()
    if way == "one point":
        points[-1] = _native.g1_mul(_native.g1_generator(), 99)
    elif way == "infinity":
        points[1] = bytes(96)
    elif way == "a known logarithm":  # a commitment to two chosen rows would be one to none
        points[1] = _native.g1_mul(points[0], R - 1)
    else:
        points[0], points[1] = points[1], points[0]
    return b"".join(points)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("way", ["another tau", "one point", "infinity", "a known logarithm", "swapped"])
def test_points_that_somebody_put_into_the_cache_are_found_out(cache: Path, way: str, known: bool) -> None:
    """They have the form, the name and the digest of an entry, and are no Lagrange forms of this SRS: whether by its
    powers or by its tau, where that is at hand."""
    ceremony = cached(SRS.development(4, TAU), known)
    good = {form: ceremony.lagrange(*form).to_bytes() for form in FORMS}
    entries = {form: cache / ceremony._entry(form) for form in FORMS}
    kept = {form: path.read_bytes() for form, path in entries.items()}
    for form, path in entries.items():
        points = np.frombuffer(wrong_points(good[form], form, way), np.uint8)
        write_container(path, "lagrange", {"entry": path.name}, {"points": points})
        assert path.read_bytes() != kept[form]
        again = cached(ceremony, known)
        again.make_ready(FORMS)
        assert {form: points.to_bytes() for form, points in again._lagrange.items()} == good
        assert {form: path.read_bytes() for form, path in entries.items()} == kept


@pytest.mark.parametrize("known", [True, False])
def test_a_good_cache_is_read_and_not_made_again(cache: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    ceremony = cached(SRS.development(4, TAU), known)
    for form in FORMS:
        ceremony.lagrange(*form)
    rows = np.arange(4)
    columns = [[Rows(rows, 0, 4, 0), Rows(rows + 9, 0, 4, 3)]]
    expected = SRS.development(4, TAU).commit_rows(2, columns)
    monkeypatch.setattr(SRS, "_compute_lagrange", lambda *_: pytest.fail("computed again"))
    for _ in range(20):  # whatever random values are drawn
        cached(ceremony, known).make_ready(FORMS)
    assert cached(ceremony, known).commit_rows(2, columns) == expected


def test_the_ceremony_is_decompressed_once_and_again_when_the_cache_is_damaged(cache: Path) -> None:
    expected = load_ethereum().digest
    (entry,) = cache.glob("powers-*")
    content = entry.read_bytes()
    for damage in (content, b"", content[:-96], content[:-1] + bytes([content[-1] ^ 1])):
        entry.write_bytes(damage)
        assert load_ethereum().digest == expected
        assert entry.read_bytes() == content
    strangers = np.frombuffer(SRS.development(12, TAU).powers.to_bytes(), np.uint8)
    write_container(entry, "points", {"entry": entry.name}, {"points": strangers})
    assert load_ethereum().digest == expected, "another tau's powers, well-formed"
    assert entry.read_bytes() == content


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("PLONNX_CACHE", str(blocked / "cache"))
    srs = SRS.development(4, TAU)
    assert without_tau(srs).lagrange(4).to_bytes() == srs.lagrange(4).to_bytes()


def test_a_development_srs_leaves_nothing_in_the_cache(cache: Path) -> None:
    SRS.development(4).lagrange(4)
    assert not cache.exists()
