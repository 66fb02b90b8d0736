"""The figures that the README quotes: kernels, columns, execution, proofs of the mixed guest and of the digit classifier.

Every proof is a process of its own, run through the command line as a user would, so that peak memory and start-up are its own; a figure
is the median of several runs after a warm-up.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from zkvm.errors import UsageError

Figures = dict[str, Any]

GUESTS = Path(__file__).resolve().parents[2] / "guest_programs"
RUNS = 3
BUDGET = {
    "add": 31, "add_immediate": 28, "load_word": 29, "load_word_rom": 24, "store_word": 29, "branch_equal": 26, "branch_less": 39,
    "multiply": 35, "multiply_immediate": 33, "shift": 45, "bitwise": 43,
}  # fmt: skip
"""Committed base columns that the design allows per instruction of a chip."""


def machine_description() -> Figures:
    """Processor, cores, memory, Python and packages."""
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    packages = {}
    for name in ("numpy", "numba", "llvmlite"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "absent"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        **packages,
    }


def median_seconds(action: Callable[[], object], runs: int = 5) -> float:
    """Median wall time of an action, after one warm-up."""
    action()
    samples = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


def bench_kernels(runs: int = 5) -> Figures:
    """Low-degree extension, leaf hashing and Merkle commitment, on one thread and on two."""
    from zkvm.field.goldilocks import P
    from zkvm.kernels.ntt import lde_plan
    from zkvm.prover.commit import MerkleTree

    height, width, blowup = 1 << 20, 8, 2
    columns = np.random.default_rng(1).integers(0, P, (width, height), dtype=np.uint64)
    out = np.empty((width, blowup, height), np.uint64)
    plan = lde_plan(height, blowup)
    figures: Figures = {}
    for threads in (1, 2):
        seconds = median_seconds(lambda threads=threads: plan.run(columns, out, threads), runs)  # type: ignore[misc]
        figures[f"lde_2^20_to_2^21_ms_per_column_{threads}_threads"] = round(seconds / width * 1e3, 2)
        figures[f"lde_ns_per_output_element_{threads}_threads"] = round(seconds / (width * blowup * height) * 1e9, 2)
    wide = np.random.default_rng(2).integers(0, P, (128, 1, 1 << 16), dtype=np.uint64)
    for threads in (1, 2):
        seconds = median_seconds(lambda threads=threads: MerkleTree.commit([wide], None, threads), runs)  # type: ignore[misc]
        figures[f"merkle_commit_128_columns_gb_per_s_{threads}_threads"] = round(wide.nbytes / seconds / 1e9, 2)
    return figures


def bench_columns(runs: int = 1) -> Figures:
    """Committed base columns (main and bus) of every chip, beside the design's budget for instruction chips."""
    from zkvm.machine import machine

    chips: Figures = {}
    for code in machine().codes:
        _, main, bus = code.widths
        chips[code.chip.name] = {"main": main, "bus": bus, "committed": main + bus}
        if code.chip.name in BUDGET:
            chips[code.chip.name]["budget"] = BUDGET[code.chip.name]
    return {"chips": chips, "total_committed": sum(chip["committed"] for chip in chips.values())}


def guest(name: str, case: str | None = None) -> tuple[Path, bytes]:
    """A committed guest's ELF and the input of one recorded case (the first by default).

    Raises:
        UsageError: this is not a checkout of the project.
    """
    folder = GUESTS / name
    try:
        cases = json.loads((folder / "expected.json").read_text())["cases"]
    except OSError as error:
        raise UsageError(
            f"the benchmark's guests are in a checkout of the project, not in an installed package: {folder} is missing"
        ) from error
    chosen = cases[0] if case is None else next(entry for entry in cases if entry["name"] == case)
    return folder / f"{name}.elf", bytes.fromhex(chosen["input"])


