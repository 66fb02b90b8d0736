"""Runs in segments: the same run whatever the cuts, resumed bit by bit from any checkpoint, never cut between a tensor and its reader."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest

from tests.riscv.vm.programs import ProgramWriter
from tests.sample import INPUT, long_run, sample_image, sample_run
from zkvm.errors import CheckpointError, GuestTrap, LimitError
from zkvm.riscv.isa.opcodes import LAST_PC, REGISTER_BASE
from zkvm.riscv.records import Execution, Image
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble
from zkvm.riscv.vm.checkpoint import Checkpoint
from zkvm.riscv.vm.cuts import SegmentedRun, choose_cut, survey
from zkvm.riscv.vm.executor import Runner, execute, run_kernel
from zkvm.riscv.vm.reference import run_reference

PREVIOUS = ("t1", "t2", "td", "tm", "t_prev", "t_a7", "t_a0", "t_a1", "t_a2", "t_journal", "t_break", "t_heap_start", "t_heap_limit")
"""Previous times in records."""


def cut_run(image: Image, stdin: bytes, cuts: list[int], runner: Runner = run_kernel) -> tuple[SegmentedRun, list[Execution]]:
    """A run cut after so many instructions, as long as it goes on."""
    run, parts = SegmentedRun(image, stdin, runner=runner), []
    for cut in [*cuts, 1 << 24]:
        if not run.ended:
            parts.append(run.segment(cut))
    return run, parts


def same(left: Any, right: Any) -> bool:
    """Whether records are equal, down to the last bit."""
    if isinstance(left, np.ndarray):
        return bool(left.dtype == right.dtype and left.tobytes() == right.tobytes())
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if dataclasses.is_dataclass(left):
        names = [field.name for field in dataclasses.fields(left) if field.name not in ("seconds", "sorter", "permuter")]
        return all(same(getattr(left, name), getattr(right, name)) for name in names)
    return bool(left == right)


def without_times(records: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Records without their previous times, which are others where a word is accessed first."""
    result = records.copy()
    for name in PREVIOUS:
        if name in (records.dtype.names or ()):
            result[name] = 0
    return result


def assert_same_run(whole: Execution, run: SegmentedRun, parts: list[Execution]) -> None:
    """Segments say what the whole run says."""
    for name in ("steps", "ecalls", "reads", "writes", "permuted", "blake3_calls"):
        joined = np.concatenate([without_times(getattr(part, name)) for part in parts])
        assert joined.tobytes() == without_times(getattr(whole, name)).tobytes(), name
    assert b"".join(part.journal for part in parts) == whole.journal
    assert b"".join(part.stdout for part in parts) == whole.stdout
    assert [call.id for part in parts for call in part.tensor_calls] == [call.id for call in whole.tensor_calls]
    assert (parts[-1].cycles, parts[-1].exit_code) == (whole.cycles, whole.exit_code)
    assert parts[-1].states[1] == (LAST_PC + whole.exit_code, 0)
    for before, after in zip(parts, parts[1:], strict=False):
        assert before.states[1] == after.states[0]
    memory = run.last_memory()
    assert memory.ram_last.tobytes() == whole.ram_last.tobytes()
    assert (memory.zero_address.tobytes(), memory.zero_last.tobytes()) == (whole.zero_address.tobytes(), whole.zero_last.tobytes())
    assert np.array_equal(memory.ram_segment == 0, whole.ram_last_time == 0)


def assert_boundaries(image: Image, run: SegmentedRun, parts: list[Execution]) -> None:
    """Each word's values go from segment to segment, and gaps say from which."""
    values = dict(zip(image.ram_address.tolist(), image.ram_value.tolist(), strict=True))
    last: dict[int, int] = {}
    for part in parts:
        words = part.boundary
        assert np.all(np.diff(words["address"].astype(np.int64)) > 0)
        assert np.all(words["first"] < words["last"])
        assert np.all(words["first"] + np.uint64(1) >= np.uint64(part.states[0][1]))
        for address, before, after, gap, _, _ in words.tolist():
            assert before == values.get(address, 0)
            assert part.number - gap == last.get(address, 0)
            values[address], last[address] = after, part.number
    memory = run.last_memory()
    assert memory.ram_segment.tolist() == [last.get(address, 0) for address in image.ram_address.tolist()]
    assert memory.zero_segment.tolist() == [last[4 * word] for word in memory.zero_address.tolist()]
    assert len(last) == np.count_nonzero(memory.ram_segment) + len(memory.zero_segment)


