"""How fast this machine is at what proving is made of: kernels, Python, memory that is used for the first time."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from zkvm.riscv.machine import machine
from zkvm.session import memory
from zkvm.session.resources import prove_extra
from zkvm.stark.air.machine import derive

LDE_SHAPE, LDE_BLOWUP, LDE_RUNS = (4, 1 << 14), 4, 20
LDE_SECONDS = 1.12e-3
"""Of the fastest low-degree extension of that shape on one core of the reference machine: an AMD EPYC (Zen 4, AVX-512) with two cores,
virtual."""
CHIPS, CHIP_SECONDS, CHIP_RUNS = ("divide", "ecall"), 1.04e-3, 10
"""Deriving the constraints of these chips stands for what Python does; seconds on the reference machine."""

BURSTS, PAUSE = 3, 0.1
DRIFT = 1.25
"""By how much short measurements of the reference machine differ among themselves, while proofs take the same time."""
TOUCH_STEP, TOUCH_BYTES, TOUCH_SECONDS = 16 << 20, 1 << 30, 0.3
"""First use of memory is tried in steps, up to so many bytes or seconds."""
PAGE = 4096


def _fastest_seconds(work: Callable[[], object], runs: int) -> float:
    """Of some bursts of runs. A shared processor is slower for moments, which tell nothing of the seconds after them; how fast it
    can be is what machines differ in."""
    samples = []
    for burst in range(BURSTS):
        time.sleep(PAUSE if burst else 0)
        for _ in range(runs):
            started = time.perf_counter()
            work()
            samples.append(time.perf_counter() - started)
    return min(samples)


@cache
def kernel_slowness() -> float:
    """Seconds that kernels take here for what takes them one second on one core of the reference machine.

    Raises:
        UsageError: the ``prove`` extra is missing.
    """
    with prove_extra():
        from zkvm.stark.kernels.ntt import lde_plan
    columns = np.arange(LDE_SHAPE[0] * LDE_SHAPE[1], dtype=np.uint64).reshape(LDE_SHAPE)
    out = np.empty((LDE_SHAPE[0], LDE_BLOWUP, LDE_SHAPE[1]), np.uint64)
    plan = lde_plan(LDE_SHAPE[1], LDE_BLOWUP)
    plan.run(columns, out, 1)
    return steadied(_fastest_seconds(lambda: plan.run(columns, out, 1), LDE_RUNS) / LDE_SECONDS)


@cache
def python_slowness() -> float:
    """Seconds that Python takes here for what takes it one second on the reference machine."""
    chips = [chip for chip in machine().chips if chip.name in CHIPS]
    return steadied(_fastest_seconds(lambda: [derive(chip) for chip in chips], CHIP_RUNS) / CHIP_SECONDS)


def steadied(slowness: float) -> float:
    """1 for what is within :data:`DRIFT` of it: no short measurement tells another machine from another minute of the same one."""
    return 1.0 if 1 / DRIFT < slowness < DRIFT else slowness


@dataclass(frozen=True, slots=True)
class FirstTouch:
    """What the first use of memory costs: seconds for each :data:`TOUCH_STEP` bytes, in the order in which the system hands them out."""

    steps: tuple[float, ...]

    def seconds(self, count: int) -> float:
        """Of using so many bytes. What was not tried costs as the last of what was: a system hands out first what costs it least."""
        number = count / TOUCH_STEP
        tried = int(min(number, len(self.steps)))
        tail = self.steps[-4:]
        return sum(self.steps[:tried]) + (number - tried) * sum(tail) / len(tail)


@cache
def first_touch() -> FirstTouch:
    """Try it, with small pages, as the arrays of all but large proofs have them. What was taken is given back.

    On a virtual machine whose host lends memory on demand this may be most of a first proof, unless the memory was in use a
    moment ago: the host has to find the pages first.
    """
    size = max(min(TOUCH_BYTES, memory.available_bytes() // 2) // TOUCH_STEP * TOUCH_STEP, TOUCH_STEP)
    try:
        return FirstTouch(_touch(size))
    except OSError:  # a limit of this process
        return FirstTouch((0.0,))


def _touch(size: int) -> tuple[float, ...]:
    """Seconds of every step that was tried of so many bytes."""
    steps: list[float] = []
    with _private_memory(size) as region:
        pages = np.frombuffer(region, np.uint8)[::PAGE]
        while (len(steps) + 1) * TOUCH_STEP <= size and sum(steps) < TOUCH_SECONDS:
            first = len(steps) * TOUCH_STEP // PAGE
            started = time.perf_counter()
            pages[first : first + TOUCH_STEP // PAGE] = 1
            steps.append(time.perf_counter() - started)
        del pages
    return tuple(steps)


def _private_memory(size: int) -> mmap.mmap:
    """Memory as the C library maps it: of its own, in small pages unless the system gives everybody huge ones."""
    private = getattr(mmap, "MAP_PRIVATE", None)
    return mmap.mmap(-1, size) if private is None else mmap.mmap(-1, size, flags=private | mmap.MAP_ANONYMOUS)
