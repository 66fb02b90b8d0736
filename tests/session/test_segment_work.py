"""Runs in segments: nothing of the user's is lost, and nothing is proven that nobody would accept or that cannot be gone on with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.running import guest, invoke
from tests.session.test_segments import LENGTH, PROGRAM, Stop, proofs_in, prove, stop_at
from zkvm.errors import CheckpointError, LimitError, UsageError
from zkvm.session import totals
from zkvm.session.totals import Totals
from zkvm.session.workdir import FolderPages, WorkDir, discard
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.shape import ProofShape
from zkvm.verifier.receipt import Receipt

# --- the directory -------------------------------------------------------------------------------------------------------------------


def test_a_receipt_in_the_directory_stays(tmp_path: Path) -> None:
    """Also everything else that was put there; what the work left goes."""
    program, work = tmp_path / "guest.elf", tmp_path / "work"
    program.write_bytes(PROGRAM)
    work.mkdir()
    receipt = work / "guest.receipt"
    outcome = invoke("run", program, "--out", receipt, "--params", "fast", "--segment-cycles", str(LENGTH), "--resume", work)
    assert outcome.code == 0, outcome.err
    assert [path.name for path in work.iterdir()] == ["guest.receipt"]
    Receipt.load(receipt)


def test_what_is_left_of_a_run_is_deleted(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(Stop):
        prove(work, progress=stop_at("segment 2"))
    (work / ".zkvm-0123456789abcdef.part").write_bytes(b"half of a plan")
    (work / "pages" / ".page.part").write_bytes(b"half of a page")
    discard(work)
    assert not work.exists()
    discard(work)


@pytest.mark.parametrize("step", range(6))
def test_who_is_killed_while_deleting_begins_again(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left: the same command ends with a receipt."""
    work = tmp_path / "work"
    prove(work, verify=False)
    left = [step]
    unlink, rmtree = Path.unlink, shutil.rmtree

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    def delete(path: Path, missing_ok: bool = False) -> None:
        count()
        unlink(path, missing_ok)

    def delete_folder(path: Path, ignore_errors: bool) -> None:
        count()
        rmtree(path, ignore_errors)

    monkeypatch.setattr(Path, "unlink", delete)
    monkeypatch.setattr("zkvm.session.workdir.shutil.rmtree", delete_folder)
    with pytest.raises(Stop):
        discard(work)
    monkeypatch.undo()
    assert work.exists()
    info = prove(work)
    info.receipt.verify(info.image_id)


def test_a_page_that_is_damaged_is_written_again(tmp_path: Path) -> None:
    """One that a broken first pass left: pages are not forced to the disk."""
    work = tmp_path / "work"
    with pytest.raises(Stop):
        prove(work, progress=stop_at("cut 2"))
    pages = list((work / "pages").iterdir())
    assert pages
    for page in pages:
        page.write_bytes(b"")
    info = prove(work)
    info.receipt.verify(info.image_id)


