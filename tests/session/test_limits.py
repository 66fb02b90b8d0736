"""Runs that cannot be proven, or not here, are stopped while they run; those without a proof go on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zkvm
from tests.cli.running import guest, invoke
from tests.proving import guest_image
from tests.receipts import ECHO, HELLO, TEXT
from zkvm.errors import LimitError
from zkvm.riscv.machine import machine
from zkvm.riscv.vm.assemble import EXIT, Item
from zkvm.riscv.vm.executor import execute
from zkvm.session import limits, memory
from zkvm.session.run import ExecutorEnv

GIB = 1 << 30
LOOP = guest(["loop", ("addi", "t0", "t0", 1), ("j", "loop")])
WRITE: list[Item] = [("li", "a7", 64), ("la", "a1", "data"), ("li", "a2", 1 << 20)]
"""A call that writes 1 MiB."""


def writes(fd: int) -> bytes:
    """A guest that writes without end."""
    return guest([*WRITE, "loop", ("li", "a0", fd), ("ecall",), ("j", "loop")], data=bytes(1 << 20))


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Memory of a machine: the one entry may be changed."""
    left = [GIB]
    monkeypatch.setattr(memory, "available_bytes", lambda: left[0])
    return left


@pytest.mark.parametrize("gibibytes", [1, 4, 12])
def test_an_endless_loop_is_stopped_when_its_proof_does_not_fit(gibibytes: int, free: list[int]) -> None:
    """Its cycles at that time follow what there is."""
    free[0] = gibibytes * GIB
    with pytest.raises(LimitError, match=r"has not ended after \d+ cycles, in _start") as raised:
        zkvm.prove(LOOP, ExecutorEnv(max_cycles=1 << 26))
    text = str(raised.value)
    cycles = int(text.split(" cycles")[0].split()[-1])
    assert gibibytes << 18 < cycles < gibibytes << 22
    for expected in ("takes about", "GiB for it", "--params fast", "--execute-only", "--max-memory", "'balanced'"):
        assert expected in text
    with pytest.raises(LimitError) as faster:
        zkvm.prove(LOOP, ExecutorEnv(max_cycles=1 << 26), params="fast")
    assert "choose --params fast" not in str(faster.value)


def test_a_run_whose_tables_are_too_long_is_stopped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much memory there is. The bounds are smaller here, to be reached sooner."""
    monkeypatch.setattr("zkvm.stark.tables.MAX_HEIGHT", 1 << 17)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 50)
    with pytest.raises(LimitError, match=r"after 1048576 cycles.*can no longer be proven: table \w+ needs \d+ rows.*--execute-only"):
        zkvm.prove(LOOP, ExecutorEnv(max_cycles=1 << 26))


def test_a_check_is_stopped_too(free: list[int]) -> None:
    with pytest.raises(LimitError, match="checking that takes about .* GiB for it: check a shorter run"):
        zkvm.check(LOOP, ExecutorEnv(max_cycles=1 << 26))


def test_a_short_run_is_looked_at_when_it_ends(free: list[int]) -> None:
    free[0] = 1 << 26
    with pytest.raises(LimitError, match="the guest ran for 28 cycles; proving that"):
        zkvm.prove(HELLO)


def test_the_callers_limit_counts_instead(free: list[int]) -> None:
    """The prediction is an upper bound, and who knows better may say so."""
    free[0] = 0
    assert zkvm.prove(HELLO, ExecutorEnv(max_memory=GIB), params="fast").receipt.journal == b"hello"
    with pytest.raises(LimitError, match="more than the limit of 0.25 GiB: raise --max-memory"):
        zkvm.prove(LOOP, ExecutorEnv(max_memory=GIB // 4, max_cycles=1 << 26))


def test_runs_without_a_proof_go_on(free: list[int]) -> None:
    """To their last cycle, counted or not, in memory that no proof of them would fit."""
    env = ExecutorEnv(max_cycles=5 << 20)
    free[0] = GIB // 2
    for run in (zkvm.execute, zkvm.profile, lambda elf, env: zkvm.prove(elf, env, dev=True)):
        with pytest.raises(LimitError, match=f"not ended after {5 << 20} cycles.*--max-cycles"):
            run(LOOP, env)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("fd", [1, 2])
def test_output_counts(fd: int, traced: bool, free: list[int]) -> None:
    """A guest that prints without end fills its host's memory, and executes hardly anything."""
    free[0] = 1 << 28
    env = ExecutorEnv(max_cycles=1 << 20)
    with pytest.raises(LimitError, match="its output"):
        zkvm.prove(writes(fd), env) if traced else zkvm.execute(writes(fd), env)


def test_a_journal_that_no_receipt_holds_is_said_at_once() -> None:
    with pytest.raises(LimitError, match="the journal has 2097152 bytes"):
        zkvm.prove(writes(3), ExecutorEnv(max_cycles=1 << 20))


