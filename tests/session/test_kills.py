"""``kill -9`` of who proves a run in segments, once in each of many runs: every one ends with the right receipt.

``pytest -m slow tests/session/test_kills.py -s``, some ten minutes on two idle cores; ``ZKVM_KILLS=N`` for another number than 50.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import zkvm
from tests.session.clusters import LocalCluster, local_cluster
from tests.session.test_segments import counter, proofs_in

PROGRAM = counter(1 << 13)
"""Some 41,000 instructions."""
LENGTH, WORKERS = 6000, 2
COORDINATOR, WORKER, PARENT, CHILD = "coordinator of a cluster", "worker of a cluster", "parent of child processes", "child process"
RUNS = int(os.environ.get("ZKVM_KILLS", "50"))
SECONDS = 600.0


class Run:
    """A command that proves the program, and where it works."""

    def __init__(self, folder: Path, cluster: LocalCluster | None) -> None:
        folder.mkdir()
        program = folder / "guest.elf"
        program.write_bytes(PROGRAM)
        self.receipt, self.work = folder / "guest.receipt", folder / "guest.receipt.segments"
        self.command = [sys.executable, "-m", "zkvm", "run", str(program), "--out", str(self.receipt), "--params", "fast"]
        self.command += ["--segment-cycles", str(LENGTH)]
        self.command += ["--jobs", str(WORKERS)] if cluster is None else ["--workers", cluster.address]

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, and wait until there is something that could be lost."""
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS
        while not (self.work / "run").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return process

    def check(self, claim: zkvm.Claim) -> None:
        """The receipt is there and right, and nothing else is left."""
        made = zkvm.Receipt.load(self.receipt)
        assert made.verify(claim.image_id) == claim
        assert made.segments == -(-zkvm.execute(PROGRAM).cycles // LENGTH)
        assert not self.work.exists()


def children_of(number: int) -> list[int]:
    """The processes that a process has started."""
    return [int(own) for path in Path(f"/proc/{number}/task").glob("*/children") for own in path.read_text().split()]


def kill(victim: str, process: subprocess.Popen[bytes], cluster: LocalCluster, generator: random.Random) -> bool:
    """Kill somebody; whether there was anybody."""
    if victim == WORKER:
        own = generator.choice(cluster.running())
        own.kill()
        own.wait()
    elif victim == CHILD:
        there = children_of(process.pid) if process.poll() is None else []
        if not there:
            return False
        os.kill(generator.choice(there), signal.SIGKILL)
    else:
        process.kill()
    return True


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not tell which children a process has")
def test_a_kill_in_each_of_many_runs(tmp_path: Path) -> None:
    generator = random.Random(RUNS)
    claim = zkvm.prove(PROGRAM, params="fast", segment_cycles=LENGTH, verify=False).receipt.claim
    counts: Counter[str] = Counter()
    done: list[int] = []
    with local_cluster(tmp_path, WORKERS) as cluster:
        took: dict[bool, float] = {}
        number = 0
        while sum(counts.values()) < RUNS:
            victim = generator.choice([COORDINATOR, WORKER, PARENT, CHILD])
            shared, number = victim in (COORDINATOR, WORKER), number + 1
            run = Run(tmp_path / str(number), cluster if shared else None)
            process = run.start()
            begun = time.monotonic()
            if shared not in took:  # how long a run takes that nobody disturbs
                assert process.wait(SECONDS) == 0
                took[shared] = time.monotonic() - begun
                continue
            moment = begun + generator.uniform(0, took[shared])
            while process.poll() is None and time.monotonic() < moment:
                time.sleep(0.005)
            lasted = process.poll() is None and kill(victim, process, cluster, generator)
            if lasted:
                counts[victim] += 1
                done.append(len(proofs_in(run.work)))
            code = process.wait(SECONDS)
            if lasted and victim in (COORDINATOR, PARENT):
                assert code == -signal.SIGKILL
                assert subprocess.run(run.command, capture_output=True, check=False, timeout=SECONDS).returncode == 0
            else:
                assert code == 0
                took[shared] = took[shared] if lasted else time.monotonic() - begun
            run.check(claim)
            print(f"{sum(counts.values())} kills: {victim if lasted else 'nobody'}", flush=True)
            cluster.start_workers(WORKERS - len(cluster.running()))
    print(f"{sum(counts.values())} kills, as many right receipts: {dict(counts)}; proofs that were there: {dict(Counter(done))}")
    assert len(set(done)) > 1 or RUNS < 10
