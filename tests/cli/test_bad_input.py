"""Every bad input: a clear message, the documented exit code, no traceback, nothing half-written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import guest, invoke
from tests.receipts import ECHO, HELLO
from tests.riscv.vm.elf_files import EXECUTE, READ, TEXT, WRITE, ElfSpec, Header, code
from zkvm.riscv.vm.assemble import EXIT, Item

CODE = Header(TEXT, code(), READ | EXECUTE)
NO_EXIT: list[Item] = [("li", "a0", 0), *EXIT]

BAD_FILES = {
    "empty": (b"", "not an ELF file"),
    "not an ELF": (b"#!/bin/sh\necho hello\n" * 10, "not an ELF file"),
    "64-bit": (ElfSpec(elf_class=2).build() + bytes(64), "64-bit ELF file"),
    "big-endian": (ElfSpec(endian=2).build(), "big-endian"),
    "for another processor": (ElfSpec(machine=62).build(), "not for RISC-V"),
    "compressed code": (ElfSpec(flags=1).build(), "compressed instructions"),
    "truncated header": (ElfSpec().build()[:40], "truncated"),
    "truncated program headers": (ElfSpec().build()[:60], "malformed|truncated"),
    "truncated data": (ElfSpec().build()[:-4], "truncated"),
    "overlapping segments": (ElfSpec([CODE, Header(TEXT + 4, bytes(64), READ)]).build(), "overlap"),
    "huge segment": (ElfSpec([CODE, Header(0x80_0000, b"", READ | WRITE, size=0xFFFF_0000)]).build(), "limit"),
    "writable text": (ElfSpec([Header(TEXT, code(), READ | WRITE | EXECUTE)]).build(), "writable and executable"),
    "entry outside the text": (ElfSpec(entry=0x80_0000).build(), "entry point"),
    "no segments": (ElfSpec([]).build(), "no loadable segments"),
}

TRAPS: dict[str, tuple[bytes, str]] = {
    "store outside memory": (guest([("li", "t0", 0x10), ("sw", "t0", "t0", 0), *NO_EXIT]), "outside memory"),
    "store to text": (guest([("la", "t0", TEXT), ("sw", "t0", "t0", 0), *NO_EXIT]), "read-only memory"),
    "store to constants": (guest([("la", "t0", "rodata"), ("sw", "t0", "t0", 0), *NO_EXIT], rodata=bytes(16)), "read-only memory"),
    "jump to data": (guest([("la", "t0", "data"), ("jr", "t0"), *NO_EXIT], data=bytes(16)), "outside the program"),
    "jump to constants": (guest([("la", "t0", "rodata"), ("jr", "t0"), *NO_EXIT], rodata=bytes(16)), "0x00400000"),
    "illegal instruction": (guest([(".word", 0xFFFF_FFFF), *NO_EXIT]), "illegal instruction|no RV32IM instruction"),
    "illegal second instruction": (guest([("nop",), (".word", 0xFFFF_FFFF), *NO_EXIT]), "illegal instruction"),
    "misaligned load": (guest([("la", "t0", "data"), ("lw", "t0", "t0", 1), *NO_EXIT], data=bytes(16)), "misaligned"),
    "breakpoint": (guest([("ebreak",), *NO_EXIT]), "ebreak"),
    "runs off the end": (guest([("nop",)]), "outside the program"),
    "journal from nowhere": (
        guest([("li", "a7", 64), ("li", "a0", 3), ("li", "a1", 0), ("li", "a2", 4), ("ecall",), *NO_EXIT]),
        "outside memory",
    ),
}


def refused(tmp_path: Path, *arguments: str | Path) -> tuple[int, str]:
    """Run the guest ``tmp_path/guest.elf``; exit code and message. Nothing may be written."""
    before = sorted(os.listdir(tmp_path))
    outcome = invoke("run", tmp_path / "guest.elf", "--out", tmp_path / "out.receipt", *arguments)
    assert sorted(os.listdir(tmp_path)) == before
    assert outcome.out == ""
    assert outcome.err.startswith("zkvm: ")
    assert "Traceback" not in outcome.err
    assert "internal error" not in outcome.err
    return outcome.code, outcome.err


BAD_FOR = [(name, command) for name in BAD_FILES for command in ("run", "check", "image-id", "inspect")]
BAD_FOR += [(name, "disasm") for name in BAD_FILES if name not in ("overlapping segments", "writable text", "entry outside the text")]
"""A listing needs no memory map."""


@pytest.mark.parametrize(("name", "command"), BAD_FOR)
def test_bad_files(name: str, command: str, tmp_path: Path) -> None:
    content, message = BAD_FILES[name]
    path = tmp_path / "guest.elf"
    path.write_bytes(content)
    outcome = invoke(command, path)
    assert outcome.code == 3
    assert outcome.out == ""
    assert outcome.err.startswith("zkvm: ")
    assert str(path) in outcome.err
    assert "Traceback" not in outcome.err
    assert re.search(message, outcome.err)
    assert os.listdir(tmp_path) == ["guest.elf"]


@pytest.mark.parametrize("name", TRAPS)
def test_traps(name: str, tmp_path: Path) -> None:
    content, message = TRAPS[name]
    (tmp_path / "guest.elf").write_bytes(content)
    code, text = refused(tmp_path)
    if name == "illegal instruction":  # the entry itself is refused by the loader
        assert code == 3
    else:
        assert code == 4
        assert "at pc 0x" in text
        assert "_start" in text
    assert re.search(message, text)


def test_a_trap_in_json(tmp_path: Path) -> None:
    (tmp_path / "guest.elf").write_bytes(TRAPS["store to text"][0])
    outcome = invoke("run", tmp_path / "guest.elf", "--json", "--out", tmp_path / "out.receipt")
    assert outcome.code == 4
    view = outcome.json
    assert (view["kind"], view["trap"], view["exit_code"], view["cycle"]) == ("GuestTrap", "store_to_rom", 4, 2)
    assert os.listdir(tmp_path) == ["guest.elf"]


def test_a_guest_that_loops_forever(tmp_path: Path) -> None:
    (tmp_path / "guest.elf").write_bytes(guest(["loop", ("j", "loop")]))
    for extra in ((), ("--execute-only",), ("--dev",)):
        code, text = refused(tmp_path, "--max-cycles", "1000", *extra)
        assert code == 5
        assert "--max-cycles" in text


def test_reading_past_the_end_of_the_input_gives_zero_bytes(tmp_path: Path) -> None:
    items: list[Item] = [("li", "a7", 63), ("li", "a0", 0), ("la", "a1", "data"), ("li", "a2", 8), ("ecall",), *EXIT]
    (tmp_path / "guest.elf").write_bytes(guest(items, data=bytes(16)))
    (tmp_path / "input").write_bytes(b"abc")
    assert invoke("run", tmp_path / "guest.elf", "--execute-only", "--json").json["exit_code"] == 0
    outcome = invoke("run", tmp_path / "guest.elf", "--execute-only", "--json", "--input", tmp_path / "input")
    assert (outcome.code, outcome.json["exit_code"]) == (1, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "absent.elf"),
        ("run", str(ECHO), "--input", "absent"),
        ("check", "absent.elf"),
        ("check", str(ECHO), "--input", "absent"),
        ("verify", "absent", "--image-id", "00" * 32),
        ("verify", str(ECHO), "--elf", "absent"),
        ("inspect", "absent"),
        ("image-id", "absent.elf"),
        ("image-id", "."),
        ("verify", str(ECHO), "--elf", "."),
        ("disasm", "absent.elf"),
        ("run", "."),
    ],
    ids=" ".join,
)
def test_missing_files(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = invoke(*arguments)
    assert outcome.code == 3
    assert outcome.out == ""
    assert "No such file" in outcome.err or "Is a directory" in outcome.err
    assert os.listdir(tmp_path) == []


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "absent" / "out.receipt", ECHO / "out.receipt"):
        for command in (("run", HELLO, "--out", target), ("build", HELLO.parent / "main.c", "-o", target)):
            outcome = invoke(*command)
            assert outcome.code == 2
            assert outcome.out == ""
            assert outcome.err.startswith(f"zkvm: cannot write {target}")
    assert os.listdir(tmp_path) == []


def full(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("run", HELLO, "--dev", "--out"), "out.receipt"),
        (("profile", HELLO, "--out"), "out.html"),
        (("profile", HELLO, "--out"), "out.json"),
        (("build", HELLO.parent / "main.c", "-o"), "out.elf"),
        (("new",), "project"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("failure", [full, interrupted])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_output_that_fails_late(
    arguments: tuple[str | Path, ...], name: str, failure: Callable[..., None], step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file is as it was, a new one is not there, and nothing else is."""
    for old in (b"", b"old") if name != "project" else (b"",):
        if old:
            (tmp_path / name).write_bytes(old)
        with monkeypatch.context() as patched:
            patched.setattr(os, step, failure)
            outcome = invoke(*arguments, tmp_path / name)
        assert outcome.code == (2 if failure is full else 130)
        assert ("No space left" in outcome.err) == (failure is full)
        assert os.listdir(tmp_path) == ([name] if old else [])
        assert not old or (tmp_path / name).read_bytes() == old


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", HELLO, "--params", "tiny"), "no parameter set"),
        (("run", HELLO, "--security", "80"), "no parameter set"),
        (("run", HELLO, "--max-memory", "-1"), "positive number"),
        (("run", HELLO, "--max-memory", "nan"), "positive number"),
        (("run", HELLO, "--max-cycles", "0"), "--max-cycles"),
        (("run", HELLO, "--threads", "0"), "--threads"),
        (("run",), "GUEST.elf"),
        (("run", HELLO, "--unknown"), "--unknown"),
        (("verify", HELLO), "--image-id HEX, --elf GUEST.elf, or both"),
        (("verify", HELLO, "--image-id", "12"), "64 hexadecimal digits"),
        (("verify", HELLO, "--image-id", "12", "--elf", "absent"), "64 hexadecimal digits"),
        (("soundness", "--rows", "1000000"), "power of two"),
        (("soundness", "--rows", "2^40"), "power of two"),
        (("soundness", "--rows", "many"), "power of two"),
        (("build", HELLO, "-o", "out.elf"), "not a C, C++, assembly or object file"),
        (("build", "absent.c", "-o", "out.elf"), "no such file"),
        (("nonsense",), "nonsense"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_usage(arguments: tuple[str | Path, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = invoke(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert os.listdir(tmp_path) == []


def test_memory_limit(tmp_path: Path) -> None:
    (tmp_path / "guest.elf").write_bytes(ECHO.read_bytes())
    code, text = refused(tmp_path, "--max-memory", "0.2")
    assert code == 5
    assert "takes more memory than there is for its proof, and it is as short as can be: raise --max-memory" in text


def test_a_bug_is_reported_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr("zkvm.api.compute_image_id", broken)
    outcome = invoke("image-id", HELLO)
    assert outcome.code == 70
    assert "internal error: RuntimeError: unexpected" in outcome.err
    assert "please report it" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_full_disk_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", "/cache/kernel")

    monkeypatch.setattr("zkvm.api.compute_image_id", full)
    outcome = invoke("image-id", HELLO)
    assert (outcome.code, outcome.out) == (2, "")
    assert "refused: [Errno 28] No space left on device: '/cache/kernel'" in outcome.err


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zkvm.api.compute_image_id", interrupted)
    outcome = invoke("image-id", HELLO)
    assert (outcome.code, outcome.err) == (130, "zkvm: interrupted\n")
