"""Runs in segments from end to end: cut by memory, interrupted anywhere and gone on with, nothing done twice, nothing mixed up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import zkvm
from tests.cli.running import guest, invoke
from tests.riscv.vm.test_cuts import same
from tests.sample import INPUT, sample_image
from zkvm.api import load_image
from zkvm.errors import Cancelled, LimitError, UsageError
from zkvm.riscv.machine import machine, segment_machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import Item
from zkvm.riscv.vm.cuts import SegmentedRun, survey
from zkvm.session import cutting, lengths, pieces, segmented
from zkvm.session.cutting import ByLength
from zkvm.session.lengths import Lengths
from zkvm.session.pieces import Piece
from zkvm.session.run import ExecutorEnv, Told
from zkvm.session.setting import Setting
from zkvm.stark.protocol.joint_codec import encode_part
from zkvm.stark.protocol.params import parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.memory import LATER_BYTES, predicted_bytes
from zkvm.stark.prover.preprocessed import commit_preprocessed
from zkvm.stark.tables import Padding, planned_heights
from zkvm.verifier.image import image_columns, image_header

WRITE: list[Item] = [("li", "a7", 64), ("addi", "a1", "sp", -16), ("li", "a2", 4), ("ecall",)]


def counter(count: int) -> bytes:
    """A guest that counts down, and says where it is on the way."""
    items: list[Item] = [("li", "s0", count), "loop", ("addi", "s0", "s0", -1), ("sw", "s0", "sp", -16), ("andi", "t0", "s0", 0x3FF)]
    items += [("bnez", "t0", "on"), ("li", "a0", 1), *WRITE, ("li", "a0", 3), *WRITE, "on", ("bnez", "s0", "loop")]
    return guest([*items, ("li", "a0", 0), ("li", "a7", 93), ("ecall",)])


PROGRAM = counter(4096)
"""Some 20,000 instructions."""
LENGTH = 8000


def prove(work: Path | None, program: bytes = PROGRAM, stdin: bytes = b"", **options: object) -> zkvm.ProveInfo:
    given: dict[str, object] = {"params": "fast", "segment_cycles": LENGTH, "threads": 2} | options
    return zkvm.prove(program, stdin, work_dir=work, **given)  # type: ignore[arg-type]


def proofs_in(work: Path) -> dict[str, int]:
    """Names of the proofs that are done, with the time when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in work.glob("proof-*")}


class Stop(Exception):
    """Whoever looks at the progress has had enough."""


def stop_at(phase: str) -> Callable[[str, float], None]:
    """Progress that ends with the first phase of this name."""

    def step(name: str, share: float) -> None:
        if name.startswith(phase):
            raise Stop

    return step


# --- whole ---------------------------------------------------------------------------------------------------------------------------


def test_a_run_in_segments() -> None:
    said = bytearray()
    info = prove(None, stdout=said.extend)
    whole = zkvm.execute(PROGRAM)
    assert info.receipt.segments == 3
    assert (info.session.journal, info.session.stdout, info.cycles) == (whole.journal, whole.stdout, whole.cycles)
    assert bytes(said) == whole.stdout
    assert len(whole.journal) == 16
    assert list(info.seconds) == ["load", "image", "segments", "verify", "total"]
    info.receipt.verify(zkvm.compute_image_id(PROGRAM))


def test_progress_names_every_segment() -> None:
    seen: list[tuple[str, float]] = []
    prove(None, progress=lambda phase, share: seen.append((phase, share)), zk=False, verify=False)
    names = [phase for phase, _ in seen]
    for name in ("cut 3 segments", "memory: main", "segment 1 of 3: main", "segment 3 of 3: queries"):
        assert name in names
    shares = [share for phase, share in seen if ":" in phase]
    assert shares == sorted(shares)


def test_padding_holds_for_every_segment() -> None:
    info = prove(None, pad_to=1 << 10)
    view = info.receipt.to_json()["seal"]["segments"]
    assert all(own["heights"]["boundary"] == own["heights"]["divide"] == 1 << 10 for own in view)


def test_lengths_that_are_none() -> None:
    for length in (0, -5, "long"):
        with pytest.raises(UsageError, match="a positive number, or 'auto'"):
            prove(None, segment_cycles=length)


# --- by memory -----------------------------------------------------------------------------------------------------------------------