def bench_execute(runs: int = 3) -> Figures:
    """Instructions a second of the interpreter on the mixed guest, with and without a trace."""
    from zkvm.api import load_image
    from zkvm.vm.executor import execute

    path, stdin = guest("mixed", "2^20")
    image = load_image(path)
    figures: Figures = {}
    for trace in (False, True):
        cycles = execute(image, stdin, trace=trace).cycles
        seconds = median_seconds(lambda trace=trace: execute(image, stdin, trace=trace), runs)  # type: ignore[misc]
        figures["with_trace" if trace else "without_trace"] = {
            "cycles": cycles,
            "million_instructions_per_s": round(cycles / seconds / 1e6, 1),
        }
    return figures


def prove_once(path: Path, stdin: bytes, options: list[str], folder: Path) -> Figures:
    """One proof and its verification by the command line: the JSON of ``run`` with whole-process and verifier seconds."""
    source, receipt = folder / "input", folder / "receipt"
    source.write_bytes(stdin)
    command = [sys.executable, "-m", "zkvm"]
    start = time.perf_counter()
    run = subprocess.run(
        [*command, "run", str(path), "--input", str(source), "--out", str(receipt), "--json", *options], capture_output=True, check=True
    )
    process = time.perf_counter() - start
    figures: Figures = json.loads(run.stdout)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "zkvm.verifier", str(receipt), "--image-id", figures["image_id"]], capture_output=True, check=True
    )
    figures["verify_process_seconds"] = time.perf_counter() - start
    figures["process_seconds"] = process
    return figures


def prove_median(path: Path, stdin: bytes, options: list[str], runs: int) -> Figures:
    """Medians over several proofs, after one that fills the compile cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prove_once(path, stdin, options, folder)
        results = [prove_once(path, stdin, options, folder) for _ in range(runs)]
    phases = results[0]["seconds"]
    seconds = {phase: round(statistics.median(result["seconds"][phase] for result in results), 3) for phase in phases}
    cycles = results[0]["cycles"]
    median = {key: statistics.median(result[key] for result in results) for key in ("process_seconds", "verify_process_seconds")}
    return {
        "cycles": cycles,
        "cycles_per_s": round(cycles / seconds["total"]),
        "seconds": seconds,
        "process_seconds": round(median["process_seconds"], 3),
        "verify_process_seconds": round(median["verify_process_seconds"], 3),
        "peak_memory_mib": round(max(result["peak_memory_bytes"] for result in results) / 2**20),
        "receipt_kib": round(results[0]["receipt_bytes"] / 1024),
        "security_bits": results[0]["security_bits"],
        "zk": results[0]["zk"],
    }


def bench_mixed(runs: int = RUNS) -> Figures:
    """The mixed guest at about 2^16, 2^18 and 2^20 cycles under ``fast`` and ``balanced``."""
    figures: Figures = {}
    for name in ("fast", "balanced"):
        for case in ("2^16", "2^18", "2^20"):
            path, stdin = guest("mixed", case)
            figures[f"{name} {case}"] = prove_median(path, stdin, ["--params", name], runs)
    return figures


def bench_digits(runs: int = RUNS) -> Figures:
    """The digit classifier on one image, default parameters."""
    path, stdin = guest("digits")
    return prove_median(path, stdin, [], runs)


BENCHES: dict[str, Callable[[int], Figures]] = {
    "kernels": bench_kernels,
    "columns": bench_columns,
    "execute": bench_execute,
    "digits": bench_digits,
    "mixed": bench_mixed,
}


def run_benches(names: list[str], runs: int = RUNS) -> Figures:
    """Figures of the named benches (all by default) with the machine's description.

    Raises:
        UsageError: an unknown name, or no checkout.
    """
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise UsageError(f"no bench called {', '.join(unknown)}: choose from {', '.join(BENCHES)}")
    chosen = names or list(BENCHES)
    return {"machine": machine_description(), **{name: BENCHES[name](runs) for name in chosen}}
