"""Predicted memory: never below what is committed, growing with what it depends on; and freed pages that are kept."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import TOY
from zkvm.stark.multiplicities import counting_bytes
from zkvm.stark.protocol.params import Parameters, parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.memory import LATER_BYTES, PROCESS_BYTES, SMALL_PROOF, choose_pages, predicted_bytes, process_bytes


def shape(log: int, chosen: Parameters) -> ProofShape:
    return ProofShape(TOY, chosen, (log, log, 15))


def test_at_least_what_is_committed() -> None:
    """The extensions of all columns, the main traces and two digests for each leaf of three trees are alive together."""
    for chosen in (parameters("fast", 100), parameters("compact", 100)):
        for log in (9, 15, 20):
            sizes = shape(log, chosen)
            columns = sum((sum(table.code.widths) * chosen.blowup + table.code.widths[1]) * table.height for table in sizes.tables) * 8
            digests = 3 * 2 * 32 * chosen.blowup * sizes.tallest
            assert predicted_bytes(sizes) > PROCESS_BYTES + columns + digests


def test_doubles_with_the_rows() -> None:
    small, large = (predicted_bytes(shape(log, parameters())) - PROCESS_BYTES for log in (20, 21))
    assert 1.9 < large / small < 2.1


def test_grows_with_blowup_and_records() -> None:
    by_blowup = [predicted_bytes(shape(18, parameters(name))) for name in ("fast", "balanced", "compact")]
    assert by_blowup == sorted(by_blowup)
    assert predicted_bytes(shape(18, parameters()), 1 << 30) - predicted_bytes(shape(18, parameters())) >= 1 << 30


def test_grows_with_threads() -> None:
    """A column for each while columns are extended; of a small proof, what counts look-ups."""
    tall, small = (ProofShape(TOY, parameters("fast", 100), (log, log, 15)) for log in (20, 15))
    assert predicted_bytes(tall, threads=9) - predicted_bytes(tall, threads=1) == 8 * 8 << 20
    many = 1 << 16
    assert predicted_bytes(small, threads=many) > many * counting_bytes(TOY) > 0


def test_what_the_process_takes() -> None:
    assert LATER_BYTES < process_bytes() <= PROCESS_BYTES
    sizes = shape(15, parameters())
    assert predicted_bytes(sizes) - predicted_bytes(sizes, process=LATER_BYTES) == PROCESS_BYTES - LATER_BYTES


HELD = """
import numpy as np
from zkvm.stark.prover.memory import keep_freed_pages
def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1])
keep_freed_pages()
array = np.ones(1 << 23)
full = resident()
del array
print(full - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide by themselves")
def test_freed_pages_are_kept() -> None:
    """64 MiB would go back to the system at once; in a process of its own, because the setting is one of the process."""
    given_back = int(subprocess.run([sys.executable, "-c", HELD], capture_output=True, check=True, text=True).stdout)
    assert given_back < 1 << 20


AHEAD = """
import threading
import numpy as np
from zkvm.stark.prover.memory import LEAST_BYTES, touch_ahead
def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1])
before = resident()
for _ in range(2):
    touch_ahead(4)
    for thread in threading.enumerate():
        if thread.name == "zkvm memory":
            thread.join()
touched = resident()
array = np.ones(4 * LEAST_BYTES // 16)
print((touched - before) / (4 * LEAST_BYTES), (resident() - touched) / array.nbytes)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide by themselves")
def test_memory_is_touched_once_and_ahead() -> None:
    """What is touched stays, and the next array lies in it."""
    done = subprocess.run([sys.executable, "-c", AHEAD], capture_output=True, check=True, text=True).stdout
    touched, more = map(float, done.split())
    assert 0.9 < touched < 1.2
    assert more < 0.1


BACK = """
import threading
from zkvm.stark.prover.memory import LEAST_BYTES, give_back_freed_pages, touch_ahead
def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1])
before = resident()
touch_ahead(8)
give_back_freed_pages()
for thread in threading.enumerate():
    if thread.name == "zkvm memory":
        thread.join()
print((resident() - before) / (8 * LEAST_BYTES))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide by themselves")
def test_memory_that_is_being_touched_is_given_back_too() -> None:
    """Where a run does not fit beside it, which is asked while it may still be touched."""
    done = subprocess.run([sys.executable, "-c", BACK], capture_output=True, check=True, text=True).stdout
    assert float(done) < 0.1


PAGES = """
import sys
import numpy as np
from zkvm.stark.prover.memory import choose_pages, keep_freed_pages
keep_freed_pages()
choose_pages(int(sys.argv[1]))
array = np.ones(1 << 23)
print(next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")))
"""


def test_a_large_proof_asks_for_huge_pages_and_a_small_one_does_not() -> None:
    assert choose_pages(SMALL_PROOF + 1)
    assert not choose_pages(SMALL_PROOF)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no /proc to read of pages from")
def test_small_proofs_lie_in_small_pages() -> None:
    """Unless the system gives everybody huge ones. In a process of its own, because the setting is one of the process."""
    policy = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if policy.exists() and "[always]" in policy.read_text():
        pytest.skip("this system gives huge pages unasked")
    huge = int(subprocess.run([sys.executable, "-c", PAGES, "0"], capture_output=True, check=True, text=True).stdout)
    assert huge == 0
