"""Closed and full streams, no home, directories that cannot be written, little memory: it works, or says so in one sentence."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import guest
from tests.cli.surroundings import need_ordinary_user, run_command
from tests.receipts import HELLO
from tests.test_layers import ROOT
from zkvm.verifier.receipt import Receipt

VECTORS = ROOT / "tests" / "vectors"
IMAGE_ID = json.loads((VECTORS / "hello.json").read_text())["image id"]
VERIFY = ("verify", VECTORS / "hello.receipt", "--image-id", IMAGE_ID)
REJECT = ("verify", VECTORS / "hello.receipt", "--image-id", "00" * 32)
LOOP = guest(["loop", ("addi", "t0", "t0", 1), ("j", "loop")])


def one_sentence(error: str) -> bool:
    """Whether an error is said in one paragraph, without a traceback."""
    return error.startswith("zkvm") and error.count("\n") == 1 and "Traceback" not in error and "internal error" not in error


def stand_alone(*arguments: str | Path, closed: tuple[int, ...] = (), **streams: Any) -> subprocess.CompletedProcess[str]:
    """The verifier that needs numpy only."""

    def close() -> None:
        for number in closed:
            os.close(number)

    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    command = [sys.executable, "-m", "zkvm.verifier", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, preexec_fn=close, text=True, timeout=60, check=False, **given)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (1, 2), (0, 1, 2)], ids=str)
def test_the_verdict_needs_no_streams(closed: tuple[int, ...]) -> None:
    """What would go to a closed stream goes nowhere, and not to another one."""
    for verify in (run_command, lambda arguments, **options: stand_alone(*arguments[1:], **options)):
        assert verify(VERIFY, closed=closed).returncode == 0
        rejected = verify(REJECT, closed=closed)
        assert (rejected.returncode, rejected.stdout) == (1, "")
        assert ("IMAGE_ID" in rejected.stderr) == (2 not in closed)
        told = verify((*REJECT, "--json"), closed=closed)
        assert told.returncode == 1
        assert 1 in closed or json.loads(told.stdout)["reason"] == "IMAGE_ID"


def test_no_file_becomes_a_closed_stream(tmp_path: Path) -> None:
    """The receipt would be the next file that is opened, and the guest's output would be in it."""
    result = run_command(("run", HELLO, "--dev", "--out", tmp_path / "out.receipt"), closed=(0, 1, 2))
    assert result.returncode == 0
    assert Receipt.load(tmp_path / "out.receipt").journal == b"hello"
    assert os.listdir(tmp_path) == ["out.receipt"]


def test_a_full_output_is_said() -> None:
    """Also if nothing is written before the end: a verdict that nobody gets is none."""
    with open("/dev/full", "w") as full:
        for arguments in (VERIFY, (*VERIFY, "--json"), ("soundness",), ("run", HELLO, "--execute-only")):
            result = run_command(arguments, stdout=full)
            assert (result.returncode, one_sentence(result.stderr)) == (2, True), result.stderr
            assert "No space left" in result.stderr
        result = stand_alone(*VERIFY[1:], stdout=full)
        assert (result.returncode, one_sentence(result.stderr)) == (2, True), result.stderr


def test_a_full_error_stream_changes_no_verdict() -> None:
    with open("/dev/full", "w") as full:
        assert run_command(VERIFY, stderr=full).returncode == 0
        assert run_command(("verify", "absent", "--image-id", IMAGE_ID), stderr=full).returncode == 3


def test_an_output_that_nobody_reads() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as unread:
        for result in (run_command(VERIFY, stdout=unread), stand_alone(*VERIFY[1:], stdout=unread)):
            assert result.returncode == 1
            assert "Traceback" not in result.stderr
            assert "Exception ignored" not in result.stderr


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    """A directory that cannot be written."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    need_ordinary_user(folder)
    return folder


@pytest.mark.parametrize("place", ["no home", "read-only home", "home is a file", "read-only cache", "full cache"])
def test_kernels_that_cannot_be_kept(place: str, read_only: Path, tmp_path: Path) -> None:
    """The run goes on, with one sentence of warning that says what to do; nothing half-written stays."""
    home: dict[str, str | None] = {"HOME": None, "NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": None}
    cache = tmp_path / "cache"
    variables: dict[str, dict[str, str | None]] = {
        "no home": {**home, "HOME": "/dev/null/nowhere"},
        "read-only home": {**home, "HOME": str(read_only)},
        "home is a file": {**home, "HOME": str(HELLO)},
        "read-only cache": {"NUMBA_CACHE_DIR": str(read_only)},
        "full cache": {"NUMBA_CACHE_DIR": str(cache)},
    }
    limits = {resource.RLIMIT_FSIZE: 1 << 15} if place == "full cache" else {}
    arguments = ("run", HELLO, "--dev", "--json", "--out", tmp_path / "out.receipt")
    result = run_command(arguments, compiled=False, variables=variables[place], limits=limits)
    assert result.returncode == 0
    assert json.loads(result.stdout)["journal"] == b"hello".hex()
    warning = next(line for line in result.stderr.splitlines() if "cannot be kept" in line)
    assert warning.startswith("zkvm: warning: ")
    assert "NUMBA_CACHE_DIR" in warning
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.part"))
    assert os.listdir(read_only) == []


def test_a_user_without_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whom the system knows nothing, as in containers that run under any number."""
    from zkvm.stark.kernels import manifest

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(NotADirectoryError):
        manifest.cache_directory().mkdir(parents=True)


