"""Files: whole or not at all, never read beyond a bound."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.test_layers import ROOT
from zkvm.files import read_at_most, read_kinds, write_atomically, write_folder


class Interruption(BaseException):
    """As Ctrl-C, which pytest would take for its own."""


def interrupted(*arguments: object) -> None:
    raise Interruption


def full(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture(
    params=[("replace", interrupted), ("replace", full), ("fsync", interrupted), ("fsync", full), ("chmod", full)],
    ids=lambda way: f"{way[0]}-{way[1].__name__}",
)
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some step of a write fails."""
    step, failure = request.param
    monkeypatch.setattr(os, step, failure)


@pytest.mark.usefixtures("failing")
def test_what_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "run.receipt"
    path.write_bytes(b"old")
    with pytest.raises((Interruption, OSError)):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["run.receipt"]


@pytest.mark.usefixtures("failing")
def test_a_folder_that_fails_is_as_before(tmp_path: Path) -> None:
    """One with older files, an empty one, and one that is not there."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_bytes(b"old")
    with pytest.raises((Interruption, OSError)):
        write_folder(tmp_path / "model", {"a": b"new", "b": b"new"})
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["a"]
    assert (tmp_path / "model" / "a").read_bytes() == b"old"


@pytest.mark.parametrize("exists", [False, True])
def test_an_interrupted_new_folder_is_not_there(exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if the second of two names cannot be given."""
    if exists:
        (tmp_path / "new").mkdir()
    given: list[object] = []
    replace = os.replace

    def once(source: Path, target: Path) -> None:
        given.append(target)
        if len(given) > 1:
            raise Interruption
        replace(source, target)

    monkeypatch.setattr(os, "replace", once)
    with pytest.raises(Interruption):
        write_folder(tmp_path / "new", {"a": b"1", "b": b"2"})
    assert os.listdir(tmp_path) == (["new"] if exists else [])
    assert not exists or os.listdir(tmp_path / "new") == []


def test_a_folder_is_made_and_filled(tmp_path: Path) -> None:
    written = write_folder(tmp_path / "deep" / "new", {"a": b"1", "b": b"2"})
    assert [path.read_bytes() for path in written] == [b"1", b"2"]
    assert sorted(os.listdir(tmp_path / "deep" / "new")) == ["a", "b"]


def test_a_disk_that_is_full_in_the_middle(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the write itself fails, after a part of it was done."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = f"from zkvm.files import write_atomically; write_atomically({str(path)!r}, bytes(1 << 20))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)),
    )  # fmt: skip
    assert "File too large" in result.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"content"


def test_a_device_is_not_replaced() -> None:
    write_atomically(Path(os.devnull), b"content")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_name_of_the_largest_length(tmp_path: Path) -> None:
    """Its neighbour's name is no longer."""
    write_atomically(tmp_path / ("x" * 255), b"content")
    assert os.listdir(tmp_path) == ["x" * 255]


def test_permissions_follow_the_umask_or_the_old_file(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new", b"")
        (tmp_path / "old").write_bytes(b"")
        (tmp_path / "old").chmod(0o700)
        write_atomically(tmp_path / "old", b"")
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old")] == [0o640, 0o700]


def test_reading_ends_at_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    assert read_at_most(path, 100) == bytes(100)
    assert read_at_most(path, 99) is None
    assert read_at_most("/dev/zero", 1 << 21) is None
    assert read_at_most(os.devnull, 0) == b""


@pytest.mark.parametrize(("length", "limit"), [(0, 0), (5, 5), (6, 5), (1 << 20, 1 << 20), ((1 << 20) + 1, 1 << 20)])
def test_pipes_are_read_to_their_end(length: int, limit: int) -> None:
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(bytes(length))

    writer = threading.Thread(target=feed)
    writer.start()
    try:
        content = read_at_most(f"/dev/fd/{read_end}", limit)
        assert content == (bytes(length) if length <= limit else None)
    finally:
        os.close(read_end)
        writer.join()


def test_a_file_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    kinds = {b"MAGIC": 100, b"OTHER MAGIC": 10}
    path = tmp_path / "file"
    for content, expected in (
        (b"MAGIC" + bytes(95), b"MAGIC" + bytes(95)),
        (b"MAGIC" + bytes(96), None),
        (b"OTHER MAGIC", None),
        (b"MAG", b"MAG"),
        (b"no magic, whatever follows", b"no magic, w"),
    ):
        path.write_bytes(content)
        assert read_kinds(path, kinds) == expected
    assert read_kinds("/dev/zero", kinds) == bytes(11)