@pytest.mark.parametrize("seed", range(4))
def test_segments_are_the_run(seed: int) -> None:
    image = ProgramWriter(seed).write()
    whole = execute(image)
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(1, whole.cycles), min(5, whole.cycles - 1)))
    run, parts = cut_run(image, b"", cuts)
    assert [part.cycles for part in parts] == [*cuts, whole.cycles]
    assert_same_run(whole, run, parts)
    assert_boundaries(image, run, parts)
    again = cut_run(image, b"", cuts, run_reference)[1]
    assert all(map(same, parts, again))


def test_every_call_in_segments() -> None:
    """The sample's calls, tensors among them, around the places where it may be cut."""
    seen = survey(sample_image(), INPUT)
    assert (seen.cycles, seen.exit_code, seen.journal) == (sample_run().cycles, sample_run().exit_code, sample_run().journal)
    (first, last), *others = seen.living
    assert not others
    cuts = [3, first - 1, last + 1, last + 4]
    run, parts = cut_run(sample_image(), INPUT, cuts)
    assert [part.cycles for part in parts] == [*cuts, seen.cycles]
    assert_same_run(sample_run(), run, parts)
    assert_boundaries(sample_image(), run, parts)


def test_refreshes_are_not_those_of_first_accesses() -> None:
    """A word that rests in an earlier segment needs no refresh when it is accessed again."""
    whole = long_run()
    run, parts = cut_run(whole.image, b"", [whole.cycles // 2, whole.cycles - 3])
    assert_same_run(whole, run, parts)
    assert_boundaries(whole.image, run, parts)
    assert len(whole.refreshes) > 0
    assert sum(len(part.refreshes) for part in parts) < len(whole.refreshes)
    late = SegmentedRun(whole.image).segment(1 << 24)
    assert len(late.refreshes) > 0
    assert np.all(late.refreshes["t_prev"] < late.refreshes["time"])


def test_any_checkpoint_is_resumed_bit_by_bit() -> None:
    image, whole = sample_image(), sample_run()
    _, last = survey(image, INPUT).living[0]
    pages: dict[bytes, bytes] = {}
    run = SegmentedRun(image, INPUT, pages=pages)
    begins: list[tuple[bytes, Execution]] = []
    for cut in [2, 11, last + 1, last + 7, last + 9, whole.cycles - 1, 1 << 24]:
        begins.append((run.at.to_bytes(), run.segment(cut)))
    for number, (data, expected) in enumerate(begins):
        worker = SegmentedRun(image, INPUT, start=Checkpoint.from_bytes(data), number=number, pages=pages)
        assert same(worker.segment(expected.cycles, expected.boundary["gap"]), expected)
        assert worker.ended == (expected.cycles == whole.cycles)
        # The input that was read meanwhile is all that a worker needs of it.
        short = SegmentedRun(image, INPUT[: worker._host.position], start=Checkpoint.from_bytes(data), number=number, pages=pages)
        assert same(short.segment(expected.cycles, expected.boundary["gap"]), expected)


def test_what_was_handed_out_stays() -> None:
    """Records of a segment are not overwritten by the next one."""
    run = SegmentedRun(sample_image(), INPUT)
    first = run.segment(11)
    copy = first.steps.copy(), first.boundary.copy()
    run.segment(1 << 24)
    assert (first.steps.tobytes(), first.boundary.tobytes()) == (copy[0].tobytes(), copy[1].tobytes())


def test_a_tensor_is_not_read_in_another_segment() -> None:
    (first, last), *_ = survey(sample_image(), INPUT).living
    for cut in (first, (first + last) // 2, last):
        with pytest.raises(GuestTrap, match="was made before the run was cut: a segment reads no tensor of an earlier one"):
            cut_run(sample_image(), INPUT, [cut])
    for cut in (first - 1, last + 1):
        cut_run(sample_image(), INPUT, [cut])


@pytest.mark.parametrize(
    ("wanted", "begin", "cut"),
    [(9, 0, 9), (10, 0, 9), (20, 0, 9), (20, 8, 9), (20, 9, 21), (21, 0, 21), (31, 25, 29), (31, 29, 41), (50, 30, 50)],
)  # fmt: skip
def test_cuts_move_out_of_a_tensors_life(wanted: int, begin: int, cut: int) -> None:
    assert choose_cut(wanted, begin, [(10, 20), (30, 40)]) == cut


def test_the_guest_does_not_see_the_cuts() -> None:
    """The number of executed instructions goes on, whoever asks for it."""
    items: list[Item] = [("la", "s0", "data")]
    for _ in range(3):
        items += [
            ("li", "a7", 4096),
            ("ecall",),
            ("sw", "a0", "s0", 0),
            ("li", "a7", 64),
            ("li", "a0", 3),
            ("mv", "a1", "s0"),
            ("li", "a2", 4),
        ]
        items.append(("ecall",))
    image = assemble([*items, ("li", "a0", 0), *EXIT], data=bytes(8))
    whole = execute(image)
    for cut in range(1, whole.cycles):
        run, parts = cut_run(image, b"", [cut])
        assert_same_run(whole, run, parts)
    assert len({whole.journal[k : k + 4] for k in (0, 4, 8)}) == 3


def test_limits() -> None:
    run = SegmentedRun(sample_image(), INPUT)
    run.segment(5)
    with pytest.raises(LimitError, match="no segment from 5 to 5 cycles, after 1 others"):
        run.segment(5)
    run.segment(1 << 24)
    assert run.ended
    with pytest.raises(LimitError, match="no segment after its exit"):
        run.segment(1 << 24)
    with pytest.raises(LimitError, match="after 65536 others"):
        SegmentedRun(sample_image(), INPUT, number=1 << 16).segment(5)
    endless = assemble([("jal", "zero", 0)])
    with pytest.raises(LimitError, match="has not ended after 100 cycles"):
        survey(endless, max_cycles=100)
    with pytest.raises(CheckpointError, match="segment 1 accesses .* words, not 1: it is another run's"):
        SegmentedRun(sample_image(), INPUT).segment(5, np.ones(1, np.uint64))


def test_a_segment_takes_the_memory_of_its_own_records() -> None:
    """A limit that a whole run exceeds holds for each of its segments."""
    items: list[Item] = [("la", "s0", "data"), ("li", "t0", 40000), "loop", ("addi", "t0", "t0", -1), ("sw", "t0", "s0", 0)]
    image = assemble([*items, ("bnez", "t0", "loop"), ("li", "a0", 0), *EXIT], data=bytes(8))
    limit = 6 << 20
    with pytest.raises(LimitError, match="execution needs"):
        execute(image, max_memory=limit)
    run = SegmentedRun(image, max_memory=limit)
    while not run.ended:
        run.segment(run.at.cycles + 20000)
    assert run.number == 7


def test_registers_of_the_machine_are_words_of_the_boundary() -> None:
    """The journal pointer and the break go over a cut like any word."""
    items: list[Item] = [
        ("li", "a7", 214),
        ("li", "a0", 0),
        ("ecall",),
        ("addi", "a0", "a0", 64),
        ("ecall",),
        ("li", "a7", 64),
        ("li", "a0", 3),
    ]
    items += [
        ("li", "a1", DATA),
        ("li", "a2", 5),
        ("ecall",),
        ("li", "a7", 214),
        ("li", "a0", 0),
        ("ecall",),
        ("li", "a7", 64),
        ("li", "a0", 3),
    ]
    image = assemble([*items, ("ecall",), ("li", "a0", 0), *EXIT], data=bytes(range(8)))
    run, parts = cut_run(image, b"", [12])
    assert_same_run(execute(image), run, parts)
    second = {address - REGISTER_BASE: before for address, before, *_ in parts[1].boundary.tolist() if address >= REGISTER_BASE}
    assert second[33] == 5
    assert second[34] == image.heap_start + 64
