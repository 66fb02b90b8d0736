"""The public functions: what they return, what they refuse, and how run, image and limits meet in one call."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import zkvm
from tests.receipts import ECHO, GUESTS, HELLO, TEXT
from zkvm import api
from zkvm.errors import ElfError, GuestError, LimitError, ProvingError, UsageError
from zkvm.riscv.records import Image
from zkvm.session import preparing
from zkvm.session.resources import prove_extra, thread_count
from zkvm.verifier.receipt import MAX_JOURNAL_BYTES

FILE = HELLO.read_bytes()


def test_public_names() -> None:
    assert [name for name in zkvm.__all__ if not hasattr(zkvm, name)] == []
    assert set(zkvm.__all__) <= set(dir(zkvm))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        zkvm.nonsense  # noqa: B018


def test_a_program_is_its_bytes_or_its_path() -> None:
    assert zkvm.compute_image_id(FILE) == zkvm.compute_image_id(HELLO) == zkvm.compute_image_id(str(HELLO))
    assert zkvm.compute_image_id(ECHO) != zkvm.compute_image_id(HELLO)
    assert zkvm.load_image(FILE).content_id == zkvm.load_image(HELLO).content_id


def test_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ElfError, match="absent.elf: No such file"):
        zkvm.load_image(tmp_path / "absent.elf")


def test_execute() -> None:
    written: list[bytes] = []
    session = zkvm.execute(FILE, stdout=written.append)
    assert (session.cycles, session.exit_code, session.journal) == (28, 0, b"hello")
    assert b"".join(written) == session.stdout == b"hello from the guest\n"
    assert session.functions == ()
    assert zkvm.execute(ECHO, TEXT).journal == TEXT


def test_profile_counts_every_cycle() -> None:
    session = zkvm.execute(FILE, profile=True)
    assert sum(cycles for _, cycles in session.functions) == session.cycles
    assert list(session.functions) == sorted(session.functions, key=lambda item: -item[1])


def test_prove_reports_progress_and_figures() -> None:
    seen: list[tuple[str, float]] = []
    info = zkvm.prove(FILE, params="fast", threads=1, progress=lambda phase, share: seen.append((phase, share)))
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert (seen[0], seen[-1]) == (("load", 0.0), ("", 1.0))
    phases = [phase for phase, _ in seen if phase]
    assert list(info.seconds) == [*phases, "total"]
    assert info.seconds["total"] >= sum(info.seconds[phase] for phase in phases)
    assert (info.cycles, info.session.journal, info.image_id) == (28, b"hello", zkvm.compute_image_id(FILE))
    assert info.security_bits >= 100
    assert info.peak_memory_bytes > 50 << 20
    assert info.receipt.verify(info.image_id).exit_code == 0


def test_proofs_with_zero_knowledge_differ_and_those_without_do_not() -> None:
    blinded, again = (zkvm.prove(FILE, params="fast", verify=False).receipt.to_bytes() for _ in range(2))
    plain, repeated = (zkvm.prove(FILE, params="fast", zk=False, verify=False).receipt.to_bytes() for _ in range(2))
    assert blinded != again
    assert plain == repeated


def test_the_self_check_is_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = api._seal

    def lying(*arguments: object) -> object:
        from dataclasses import replace

        return replace(broken(*arguments), nonce=1)  # type: ignore[arg-type]

    monkeypatch.setattr(api, "_seal", lying)
    with pytest.raises(ProvingError, match="does not verify"):
        zkvm.prove(FILE, params="fast")


def test_limits() -> None:
    with pytest.raises(LimitError, match="about .* GiB, more than the limit of 0.10 GiB"):
        zkvm.prove(FILE, max_memory=(1 << 30) // 10)
    with pytest.raises(LimitError, match="27 cycles"):
        zkvm.prove(FILE, max_cycles=27)
    assert zkvm.execute(FILE, max_cycles=28).cycles == 28
    for wrong in (0, -1):
        with pytest.raises(UsageError):
            zkvm.execute(FILE, max_cycles=wrong)
        with pytest.raises(UsageError):
            thread_count(wrong)


def test_a_journal_that_no_receipt_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MAX_JOURNAL_BYTES", 4)
    with pytest.raises(LimitError, match="the journal has 5 bytes"):
        zkvm.prove(FILE)
    assert MAX_JOURNAL_BYTES >= 1 << 20


def test_unknown_parameters() -> None:
    with pytest.raises(UsageError, match="no parameter set 'huge' with 128 bits"):
        zkvm.prove(FILE, params="huge")


def test_a_trap_has_no_receipt() -> None:
    with pytest.raises(GuestError):
        zkvm.prove(b"\x7fELF")


def test_check_finds_nothing_in_honest_tables() -> None:
    assert zkvm.check(FILE) == []


def test_check_names_a_tuple_that_is_in_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object, **options: object) -> None:
        raise ProvingError("add: range of the sum: row 3 asks for [70000]")

    monkeypatch.setattr(api, "build_tables", missing)
    assert ["row 3" in str(failure) for failure in zkvm.check(FILE)] == [True]


def test_missing_packages_of_others_are_no_usage_error() -> None:
    with pytest.raises(UsageError, match="pip install 'zkvm\\[prove\\]'"), prove_extra():
        raise ModuleNotFoundError("No module named 'numba.core'", name="numba.core")
    with pytest.raises(ModuleNotFoundError), prove_extra():
        raise ModuleNotFoundError("No module named 'other'", name="other")


def test_guests_in_the_repository_have_one_image_id_each() -> None:
    files = sorted(GUESTS.glob("*/*.elf"))
    assert len({zkvm.compute_image_id(file) for file in files}) == len(files) >= 5


@pytest.mark.parametrize(("threads", "limit", "beside"), [(2, None, True), (1, None, False), (2, 1 << 40, False)])
def test_the_image_is_committed_beside_the_run(monkeypatch: pytest.MonkeyPatch, threads: int, limit: int | None, beside: bool) -> None:
    """Not where there is one thread, nor before a limit of memory is checked."""
    seen: list[tuple[bool, int]] = []
    committed_image = preparing.committed_image

    def spy(image: Image, blowup: int, threads: int) -> tuple[Any, ...]:
        seen.append((threading.current_thread() is not threading.main_thread(), threads))
        return committed_image(image, blowup, threads)

    monkeypatch.setattr(api, "committed_image", spy)
    receipt = zkvm.prove(FILE, params="fast", dev=True, threads=threads, max_memory=limit).receipt
    assert seen == [(beside, threads)]
    assert receipt.claim.image_id.hex() == zkvm.compute_image_id(FILE)


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_beside_each_other(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """That of the run comes first, that of the image is not lost."""

    def fail(image: Image, blowup: int, threads: int) -> None:
        raise LimitError("the program is too large")

    monkeypatch.setattr(api, "committed_image", fail)
    with pytest.raises(LimitError, match="cycles"):
        zkvm.prove(FILE, threads=threads, max_cycles=3)
    with pytest.raises(LimitError, match="the program is too large"):
        zkvm.prove(FILE, threads=threads)