def test_segments_are_as_long_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not fit is cut again at half its length, and its output is not said twice."""
    monkeypatch.setattr(cutting, "FIRST_CYCLES", 16000)
    monkeypatch.setattr(cutting, "LEAST_CYCLES", 500)
    counted: list[int] = []

    def fits(self: Lengths, execution: Execution, padding: Padding) -> bool:
        counted.append(len(execution.steps))
        return counted[-1] <= 6000

    monkeypatch.setattr(Lengths, "fits", fits)
    monkeypatch.setattr(Lengths, "following", lambda self, execution, done, most, padding: 5000)
    monkeypatch.setattr("zkvm.session.limits.TableLimits._check_heights", refuse)
    said = bytearray()
    info = prove(None, segment_cycles="auto", stdout=said.extend, verify=False, zk=False)
    assert counted[:3] == [pytest.approx(16000, abs=99), pytest.approx(8000, abs=99), pytest.approx(4000, abs=99)]
    assert max(counted[2:]) <= 5000
    assert info.receipt.segments == len(counted) - 2 == 5
    assert bytes(said) == zkvm.execute(PROGRAM).stdout


def test_lengths_fill_tables() -> None:
    """Of the lengths that fit, one whose tables are nearly full."""
    image = load_image(counter(1 << 17))
    columns = image_columns(image)
    header = image_header(image, columns, (bytes(32),) * 3)
    setting = Setting(image, header, commit_preprocessed(machine(), columns, 2), parameters("fast"), True, 1, 1 << 20)
    run = SegmentedRun(image)
    execution = run.segment(70_000)
    huge, none, most = Lengths(setting, None, 1 << 40), Lengths(setting, None, 0), lengths.MOST_CYCLES
    assert huge.fits(execution, 0)
    assert not none.fits(execution, 0)
    assert none.following(execution, 70_000, most, 0) == 70_000 - 70_000 // 64
    length = huge.following(execution, 70_000, most, 0)
    assert 70_000 < length <= 140_000
    cells = []
    for cycles in (70_000, length):
        own = SegmentedRun(image).segment(cycles)
        found = huge.cost(segment_machine(), lengths.rows_of(own), 0, 0)
        assert found is not None
        cells.append(found / cycles)
    assert cells[1] < cells[0]
    least = huge.cost(segment_machine(), lengths.rows_of(execution), 0, 0)
    assert least is not None
    tight = Lengths(setting, None, predicted(setting, execution))
    assert tight.fits(execution, 0)
    assert tight.following(execution, 70_000, most, 0) <= 72_000
    assert Lengths(setting, 123, 0).fits(execution, 0)
    assert Lengths(setting, 123, 0).following(execution, 70_000, most, 0) == 123


def predicted(setting: Setting, execution: Execution) -> int:
    """What the proof of a segment takes."""
    heights = planned_heights(segment_machine(), execution, setting.image, setting.chosen.exempt)
    shape = ProofShape(segment_machine(), setting.chosen, tuple(height.bit_length() - 1 if height else 0 for height in heights))
    return predicted_bytes(shape, execution.steps.nbytes, LATER_BYTES, 1)


def refuse(self: object, *arguments: object) -> None:
    """A machine without memory for one proof."""
    raise zkvm.errors.RunTooLong("no memory")


def test_what_does_not_fit_in_any_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LEAST_CYCLES", 4000)
    monkeypatch.setattr("zkvm.session.limits.TableLimits._check_heights", refuse)
    monkeypatch.setattr("zkvm.segments.memory_budget", lambda limit: 0)
    with pytest.raises(LimitError, match="takes more memory than there is for its proof, and it is as short as can be"):
        prove(None, segment_cycles="auto")
    with pytest.raises(LimitError, match="no memory"):
        prove(None, segment_cycles=None)
    with pytest.raises(LimitError, match="has not ended after 900 cycles"):
        prove(None, max_cycles=900)


def test_memory_that_cannot_be_proven_here() -> None:
    image = load_image(PROGRAM)
    columns = image_columns(image)
    header = image_header(image, columns, (bytes(32),) * 3)
    setting = Setting(image, header, commit_preprocessed(machine(), columns, 2), parameters("fast"), True, 1, 1 << 20)
    run = SegmentedRun(image)
    run.segment(1 << 20)
    Lengths(setting, None, 1 << 40).check_memory(run.last_memory(), 0)
    Lengths(setting, 1, 0).check_memory(run.last_memory(), 0)
    with pytest.raises(LimitError, match="the run accesses 1 words of memory that begins as zero"):
        Lengths(setting, None, 0).check_memory(run.last_memory(), 0)


def test_a_journal_longer_than_a_receipt_holds() -> None:
    items: list[Item] = [
        ("la", "a1", "data"),
        ("li", "a7", 64),
        ("li", "a0", 3),
        ("li", "a2", 1 << 19),
        ("ecall",),
        ("li", "a0", 3),
        ("ecall",),
    ]
    program = guest([*items, ("li", "a0", 3), ("ecall",), ("li", "a0", 0), ("li", "a7", 93), ("ecall",)], data=bytes(1 << 19))
    with pytest.raises(LimitError, match="the journal has more than 1048576 bytes"):
        prove(None, program, segment_cycles=6)


class Never:
    """Nothing fits."""

    class setting:
        pad_to = 0

    def fits(self, execution: Execution, padding: Padding) -> bool:
        return False


def test_tensors_are_not_parted() -> None:
    """A segment that cannot be cut, and does not fit."""
    living = survey(sample_image(), INPUT).living
    run = SegmentedRun(sample_image(), INPUT)
    run.segment(11)
    with pytest.raises(LimitError, match="tensors are alive all the time"):
        ByLength(Never(), living, 10_000, 10_000).next_segment(run, 1 << 20)  # type: ignore[arg-type]


def test_a_segment_is_cut_again() -> None:
    """As if it had not been executed before."""
    once, again = SegmentedRun(sample_image(), INPUT), SegmentedRun(sample_image(), INPUT)
    for run in (once, again):
        run.segment(5)
    again.rewind(again.segment(1 << 20))
    assert (again.number, again.ended) == (1, False)
    assert same(once.segment(11), again.segment(11))
    assert once.at.to_bytes() == again.at.to_bytes()
    assert same(once.segment(1 << 20), again.segment(1 << 20))
    assert same(once.last_memory(), again.last_memory())


def test_what_was_said_is_not_said_again() -> None:
    said = bytearray()
    told = Told(said.extend)
    for data in (b"abc", b"def"):
        told(data)
    told.again()
    for data in (b"ab", b"cdefg", b"h"):
        told(data)
    assert bytes(said) == b"abcdefgh"
    assert Told.of(None) is None


# --- interrupted ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["cut 2", "memory: bus", "segment 1 of 3: quotient", "segment 3 of 3: queries", "verify"])
def test_an_interrupted_run_goes_on(tmp_path: Path, phase: str) -> None:
    work = tmp_path / "work"
    with pytest.raises(Stop):
        prove(work, progress=stop_at(phase))
    before = proofs_in(work)
    info = prove(work)
    info.receipt.verify(info.image_id)
    after = proofs_in(work)
    assert {name: after[name] for name in before} == before
    assert len(after) == 4
    assert len(before) == {"cut 2": 0, "memory: bus": 0, "segment 1 of 3: quotient": 1, "segment 3 of 3: queries": 3, "verify": 4}[phase]
    assert prove(work).receipt.to_bytes() == info.receipt.to_bytes()


def test_cancelled_between_segments(tmp_path: Path) -> None:
    asked = []

    def enough() -> bool:
        asked.append(len(proofs_in(tmp_path / "work")))
        return asked[-1] == 2

    env = ExecutorEnv(cancel=enough)
    with pytest.raises(Cancelled):
        zkvm.prove(PROGRAM, env, params="fast", segment_cycles=LENGTH, threads=2, work_dir=tmp_path / "work")
    assert len(proofs_in(tmp_path / "work")) == 2


@pytest.mark.parametrize("moment", ["plan", "proof-0", "proof-2"])
def test_killed_and_gone_on_with(tmp_path: Path, moment: str) -> None:
    """SIGKILL while it works; the same command goes on."""
    program, receipt = tmp_path / "guest.elf", tmp_path / "guest.receipt"
    program.write_bytes(PROGRAM)
    work = tmp_path / "guest.receipt.segments"
    command = [
        sys.executable,
        "-m",
        "zkvm",
        "run",
        str(program),
        "--out",
        str(receipt),
        "--params",
        "fast",
        "--segment-cycles",
        str(LENGTH),
    ]
    process = subprocess.Popen([*command, "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(work.glob(f"{moment}*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not receipt.exists()
    before = proofs_in(work)
    kept = {name: (work / name).read_bytes() for name in before}
    answer = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert not work.exists()
    made = zkvm.Receipt.load(receipt)
    made.verify(zkvm.compute_image_id(PROGRAM))
    assert made.segmented is not None
    parts = {encode_part(own) for own in made.segmented.proofs}
    assert all(data[:-32] in parts for data in kept.values())


def test_the_command_says_how_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, work = tmp_path / "guest.elf", tmp_path / "kept"
    program.write_bytes(PROGRAM)
    own = pieces.prove_piece

    def interrupted(setting: Setting, piece: Piece, *rest: object) -> object:
        if piece.number == 2:
            raise KeyboardInterrupt
        return own(setting, piece, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(segmented, "prove_piece", interrupted)
    options: list[str | Path] = ["--out", tmp_path / "r", "--params", "fast", "--segment-cycles", str(LENGTH), "--resume", work]
    outcome = invoke("run", program, *options)
    assert outcome.code != 0
    assert f"the same command with --work-dir {work} goes on" in outcome.err
    assert len(proofs_in(work)) == 2
    monkeypatch.setattr(segmented, "prove_piece", own)
    outcome = invoke("run", program, *options)
    assert outcome.code == 0
    assert "segments" in outcome.out
    assert not work.exists()
