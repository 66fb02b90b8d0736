"""The figures that the README quotes: kernels, columns, execution, proofs of the mixed guest and of the digit classifier.

Proofs of one kind run in a process of their own, so that peak memory is theirs; a figure is the median of several runs after a warm-up.
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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from zkvm.cli.options import JsonOption
from zkvm.cli.output import emit
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
    from zkvm.prover.memory import keep_freed_pages
    from zkvm.vm.executor import execute

    keep_freed_pages()  # as a proof does
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


def prove_repeatedly(name: str, case: str, params: str, threads: int, runs: int) -> Figures:
    """Several proofs of one run in this process, after a first that fills caches and touches memory: medians by phase.

    The seconds include execution, the image's commitment, trace, proof and the self-check of the receipt.
    """
    from zkvm.api import prove
    from zkvm.params import Policy

    path, stdin = guest(name, case or None)
    infos = [prove(path, stdin, params=params, threads=threads) for _ in range(runs + 1)]
    receipt, first = infos[-1].receipt, infos[-1]
    seconds = {phase: round(statistics.median(info.seconds[phase] for info in infos[1:]), 3) for phase in first.seconds}
    data = receipt.to_bytes()
    verify = median_seconds(lambda: receipt.verify(first.image_id, policy=Policy(), exit_code=receipt.claim.exit_code))
    return {
        "cycles": first.cycles,
        "cycles_per_s": round(first.cycles / seconds["total"]),
        "first_proof_total_s": round(infos[0].seconds["total"], 3),
        "seconds": seconds,
        "verify_ms": round(verify * 1e3),
        "peak_memory_mib": round(first.peak_memory_bytes / 2**20),
        "receipt_kib": round(len(data) / 1024),
        "security_bits": first.security_bits,
        "threads": threads,
    }


def prove_in_turn(name: str, case: str, params: str, counts: Sequence[int], runs: int) -> Figures:
    """Seconds by phase on each number of threads, of proofs that take turns: a machine that drifts is as fast for all of them."""
    from zkvm.api import prove

    path, stdin = guest(name, case or None)
    rounds = [[prove(path, stdin, params=params, threads=threads).seconds for threads in counts] for _ in range(runs + 1)][1:]
    return {str(threads): [own[number] for own in rounds] for number, threads in enumerate(counts)}


def prove_in_child(name: str, case: str, params: str, threads: int, runs: int) -> Figures:
    """:func:`prove_repeatedly` in a process of its own, so that peak memory is that of this proof."""
    return call_in_child("prove_repeatedly", name, case, params, threads, runs)


def call_in_child(function: str, *arguments: Any) -> Figures:
    """The result of a function of this module in a process of its own."""
    code = f"import json, sys; from zkvm.cli import bench; print(json.dumps(bench.{function}(*json.loads(sys.argv[1]))))"
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    figures: Figures = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return figures


def process_seconds(command: list[str], runs: int) -> float:
    """Median wall time of a whole process, caches warm, Python's own of compiled modules among them."""
    env = warm_environment()
    return median_seconds(lambda: subprocess.run(command, capture_output=True, check=True, env=env), runs)


def warm_environment() -> dict[str, str]:
    """Ours, but with Python's cache of compiled modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def bench_prediction(runs: int = RUNS) -> Figures:
    """Predicted against measured seconds and memory."""
    from zkvm.cli import bench_prediction

    return bench_prediction.bench_prediction(runs)


def bench_commands(runs: int = RUNS) -> Figures:
    """Whole processes as a user starts them: ``zkvm run`` of a guest of about 10,000 cycles (the digit classifier), and the stand-alone
    verifier of its receipt."""
    path, stdin = guest("digits")
    with tempfile.TemporaryDirectory() as name:
        source, receipt = Path(name) / "input", Path(name) / "receipt"
        source.write_bytes(stdin)
        run = [sys.executable, "-m", "zkvm", "run", str(path), "--input", str(source), "--out", str(receipt), "--json"]
        figures: Figures = json.loads(subprocess.run(run, capture_output=True, check=True).stdout)
        verify = [sys.executable, "-m", "zkvm.verifier", str(receipt), "--image-id", figures["image_id"]]
        return {
            "run_of_10000_cycles": {"guest": path.stem, "cycles": figures["cycles"], "process_s": round(process_seconds(run, runs), 2)},
            "verify": {
                "process_s": round(process_seconds(verify, runs), 2),
                "receipt_kib": round(figures["receipt_bytes"] / 1024),
                "security_bits": figures["security_bits"],
            },
        }


def bench_mixed(runs: int = RUNS) -> Figures:
    """The mixed guest at about 2^16, 2^18 and 2^20 cycles under ``fast`` and ``balanced``; the largest also on one thread."""
    figures: Figures = {}
    for params in ("fast", "balanced"):
        for case in ("2^16", "2^18", "2^20"):
            figures[f"{params} {case}"] = prove_in_child("mixed", case, params, 2, runs)
    figures["fast 2^20 one thread"] = prove_in_child("mixed", "2^20", "fast", 1, runs)
    figures["compact 2^20"] = prove_in_child("mixed", "2^20", "compact", 2, runs)
    return figures


BESIDE = ("execute", "image")
"""Phases that two threads do at the same time: what each takes cannot be compared."""


def bench_scaling(runs: int = RUNS) -> Figures:
    """A proof of 2^20 cycles under ``fast`` on one thread and on two, in turn, and two one-thread proofs in processes of their own at the
    same time.

    The last says what two cores of this machine are worth: no program gains more than two independent ones.
    """
    single, double = call_in_child("prove_in_turn", "mixed", "2^20", "fast", (1, 2), runs).values()
    with ThreadPoolExecutor(2) as pool:
        pair = list(pool.map(lambda _: prove_in_child("mixed", "2^20", "fast", 1, runs)["seconds"]["total"], range(2)))
    medians = [round(statistics.median(proof["total"] for proof in proofs), 3) for proofs in (single, double)]
    gains = {
        phase: [one[phase] / two[phase] for one, two in zip(single, double, strict=True)] for phase in single[0] if phase not in BESIDE
    }
    return {
        "one_thread_s": medians[0],
        "two_threads_s": medians[1],
        "two_processes_s": round(statistics.mean(pair), 3),
        "two_threads_speedup": round(statistics.median(gains["total"]), 2),
        "two_threads_speedups": sorted(round(gain, 2) for gain in gains["total"]),
        "two_processes_speedup": round(2 * medians[0] / statistics.mean(pair), 2),
        "speedup_by_phase": {phase: round(statistics.median(own), 2) for phase, own in gains.items()},
    }


def bench_digits(runs: int = RUNS) -> Figures:
    """The digit classifier on one image, default parameters."""
    return prove_in_child("digits", "", "balanced", 2, runs)


BENCHES: dict[str, Callable[[int], Figures]] = {
    "kernels": bench_kernels,
    "columns": bench_columns,
    "execute": bench_execute,
    "digits": bench_digits,
    "commands": bench_commands,
    "mixed": bench_mixed,
    "scaling": bench_scaling,
    "prediction": bench_prediction,
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


def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(BENCHES)}; all by default")] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, max=100, help="counted runs of each proof, after a warm-up")] = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Measure the figures that the README quotes (in a checkout of the project)."""
    figures = run_benches(names or [], runs)
    if as_json:
        emit(figures)
    else:
        print(json.dumps(figures, indent=2))