@pytest.mark.parametrize("name", ["plan", "page", "checkpoint"])
def test_what_cannot_be_gone_on_with_says_where_it_is(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    with pytest.raises(Stop):
        prove(work, progress=stop_at("segment 2"))
    if name == "plan":  # as another version would have written it
        WorkDir(work, WorkDir.load(_opened(work), "run") or b"").save("plan", b"PK\3\4 other")
    elif name == "page":
        for page in (work / "pages").iterdir():
            page.unlink()
    else:
        monkeypatch.setattr("zkvm.riscv.vm.checkpoint.VERSION", 2)
    with pytest.raises(CheckpointError, match=f"the work in {work} cannot be gone on with: delete it, or choose another one"):
        prove(work)
    program = tmp_path / "guest.elf"
    program.write_bytes(PROGRAM)
    options = ("--out", tmp_path / "r", "--params", "fast", "--segment-cycles", str(LENGTH), "--resume", work, "--threads", "2")
    outcome = invoke("run", program, *options)
    assert outcome.code != 0
    assert "delete it" in outcome.err
    assert "goes on" not in outcome.err
    assert "Traceback" not in outcome.err


def _opened(work: Path) -> WorkDir:
    """Without asking of which run it is."""
    opened = WorkDir.__new__(WorkDir)
    opened.folder, opened.pages = work, FolderPages(work / "pages")
    return opened


def test_a_proof_that_another_version_wrote_is_made_again(tmp_path: Path) -> None:
    work = tmp_path / "work"
    first = prove(work)
    (name,) = [name for name in proofs_in(work) if name.startswith("proof-1-")]
    _opened(work).save(name, b"another layout")
    assert prove(work).receipt.to_bytes() == first.receipt.to_bytes()


@pytest.mark.parametrize("kind", ["file", "identity", "plan", "pages"])
def test_names_that_are_something_else(tmp_path: Path, kind: str) -> None:
    work, program = tmp_path / "work", tmp_path / "guest.elf"
    program.write_bytes(PROGRAM)
    if kind == "file":
        work.write_bytes(b"a file")
    else:
        with pytest.raises(Stop):
            prove(work, progress=stop_at("segment 1"))
        if kind == "pages":
            os.rename(work / "pages", work / "other")
            (work / "pages").write_bytes(b"a file")
        else:
            place = work / {"identity": "run", "plan": "plan"}[kind]
            place.unlink()
            place.mkdir()
    outcome = invoke("run", program, "--out", tmp_path / "r", "--params", "fast", "--segment-cycles", str(LENGTH), "--resume", work)
    assert outcome.code != 0
    assert "Traceback" not in outcome.err
    assert "work" in outcome.err
    assert not (tmp_path / "r").exists()


# --- what nobody would accept ---------------------------------------------------------------------------------------------------------


def test_more_segments_than_verifiers_accept(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(LimitError, match="more than 2 segments, which is what verifiers accept"):
        prove(work, policy=Policy(max_segments=2))
    assert not proofs_in(work)
    assert prove(work, policy=Policy(max_segments=3)).receipt.segments == 3


@pytest.mark.parametrize("why", ["limit", "trap"])
def test_a_run_that_cannot_be_proven_leaves_nothing(tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its guest's memory is in pages of the first segments."""
    program, work = tmp_path / "guest.elf", tmp_path / "work"
    program.write_bytes(PROGRAM if why == "limit" else guest([*[("nop",)] * (LENGTH + 10), ("ebreak",)]))
    if why == "limit":
        monkeypatch.setattr(totals, "MAX_INSTRUCTIONS", 30_000)
    outcome = invoke("run", program, "--out", tmp_path / "r", "--params", "fast", "--segment-cycles", str(LENGTH), "--resume", work)
    assert outcome.code != 0
    assert ("rows of instructions" if why == "limit" else "ebreak") in outcome.err
    assert "the work so far" not in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["guest.elf"]


def test_bits_that_verifiers_demand(tmp_path: Path) -> None:
    """Said before anything is proven."""
    for policy in (Policy(129), Policy(128, regime="unique")):
        with pytest.raises(UsageError, match="proofs by 'fast' with 128 bits would be refused: .* demanded"):
            prove(tmp_path / "work", policy=policy)
    assert not proofs_in(tmp_path / "work")


def test_instructions_and_bytes_of_all_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[ProofShape] = []
    add = Totals.add_segment

    def keep(self: Totals, shape: ProofShape, tuples: int) -> None:
        shapes.append(shape)
        add(self, shape, tuples)

    monkeypatch.setattr(Totals, "add_segment", keep)
    receipt = prove(None, zk=False, verify=False).receipt
    assert receipt.segmented is not None
    assert [shape.log_heights for shape in shapes] == [own.proof.log_heights for own in receipt.segmented.proofs[1:]]
    whole = Totals(Policy(), 1 << 30)
    add(whole, shapes[0], 7)
    assert whole.segments == 1
    assert whole.size <= len(receipt.to_bytes())
    with pytest.raises(LimitError, match=f"a receipt of more than {whole.size} bytes"):
        add(Totals(Policy(), whole.size, size=1), shapes[0], 0)
    monkeypatch.setattr(totals, "MAX_INSTRUCTIONS", 2 * whole.rows)
    with pytest.raises(LimitError, match="rows of instructions; a run has fewer than"):
        add(whole, shapes[0], 0)


def test_padding_by_the_program_is_not_left_out_where_work_goes_on(tmp_path: Path) -> None:
    """A run that was begun without padding does not go on so if it is asked for: heights would tell more than the caller wants."""
    work = tmp_path / "work"
    with pytest.raises(Stop):
        prove(work, progress=stop_at("segment 1"), segment_cycles=LENGTH)
    with pytest.raises(CheckpointError, match="is of another run"):
        prove(work, segment_cycles="auto", pad_to="program")
    assert prove(None, segment_cycles=LENGTH, pad_to="program", dev=True).receipt.dev
