"""Fetching an SRS: real files of Midnight's catalogue, small ones, from a local server that behaves well or badly."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from plonnx import _native
from plonnx.kzg import fetch as fetch_module
from plonnx.kzg.ceremonies import extended_bytes, import_srs
from plonnx.kzg.container import FileError
from plonnx.kzg.fetch import fetch, fetched
from plonnx.kzg.srs import SRS
from tests.kzg.test_ceremonies import changed, off_subgroup
from tests.kzg.test_srs import CATALOGUE, TAU, catalogue_file

K = 5
SIZE = extended_bytes(K)


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins at K here: the shipped powers make those files."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetch_module, "SHA256", {k: CATALOGUE[k] for k in (K, K + 1)})


@pytest.fixture(scope="module")
def content() -> bytes:
    return catalogue_file(K)


@dataclass
class Mirror:
    """A server of one file. It knows ranges or not, and may stop early, or answer something else."""

    content: bytes
    ranges: bool = True
    most: int = 1 << 30  # bytes of one answer
    status: int = 200
    skew: int = 0  # where it goes on from, beside what was asked
    told: bool = True  # whether it says how long the answer is
    silence: float = 0.0  # seconds before it ends an answer
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def served(mirror: Mirror) -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            mirror.asked.append(wanted)
            first = int(re.findall(r"bytes=(\d+)-", wanted)[0]) if wanted and mirror.ranges else 0
            if first > len(mirror.content) - 1:
                self.send_error(416)
                return
            if mirror.status != 200:
                self.send_error(mirror.status)
                return
            body = mirror.content[first + mirror.skew * (first > 0) :]
            self.send_response(206 if first else 200)
            if first:
                place = f"bytes {first + mirror.skew}-{len(mirror.content) - 1}/{len(mirror.content)}"
                self.send_header("Content-Range", place)
            if mirror.told:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: mirror.most])
            time.sleep(mirror.silence)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}/midnight-srs-2p{K}"
    try:
        yield mirror
    finally:
        server.shutdown()
        server.socket.close()


def files(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if not path.name.startswith(("lagrange-", "verified-", "powers-"))}


def part(cache: Path) -> Path:
    cache.mkdir(exist_ok=True)
    return cache / f"midnight-{K}.part"


def refused(*arguments: object) -> str:
    with pytest.raises(FileError) as raised:
        fetch(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def same(srs: SRS) -> bool:
    known = SRS.midnight()
    return srs.tau_g2 == known.tau_g2 and srs.powers.to_bytes() == known.powers.slice(0, 1 << K).to_bytes()


@pytest.mark.parametrize("told", [True, False])
def test_a_download(cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    said: list[str] = []
    with served(Mirror(content, told=told)) as mirror:
        found = fetch(K, mirror.url, said.append)
        assert mirror.asked == [""]
        assert same(found.srs) and not found.already
        assert (found.srs.name, found.srs.unsafe) == ("Midnight ceremony (2025)", False)
        assert files(cache) == {f"midnight-{K}.srs"}, "the download itself is not kept"
        again = fetch(K, mirror.url)
        assert again.already and same(again.srs) and mirror.asked == [""]
    assert any("MB of" in line for line in said) and any("sha256" in line for line in said)
    monkeypatch.setattr(SRS, "_compute_lagrange", lambda *_: pytest.fail("the Lagrange form was in the file"))
    expected = SRS.midnight().powers.slice(0, 1 << K).lagrange(1 << K).to_bytes()
    assert fetch(K).srs.lagrange(K).to_bytes() == expected


def test_a_file_by_hand(cache: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "by hand"
    path.write_bytes(content)
    assert same(fetch(K, str(path)).srs)
    assert path.read_bytes() == content and files(cache) == {f"midnight-{K}.srs"}


def test_an_interrupted_download_goes_on_where_it_stopped(cache: Path, content: bytes) -> None:
    with served(Mirror(content, most=1000)) as mirror:
        for have in (1000, 2000):
            said = refused(K, mirror.url)
            assert "ended early" in said and "run the command again" in said
            assert part(cache).read_bytes() == content[:have]
        mirror.most = SIZE
        assert same(fetch(K, mirror.url).srs)
        assert mirror.asked == ["", "bytes=1000-", "bytes=2000-"]
    assert not part(cache).exists()


def test_a_server_without_ranges_starts_anew(cache: Path, content: bytes) -> None:
    part(cache).write_bytes(b"x" * 1000)
    with served(Mirror(content, ranges=False)) as mirror:
        assert same(fetch(K, mirror.url).srs)
        assert mirror.asked == ["bytes=1000-"]


@pytest.mark.parametrize("told", [True, False])
def test_a_server_that_goes_on_elsewhere(cache: Path, content: bytes, told: bool) -> None:
    part(cache).write_bytes(content[:1000])
    with served(Mirror(content, skew=7, told=told)) as mirror:
        assert "does not go on from byte 1000" in refused(K, mirror.url)
    assert part(cache).read_bytes() == content[:1000]


def test_a_part_that_is_complete_needs_no_network(cache: Path, content: bytes) -> None:
    part(cache).write_bytes(content)
    assert same(fetch(K, "http://127.0.0.1:1/").srs)
    assert not part(cache).exists()


def test_a_part_of_something_else(cache: Path, content: bytes) -> None:
    """Wrong bytes at the start are found at the end, and removed; the next run starts anew."""
    part(cache).write_bytes(b"x" * 1000)
    with served(Mirror(content)) as mirror:
        assert "its sha256 is" in refused(K, mirror.url)
        assert files(cache) == set()
        assert same(fetch(K, mirror.url).srs)
        assert mirror.asked == ["bytes=1000-", ""]


def test_a_part_that_is_too_long(cache: Path, content: bytes) -> None:
    part(cache).write_bytes(content + b"x")
    with served(Mirror(content)) as mirror:
        assert same(fetch(K, mirror.url).srs)
        assert mirror.asked == [""]


def test_a_part_longer_than_the_servers_file(cache: Path, content: bytes) -> None:
    part(cache).write_bytes(content[:2000])
    with served(Mirror(content[:1500])) as mirror:
        assert "1500 bytes long where" in refused(K, mirror.url)
        assert mirror.asked == ["bytes=2000-", ""], "416, then from the first byte"


def test_a_wrong_digest(cache: Path, tmp_path: Path, content: bytes) -> None:
    bad = changed(content, 1234, bytes([content[1234] ^ 1]))
    with served(Mirror(bad)) as mirror:
        said = refused(K, mirror.url)
    assert hashlib.sha256(bad).hexdigest() in said and CATALOGUE[K] in said
    assert files(cache) == set()
    path = tmp_path / "by hand"
    path.write_bytes(bad)
    assert "its sha256 is" in refused(K, str(path))
    assert path.exists() and files(cache) == set()


@pytest.mark.parametrize(
    ("change", "told", "said"),
    [
        (lambda content: content + b"x", True, "4 bytes longer|bytes long where"),
        (lambda content: content[:-1], True, "bytes long where"),
        (lambda content: content[:-1], False, "ended early"),
        (lambda _: catalogue_file(K + 1), True, "bytes long where .* another file"),
        (lambda _: catalogue_file(K + 1), False, "its sha256 is"),
        (lambda _: b"<html>not here</html>", True, "bytes long where .* another file"),
    ],
)
def test_another_file(cache: Path, content: bytes, change: object, told: bool, said: str) -> None:
    with served(Mirror(change(content), told=told)) as mirror:  # type: ignore[operator]
        assert re.search(said, refused(K, mirror.url))
    assert f"midnight-{K}.srs" not in files(cache)


def test_a_file_of_another_size_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "larger"
    path.write_bytes(catalogue_file(K + 1))
    assert "its sha256 is" in refused(K, str(path))
    assert "cannot be read" in refused(K, str(tmp_path / "absent"))
    assert "cannot be read" in refused(K, str(tmp_path))


def test_without_a_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line: what to download by hand, and how to give it."""
    monkeypatch.setattr(fetch_module, "PUBLISHER", "http://127.0.0.1:1/midnight-srs-2p{k}")
    said = refused(K)
    assert said.startswith(f"http://127.0.0.1:1/midnight-srs-2p{K}: no answer")
    assert f"download http://127.0.0.1:1/midnight-srs-2p{K} by hand" in said
    assert said.endswith(f"plonnx srs fetch {K} --from FILE")
    assert files(cache) == set()
    with served(Mirror(b"", status=503)) as mirror:
        mirror.content = b"x" * 9
        assert "answers 503 Service Unavailable" in refused(K, mirror.url)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/hostname", "http://[", "http://127.0.0.1:x/"])
