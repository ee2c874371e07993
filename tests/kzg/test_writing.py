"""Writing a file: all of it or nothing, through links, into what is no regular file, and never over it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from plonnx.kzg import container
from plonnx.kzg.container import FileError, atomic_write, check_target, descriptor

OLD, NEW = b"old", b"the new content"


def nothing_left(folder: Path) -> bool:
    return not list(folder.glob(".*.part"))


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "key"
    atomic_write(path, OLD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    path.chmod(0o600)
    atomic_write(path, NEW)
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert nothing_left(tmp_path)


def test_a_container_is_written_in_pieces_that_are_no_copies(tmp_path: Path) -> None:
    arrays = {
        "few": np.arange(3, dtype=np.int8),
        "many": np.arange(6).reshape(2, 3),
        "none": np.zeros((0, 2), np.int16),
    }
    pieces = container.encode_in_pieces("circuit", {"a": 1}, arrays)
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), arrays["many"]) for piece in pieces)
    atomic_write(tmp_path / "whole", content := container.encode("circuit", {"a": 1}, arrays))
    atomic_write(tmp_path / "pieces", pieces)
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes() == content
    assert container.is_made_of(content, pieces) and not container.is_made_of(content + b"x", pieces)
    assert not container.is_made_of(content, pieces[:4]) and not container.is_made_of(content, [])
    assert not container.is_made_of(content[:-3] + b"abc", pieces)


@pytest.mark.parametrize("kind", ["circuit", "proving key", "verifying key", "architecture", "registration", "proof"])
def test_what_an_earlier_version_wrote_is_refused_in_a_line(kind: str) -> None:
    """A key of another layout would be said to belong to a witness that is wrong."""
    content = bytearray(container.encode(kind, {}, {}))
    for version in range(1, container.VERSION):
        content[6:8] = version.to_bytes(2, "little")
        told = rf"^old: {kind} file of format version {version}; this plonnx reads version {container.VERSION}"
        with pytest.raises(FileError, match=told):
            container.decode(bytes(content), kind, "old")


@pytest.mark.parametrize("kind", ["srs", "lagrange", "points", "verified"])
def test_setups_outlast_layouts(kind: str) -> None:
    content = container.encode(kind, {}, {})
    assert content[6:8] == (1).to_bytes(2, "little") and container.decode(content, kind, "old") == ({}, {})


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("exists", [True, False])
def test_what_links_lead_to_is_written(tmp_path: Path, exists: bool) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    target, link, second = there / "target", here / "link", here / "second"
    link.symlink_to(Path("..") / "there" / "target")
    second.symlink_to("link")
    if exists:
        target.write_bytes(OLD)
    atomic_write(second, NEW)
    assert link.is_symlink() and second.is_symlink()
    assert target.read_bytes() == NEW and not target.is_symlink()
    assert nothing_left(there) and nothing_left(here)


def test_a_circle_of_links_and_a_folder_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    for path in (one, tmp_path):
        with pytest.raises(FileError, match=f"{path.name}: cannot write here"):
            atomic_write(path, NEW)
    assert sorted(tmp_path.iterdir()) == [one, other]


def test_what_cannot_be_written_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the words of writing itself; nothing is touched."""
    file, fifo = tmp_path / "file", tmp_path / "fifo"
    os.mkfifo(fifo)
    file.write_bytes(OLD)
    for path in (file, fifo, tmp_path / "new", Path("/dev/stdout"), Path("/dev/null")):
        check_target(path)
    for path in (tmp_path, tmp_path / "nowhere" / "new", file / "new"):
        with pytest.raises(FileError, match="cannot write here") as early:
            check_target(path)
        with pytest.raises(FileError) as late:
            atomic_write(path, NEW)
        assert path == file / "new" or str(early.value) == str(late.value)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    check_target(fifo)
    for path in (file, tmp_path / "new"):
        with pytest.raises(FileError, match="Permission denied"):
            check_target(path)
    assert sorted(tmp_path.iterdir()) == [fifo, file] and file.read_bytes() == OLD


def test_a_fifo_takes_the_bytes(tmp_path: Path) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    for path in (fifo, link):
        read: list[bytes] = []
        reader = threading.Thread(target=lambda read=read: read.append(fifo.read_bytes()))
        reader.start()
        atomic_write(path, NEW)
        reader.join(20)
        assert read == [NEW]
    assert stat.S_ISFIFO(fifo.stat().st_mode) and link.is_symlink()
    assert nothing_left(tmp_path)


def test_a_device_takes_the_bytes(tmp_path: Path) -> None:
    """A terminal of the test's own: no device of the machine is risked."""
    master, slave = os.openpty()
    link = tmp_path / "link"
    link.symlink_to(os.ttyname(slave))
    for path in (Path(os.ttyname(slave)), link):
        atomic_write(path, NEW)
        assert os.read(master, 100) == NEW
    assert stat.S_ISCHR(link.stat().st_mode) and link.is_symlink()
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("name", ["/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("onto", ["pipe", "file", "end of a file"])
def test_standard_output_takes_the_bytes_in_their_order(tmp_path: Path, name: str, onto: str) -> None:
    """Opened anew, /dev/stdout would start at the front of a file; renamed over, the file would be another one."""
    (tmp_path / "link").symlink_to("/dev/fd/1")
    code = f"""
from plonnx.kzg.container import atomic_write
print("before")
atomic_write({str(tmp_path / name)!r}, b"bytes\\n")
print("after")
"""
    kept = tmp_path / "out"
    kept.write_bytes(b"first\n")
    with kept.open("ab" if onto == "end of a file" else "wb") as stream:
        inode = kept.stat().st_ino
        ran = subprocess.run(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE if onto == "pipe" else stream,
            cwd=Path(__file__).parents[2],
            timeout=60,
            check=True,
        )
    expected = b"before\nbytes\nafter\n"
    if onto == "pipe":
        assert ran.stdout == expected
        return
    assert kept.read_bytes() == (b"first\n" if onto == "end of a file" else b"") + expected
    assert kept.stat().st_ino == inode


def test_the_names_of_open_files(tmp_path: Path) -> None:
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd" / "1").write_bytes(OLD)
    (tmp_path / "link").symlink_to("/dev/stderr")
    names = {"/dev/stdout": 1, "/dev/fd/7": 7, "/proc/self/fd/2": 2, tmp_path / "link": 2, tmp_path / "fd" / "1": None}
    assert {name: descriptor(name) for name in names} == names


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_bytes(OLD)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"key: could not be written \(No space left.*\); nothing was left behind"):
        atomic_write(path, NEW)
    assert path.read_bytes() == OLD and nothing_left(tmp_path)


def test_an_array_keeps_its_shape() -> None:
    """A scalar's too: an output without axes."""
    shapes: list[tuple[int, ...]] = [(), (1,), (0,), (2, 1, 3)]
    for shape in shapes:
        array = np.arange(int(np.prod(shape))).reshape(shape)
        _, arrays = container.decode(container.encode("circuit", {}, {"x": array}), "circuit", "file")
        assert arrays["x"].shape == shape and np.array_equal(arrays["x"], array)
