"""What is kept of a run in segments: nothing mixed up, nothing damaged goes unnoticed, nothing read by others."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.running import invoke
from tests.riscv.vm.test_cuts import same
from tests.session.test_segments import LENGTH, PROGRAM, Stop, counter, proofs_in, prove, stop_at
from zkvm.api import load_image
from zkvm.errors import CheckpointError, ProvingError
from zkvm.riscv.vm.checkpoint import PAGE_BYTES
from zkvm.session import pieces, segmented, workdir
from zkvm.session.plan import Plan
from zkvm.session.workdir import FolderPages, WorkDir
from zkvm.stark.protocol.joint_codec import encode_part


def test_the_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(Stop):
        prove(work, progress=stop_at("segment 2"))
    before = proofs_in(work)
    others: list[dict[str, object]] = [
        {"program": counter(4097)}, {"stdin": b"x"}, {"params": "balanced"}, {"security": 100}, {"zk": False}, {"segment_cycles": 7000},
        {"pad_to": 1 << 10},
    ]  # fmt: skip
    for other in others:
        with pytest.raises(CheckpointError, match="is of another run: program, input, parameters"):
            prove(work, **other)  # type: ignore[arg-type]
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="not empty, and no directory of a run in segments"):
        prove(strange)
    assert proofs_in(work) == before
    prove(work)


def test_the_command_refuses_the_directory_of_another_run(tmp_path: Path) -> None:
    program, work = tmp_path / "guest.elf", tmp_path / "work"
    program.write_bytes(PROGRAM)
    WorkDir(work, bytes(32))
    outcome = invoke("run", program, "--out", tmp_path / "r", "--params", "fast", "--segment-cycles", str(LENGTH), "--resume", work)
    assert outcome.code == 3
    assert "is of another run" in outcome.err
    assert not (tmp_path / "r").exists()


def test_damaged_files_are_made_again(tmp_path: Path) -> None:
    work = tmp_path / "work"
    first = prove(work)
    (damaged,) = work.glob("proof-2-*")
    data = damaged.read_bytes()
    damaged.write_bytes(data[:1000] + b"?" + data[1001:])
    assert prove(work).receipt.to_bytes() == first.receipt.to_bytes()
    assert damaged.read_bytes() == data
    (work / "plan").write_bytes(b"nonsense")
    again = prove(work)
    again.receipt.verify(again.image_id)
    assert again.receipt.segmented is not None
    assert first.receipt.segmented is not None
    roots = {own.root for own in first.receipt.segmented.proofs} & {own.root for own in again.receipt.segmented.proofs}
    assert not roots, "another plan has another secret"


def test_a_page_that_is_damaged_is_noticed(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(Stop):
        prove(work, progress=stop_at("segment 2"))
    (path,) = (work / "pages").iterdir()
    data = path.read_bytes()
    path.write_bytes(b"".join(data[first : first + 32] + bytes(4096) for first in range(0, len(data), 32 + 4096)))
    with pytest.raises(CheckpointError, match="is damaged"):
        prove(work)


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    work = tmp_path / "work"
    prove(work)
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    assert stat.S_IMODE((work / "plan").stat().st_mode) == 0o600
    assert stat.S_IMODE((work / "pages").stat().st_mode) == 0o700


def test_a_part_is_the_same_whoever_proves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And another execution than that which was committed to is refused."""
    made: list[tuple[object, ...]] = []
    own = pieces.prove_piece

    def keep(*arguments: object) -> object:
        made.append(arguments)
        return own(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(segmented, "prove_piece", keep)
    info = prove(tmp_path / "work")
    assert info.receipt.segmented is not None
    for arguments, proof in zip(made, info.receipt.segmented.proofs, strict=True):
        assert encode_part(own(*arguments)) == encode_part(proof)  # type: ignore[arg-type]
    setting, piece, _ = made[2]
    other = replace(piece, number=1)  # type: ignore[type-var]
    with pytest.raises(ProvingError, match="part 1 of the run came out otherwise than before"):
        own(setting, other)  # type: ignore[arg-type]


def test_a_fresh_secret_for_every_run() -> None:
    """The same run twice: no noise twice."""
    first, second = (prove(None).receipt.segmented for _ in range(2))
    assert first is not None
    assert second is not None
    assert not {own.root for own in first.proofs} & {own.root for own in second.proofs}
    assert not {own.proof.main_root for own in first.proofs} & {own.proof.main_root for own in second.proofs}


def test_plans_have_bytes(tmp_path: Path) -> None:
    work = tmp_path / "work"
    prove(work)
    data = WorkDir(work, (work / "run").read_bytes()[:-32]).load("plan")
    assert data is not None
    image = load_image(PROGRAM)
    plan, again = Plan.from_bytes(data, image), Plan.from_bytes(Plan.from_bytes(data, image).to_bytes(), image)
    assert same(plan, again)
    assert len(plan.cuts) == 3


def test_pages_are_in_a_file(tmp_path: Path) -> None:
    """Those that are there are there for the next process, but for the half of one that a killed process leaves."""
    assert workdir.PAGE_BYTES == PAGE_BYTES
    pages = FolderPages(tmp_path / "pages")
    names, contents = [bytes([number]) * 32 for number in range(4)], [bytes([number]) * 4096 for number in range(4)]
    assert not (tmp_path / "pages").exists()
    for name, content in zip(names[:2], contents[:2], strict=True):
        pages[name] = content
    assert [pages[name] for name in names[:2]] == contents[:2]
    assert list(pages) == names[:2]
    assert names[1] in pages
    with pytest.raises(KeyError):
        _ = pages[names[2]]
    pages[names[0]] = contents[3]
    pages.close()
    (path,) = (tmp_path / "pages").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(path.read_bytes() + names[2] + bytes(100))
    again = FolderPages(tmp_path / "pages")
    assert dict(again) == {names[0]: contents[3], names[1]: contents[1]}
    again[names[3]] = contents[3]
    again.flush()
    assert dict(FolderPages(tmp_path / "pages")) == {names[0]: contents[3], names[1]: contents[1], names[3]: contents[3]}
    del again[names[3]]
    assert len(again) == 2
    again.close()
    path.unlink()
    assert not FolderPages(tmp_path / "pages")