def test_what_is_no_url(url: str) -> None:
    assert url in refused(K, url)


def test_a_disk_that_refuses(cache: Path, content: bytes) -> None:
    part(cache).mkdir()
    with served(Mirror(content)) as mirror:
        assert "could not be written" in refused(K, mirror.url)


def test_sizes_that_nobody_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for k in (K - 1, K + 2, -1):
        assert f"K = {K} to {K + 1}" in refused(k)
    monkeypatch.delenv("PLONNX_CACHE")
    monkeypatch.setattr(fetch_module, "cache_folder", lambda: None)
    assert "PLONNX_CACHE" in refused(K)
    assert fetched(K) is None


def test_a_cache_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLONNX_CACHE", str(tmp_path / "file" / "cache"))
    path = tmp_path / "by hand"
    path.write_bytes(content)
    assert "cache folder cannot be made" in refused(K, str(path))


G1_AT, LAGRANGE_AT, TAU_AT = 4 + 5 * 96, 4 + (96 << K) + 3 * 96, SIZE - 192


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: changed(c, G1_AT, c[4 : 4 + 96]), "powers of .* one tau"),
        (lambda c: changed(c, G1_AT, off_subgroup()), "subgroup"),
        (lambda c: changed(c, LAGRANGE_AT, c[4 : 4 + 96]), "Lagrange form is not that of the powers"),
        (lambda c: changed(c, LAGRANGE_AT, off_subgroup()), "Lagrange form.*subgroup"),
        (lambda c: changed(c, LAGRANGE_AT, b"\xff" * 96), "Lagrange form"),
        (lambda c: changed(c, TAU_AT, c[TAU_AT - 192 : TAU_AT]), "tau is 1"),
        (lambda c: changed(c, TAU_AT - 192, c[TAU_AT:]), "generator of G2"),
    ],
)
def test_points_are_checked_whatever_the_digest_says(
    cache: Path, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, change: object, said: str
) -> None:
    bad = change(content)  # type: ignore[operator]
    monkeypatch.setattr(fetch_module, "SHA256", {K: hashlib.sha256(bad).hexdigest()})
    (tmp_path / "bad").write_bytes(bad)
    assert re.search(said, refused(K, str(tmp_path / "bad")))
    assert files(cache) == set()