def test_a_cache_that_can_only_be_read(read_only: Path, tmp_path: Path) -> None:
    """Neither compiled kernels nor an image's roots can be added: the proof needs neither."""
    from zkvm.stark.kernels import library

    library.load()
    path = library.library_path()
    read_only.chmod(0o755)
    (read_only / path.parent.name).mkdir()
    (read_only / path.parent.name / path.name).write_bytes(path.read_bytes())
    for folder in (read_only / path.parent.name, read_only):
        folder.chmod(0o555)
    result = run_command(
        ("run", HELLO, "--params", "fast", "--out", tmp_path / "out.receipt"), variables={"NUMBA_CACHE_DIR": str(read_only)}
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path.name for path in read_only.rglob("*")) == sorted((path.name, path.parent.name))


def test_building_needs_neither_home_nor_the_usual_temporary_directory(read_only: Path, tmp_path: Path) -> None:
    variables: dict[str, str | None] = {"HOME": str(read_only), "XDG_CACHE_HOME": None, "ZIG_GLOBAL_CACHE_DIR": None, "TMPDIR": "/nowhere"}
    result = run_command(("build", HELLO.parent / "main.c", "-o", tmp_path / "hello.elf"), variables=variables)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "hello.elf").is_file()
    assert os.listdir(read_only) == []


def test_outputs_into_directories_that_cannot_be_written(read_only: Path) -> None:
    for arguments in (
        ("run", HELLO, "--dev", "--out", read_only / "out.receipt"),
        ("build", HELLO.parent / "main.c", "-o", read_only / "out.elf"),
        ("profile", HELLO, "--out", read_only / "out.html"),
        ("new", read_only / "project"),
    ):
        result = run_command(arguments)
        assert (result.returncode, result.stdout, one_sentence(result.stderr)) == (2, "", True), result.stderr
        assert "cannot write" in result.stderr
        assert os.listdir(read_only) == []


def test_devices_are_written_to_by_anybody() -> None:
    assert run_command(("run", HELLO, "--dev", "--out", "/dev/null")).returncode == 0
    result = run_command(("run", HELLO, "--dev", "--out", "/dev/full"))
    assert (result.returncode, result.stderr) == (2, "zkvm: cannot write /dev/full: No space left on device\n")


@pytest.mark.parametrize("kibibytes", [4_000_000, 1_500_000])
@pytest.mark.parametrize("command", ["run", "check"])
def test_an_endless_loop_in_little_memory(command: str, kibibytes: int, tmp_path: Path) -> None:
    """One proof is stopped when it would no longer fit, long before its cycles are up; a run in segments when these are."""
    (tmp_path / "loop.elf").write_bytes(LOOP)
    options = ("--out", tmp_path / "out.receipt") if command == "run" else ()
    result = run_command((command, tmp_path / "loop.elf", *options), limits={resource.RLIMIT_AS: kibibytes << 10})
    assert (result.returncode, result.stdout, one_sentence(result.stderr)) == (5, "", True), result.stderr
    assert "the guest has not ended after" in result.stderr
    assert ("look for an endless loop" if command == "run" else "GiB for it") in result.stderr
    assert os.listdir(tmp_path) == ["loop.elf"]


def test_what_runs_out_of_memory_says_so(tmp_path: Path) -> None:
    """With a limit of its own that is above what there is."""
    (tmp_path / "loop.elf").write_bytes(LOOP)
    arguments = ("run", tmp_path / "loop.elf", "--max-memory", "100", "--out", tmp_path / "out.receipt")
    result = run_command(arguments, limits={resource.RLIMIT_AS: 1_200_000 << 10})
    assert (result.returncode, one_sentence(result.stderr)) == (5, True), result.stderr
    assert "out of memory" in result.stderr
    assert os.listdir(tmp_path) == ["loop.elf"]


@pytest.mark.parametrize("source", ["device", "sparse file", "pipe", "standard input"])
def test_verifiers_do_not_read_what_is_longer_than_any_receipt(source: str, tmp_path: Path) -> None:
    """At once, in the memory that a receipt takes: within the limit there is no room for more."""
    path = tmp_path / "run.receipt"
    path.touch()
    os.truncate(path, 1 << 40)
    names = {"device": "/dev/zero", "sparse file": str(path), "pipe": "/dev/stdin", "standard input": "/dev/stdin"}
    for command in ("verify", "inspect", "stand-alone"):
        options = [] if command == "inspect" else ["--image-id", IMAGE_ID]
        with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as endless, open("/dev/zero", "rb") as zero:
            streams: dict[str, Any] = {"stdin": endless.stdout if source == "pipe" else zero}
            if command == "stand-alone":
                result = stand_alone(names[source], *options, **streams)
            else:
                result = run_command((command, names[source], *options), limits={resource.RLIMIT_AS: 2 << 30}, **streams)
            endless.kill()
        assert (result.returncode, result.stdout, one_sentence(result.stderr)) == (3, "", True), result.stderr
        assert names[source] in result.stderr


@pytest.mark.parametrize("command", ["run", "check", "image-id", "disasm", "profile"])
def test_programs_are_not_read_beyond_their_beginning(command: str) -> None:
    result = run_command((command, "/dev/zero"), limits={resource.RLIMIT_AS: 2 << 30})
    assert (result.returncode, one_sentence(result.stderr)) == (3, True), result.stderr
    assert "/dev/zero: not an ELF file" in result.stderr


def test_receipts_from_pipes_are_verified() -> None:
    with open(VECTORS / "hello.receipt", "rb") as file:
        assert run_command(("verify", "/dev/stdin", "--image-id", IMAGE_ID), stdin=file).returncode == 0
    with subprocess.Popen(["cat", VECTORS / "hello.receipt"], stdout=subprocess.PIPE) as pipe:
        assert stand_alone("/dev/stdin", "--image-id", IMAGE_ID, stdin=pipe.stdout).returncode == 0
