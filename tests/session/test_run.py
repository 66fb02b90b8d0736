"""Environments: input, limits, output, trace, cancellation; several runs at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zkvm
from tests.cli.running import guest
from tests.receipts import ECHO, HELLO, TEXT
from zkvm.riscv.vm.assemble import EXIT
from zkvm.session.run import ExecutorEnv

ENDLESS = guest([("j", 0)])


def test_input_of_bytes_arrays_and_integers() -> None:
    env = ExecutorEnv(b"a").write(b"bc").write(np.array([[1, 2], [3, 4]], np.int16)).write(bytearray(b"d"))
    env.write(np.array([1.5], ">f4")).write_u32(5, -1, 2**32 - 1)
    expected = b"abc" + bytes([1, 0, 2, 0, 3, 0, 4, 0]) + b"d" + np.array([1.5], "<f4").tobytes() + bytes([5, 0, 0, 0]) + b"\xff" * 8
    assert env.stdin == expected
    assert zkvm.execute(ECHO, env).journal == expected
    assert ExecutorEnv().write(np.arange(6, dtype=np.uint8).reshape(2, 3).T).stdin == bytes([0, 3, 1, 4, 2, 5])


def test_unusable_input_is_refused() -> None:
    with pytest.raises(zkvm.UsageError, match="astype"):
        ExecutorEnv().write(np.array([None]))
    for value in (1 << 32, -(1 << 31) - 1):
        with pytest.raises(zkvm.UsageError, match="does not fit"):
            ExecutorEnv().write_u32(value)


def test_options_are_in_the_environment_or_beside_bytes() -> None:
    with pytest.raises(zkvm.UsageError, match="max_cycles"):
        zkvm.execute(HELLO, ExecutorEnv(), max_cycles=10)
    with pytest.raises(zkvm.UsageError, match="stdout"):
        zkvm.prove(HELLO, ExecutorEnv(), stdout=print)
    with pytest.raises(zkvm.UsageError, match="max_cycles"):
        zkvm.check(HELLO, ExecutorEnv(), max_cycles=10)


def test_limits_and_outputs() -> None:
    out: list[bytes] = []
    session = zkvm.execute(HELLO, ExecutorEnv(stdout=out.append))
    assert b"".join(out) == session.stdout == b"hello from the guest\n"
    with pytest.raises(zkvm.LimitError, match=r"after 20 cycles \(it is in \w+\+0x\w+, pc 0x000\w{5}\): raise --max-cycles"):
        zkvm.execute(HELLO, ExecutorEnv(max_cycles=20))
    with pytest.raises(zkvm.LimitError, match="raise --max-memory"):
        zkvm.prove(HELLO, ExecutorEnv(max_memory=1 << 27))


def test_an_environment_serves_several_runs() -> None:
    env = ExecutorEnv(TEXT)
    assert zkvm.execute(ECHO, env).journal == zkvm.execute(ECHO, env).journal == TEXT


@pytest.mark.parametrize("run", [zkvm.execute, lambda elf, env: zkvm.prove(elf, env, params="fast", verify=False).session])
def test_trace(run: Any) -> None:
    """Every instruction but the calls, once, in order."""
    records: list[NDArray[Any]] = []
    session = run(HELLO, ExecutorEnv(trace=lambda steps: records.append(steps.copy())))
    steps = np.concatenate(records)
    times = steps["time"].astype(np.int64)
    assert np.all(np.diff(times) > 0)
    calls = session.cycles - len(steps)
    assert 0 < calls == (times[-1] - times[0]) // 4 + 1 + 1 - len(steps)  # the exit comes last
    program = zkvm.load_image(HELLO).program
    assert program["pc"][steps["row"][0]] == zkvm.load_image(HELLO).entry


def test_traced_records_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from zkvm.riscv.vm import executor

    monkeypatch.setattr(executor, "TIME_SLICE", 10)
    lengths: list[int] = []
    session = zkvm.execute(HELLO, ExecutorEnv(trace=lambda steps: lengths.append(len(steps))))
    assert len(lengths) > session.cycles // 10
    assert max(lengths) <= 10


def test_cancelled_before_and_during_the_execution() -> None:
    event = threading.Event()
    event.set()
    with pytest.raises(zkvm.Cancelled):
        zkvm.execute(ENDLESS, ExecutorEnv(cancel=event))
    looks = iter([False] * 5)
    with pytest.raises(zkvm.Cancelled):
        zkvm.execute(ENDLESS, ExecutorEnv(cancel=lambda: next(looks, True)))


@pytest.mark.parametrize("phase", ["load", "image", "trace", "main", "bus", "quotient", "openings", "fri", "queries", "verify"])
def test_cancelled_proofs_leave_nothing_behind(phase: str) -> None:
    """Asked for during the phase before, a proof stops at the next one, and later proofs are as if it had not been."""
    stop, seen = threading.Event(), list[str]()

    def progress(name: str, share: float) -> None:
        seen.append(name)
        if name == phase:
            stop.set()

    threads = threading.active_count()
    with pytest.raises(zkvm.Cancelled):
        zkvm.prove(HELLO, ExecutorEnv(cancel=stop), params="fast", progress=progress)
    assert seen[-1] == phase
    assert threading.active_count() == threads


def test_progress_still_comes_without_cancellation() -> None:
    seen: list[tuple[str, float]] = []
    zkvm.prove(HELLO, params="fast", progress=lambda name, share: seen.append((name, share)))
    assert [name for name, _ in seen][:3] == ["load", "execute", "image"]
    assert seen[-1] == ("", 1.0)
    assert [share for _, share in seen] == sorted(share for _, share in seen)


def test_several_proofs_at_once() -> None:
    """Two threads, two programs: each gets its own receipt."""
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(zkvm.prove, elf, ExecutorEnv(stdin), params="fast", threads=1)
            for elf, stdin in ((ECHO, TEXT), (HELLO, b""), (ECHO, b"2"))
        ]
        infos = [job.result() for job in jobs]
    assert [info.receipt.journal for info in infos] == [TEXT, b"hello", b"2"]
    for elf, info in zip((ECHO, HELLO, ECHO), infos, strict=True):
        info.receipt.verify(zkvm.compute_image_id(elf))


def test_the_session_counts_functions_if_asked() -> None:
    session = zkvm.execute(HELLO, profile=True)
    assert sum(cycles for _, cycles in session.functions) == session.cycles
    assert zkvm.execute(guest([*EXIT])).functions == ()