def test_recorded_calls_count(free: list[int]) -> None:
    free[0] = 1 << 26
    calls = guest([("li", "a7", 1000), "loop", ("ecall",), ("j", "loop")])
    with pytest.raises(LimitError, match="GiB"):
        zkvm.prove(calls, ExecutorEnv(max_cycles=1 << 22))


def test_a_call_with_a_huge_buffer_is_refused_before_it_is_handled(free: list[int]) -> None:
    free[0] = 1 << 24
    with pytest.raises(LimitError, match="GiB may be used"):
        zkvm.execute(writes(1))


def test_pages_that_are_kept_for_the_next_proof_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are given back before a run is refused for want of them."""
    left = [1 << 27]
    monkeypatch.setattr(memory, "available_bytes", lambda: left[0])
    monkeypatch.setattr("zkvm.stark.prover.memory.give_back_freed_pages", lambda: left.__setitem__(0, GIB))
    assert zkvm.prove(HELLO, params="fast").receipt.journal == b"hello"
    assert left == [GIB]


@pytest.mark.parametrize("setting", ["enough", "scarce", "little", "limit", "threads", "dev", "jobs"])
def test_memory_is_touched_ahead_where_there_is_enough(setting: str, free: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where a run may have to be refused for want of memory, where its caller says how much it may take, or where others prove."""
    touched: list[int] = []
    monkeypatch.setattr("zkvm.stark.prover.memory.touch_ahead", touched.append)
    free[0] = {"scarce": GIB // 4, "little": 2 * GIB}.get(setting, 4 * GIB)
    prove = partial(zkvm.prove, HELLO, params="fast", threads=1 if setting == "threads" else 2, dev=setting == "dev")
    if setting == "scarce":
        with pytest.raises(LimitError, match=r"there are 0\.\d\d GiB for it"):
            prove()
    else:
        prove(max_memory=GIB if setting == "limit" else None, jobs=1 if setting == "jobs" else None)
    assert touched == ([2] if setting == "enough" else [])


def test_rows_so_far_are_those_of_the_chips() -> None:
    """What is counted between slices, against what the chips say of the whole run."""
    image = guest_image("all_instructions")
    execution = execute(image)
    rows = limits._rows(limits._operations(image, execution.steps), len(execution.refreshes))
    own = {chip.name: chip.rows(execution) for chip in machine().chips if chip.first is None}
    assert all(count in (0, own[name]) for name, count in rows.items())
    assert sum(rows.values()) == len(execution.steps) + len(execution.refreshes)


def test_a_look_counts_every_record_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLICE", 1)
    seen: list[limits.TableLimits] = []
    look = limits.TableLimits.look

    def watched(self: limits.TableLimits, state: Any) -> None:
        look(self, state)
        seen.append(self)
        assert self.counted == int(self.used.sum()) == int(state.counters[3])

    monkeypatch.setattr(limits.TableLimits, "look", watched)
    zkvm.prove(ECHO, TEXT, params="fast")
    assert len(seen) > 1
    assert seen[-1].counted


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("zkvm.stark.prover.prove.prove_tables", lambda: zkvm.prove(HELLO, params="fast")),
        ("zkvm.api.build_tables", lambda: zkvm.check(HELLO)),
        ("zkvm.api.run_image", lambda: zkvm.execute(HELLO)),
        ("zkvm.session.profiling.run_image", lambda: zkvm.profile(HELLO)),
        ("zkvm.stark.prover.preprocessed.commit_preprocessed", lambda: zkvm.compute_image_id(HELLO)),
    ],
)
def test_no_memory_is_a_limit_wherever_it_happens(function: str, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        np.empty(1 << 62, np.uint8)

    monkeypatch.setattr(function, fail)
    with pytest.raises(LimitError, match="ran out of memory .*Unable to allocate"):
        call()


def test_an_input_that_fills_memory_is_refused(free: list[int], tmp_path: Path) -> None:
    free[0] = 1 << 24
    outcome = invoke("run", ECHO, "--input", "/dev/zero", "--out", tmp_path / "out.receipt")
    assert (outcome.code, outcome.out) == (5, "")
    assert "/dev/zero: the input has more than 4.0 MiB" in outcome.err


def test_progress_tells_the_cycles_between_slices() -> None:
    told: list[int] = []
    items: list[Item] = [("li", "t0", 3 << 19), "loop", ("addi", "t0", "t0", -1), ("bne", "t0", "zero", "loop"), ("li", "a0", 0), *EXIT]
    for run in (zkvm.execute, zkvm.profile):
        told.clear()
        run(guest(items), ExecutorEnv(progress=told.append))
        assert told == [1 << 20, 2 << 20, 3 << 20]