def stranger() -> bytes:
    """A file of the same layout over another tau."""
    srs = SRS.development(K, TAU)
    points = srs.powers.to_bytes() + srs.lagrange(K).to_bytes()
    return K.to_bytes(4, "little") + points + _native.g2_generator() + srs.tau_g2


def test_another_ceremonys_file(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, "SHA256", {K: hashlib.sha256(stranger()).hexdigest()})
    (tmp_path / "other").write_bytes(stranger())
    assert "unknown setup" in refused(K, str(tmp_path / "other"))
    assert files(cache) == set()


def test_what_was_fetched_is_found(cache: Path, tmp_path: Path, content: bytes) -> None:
    """The smallest that is large enough; what lies there under its name and is another's, or damaged, is not."""
    assert fetched(1) is None
    (tmp_path / "larger").write_bytes(catalogue_file(K + 1))
    fetch(K + 1, tmp_path / "larger")
    for k, size in ((K, K + 1), (K + 1, K + 1)):
        found = fetched(k)
        assert found is not None and found.size == 1 << size
    (tmp_path / "file").write_bytes(content)
    kept = fetch(K, tmp_path / "file").path
    sizes = [found.size for k in (1, K, K + 1) if (found := fetched(k))]
    assert sizes == [1 << K, 1 << K, 2 << K] and fetched(K + 2) is None
    SRS.development(K, TAU).save(kept)
    assert fetched(K).size == 2 << K
    SRS(SRS.midnight().powers.slice(0, 8), SRS.midnight().tau_g2).save(kept)
    assert fetched(K).size == 2 << K, "fewer powers of the same ceremony"
    kept.write_bytes(b"nonsense")
    assert fetched(K).size == 2 << K
    assert not fetch(K, tmp_path / "file").already and same(SRS.load(kept))


def test_import_reads_the_layout(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "midnight"
    path.write_bytes(content)
    for powers, size in ((None, 1 << K), (11, 11)):
        found = import_srs(path, powers)
        assert (found.srs.size, found.available, found.srs.name) == (size, 1 << K, "Midnight ceremony (2025)")
        assert (found.hash_name, found.hash) == ("sha256", CATALOGUE[K])
        assert found.srs.powers.to_bytes() == SRS.midnight().powers.slice(0, size).to_bytes()
    path.write_bytes(stranger())
    assert import_srs(path).srs.name.startswith("unknown setup")
    for bad, said in (
        (content[:-1], "Midnight's catalogue"),
        (content + b"\0", "Midnight's catalogue"),
        (changed(content, 0, bytes([K + 1])), "Midnight's catalogue"),
        (changed(content, G1_AT, content[4:100]), "one tau"),
        (changed(content, TAU_AT - 192, content[TAU_AT:]), "generator of G2"),
    ):
        path.write_bytes(bad)
        with pytest.raises(FileError, match=said):
            import_srs(path)
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"--powers 33: it has {1 << K}"):
        import_srs(path, 33)


@pytest.mark.parametrize("k", [9, 10])
def test_a_file_that_starts_with_white_space(tmp_path: Path, k: int) -> None:
    """k = 9 to 13 are white space in a text."""
    (tmp_path / "midnight").write_bytes(catalogue_file(k))
    assert import_srs(tmp_path / "midnight", 16).available == 1 << k


def test_a_length_that_is_none(cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server announces is its word; what comes is counted."""
    send = BaseHTTPRequestHandler.send_header
    monkeypatch.setattr(
        BaseHTTPRequestHandler,
        "send_header",
        lambda handler, name, value: send(handler, name, "many" if name == "Content-Length" else value),
    )
    with served(Mirror(content)) as mirror:
        assert same(fetch(K, mirror.url).srs)
