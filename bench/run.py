"""The figures that the front page and docs/performance.md quote. Usage: ``python bench/run.py [NAME...] [--runs N]``; prints JSON.

Proofs of one kind run in a process of their own, so that peak memory is theirs; a figure is the median of several runs after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.common import Figures, call_in_child, guest, machine_description, median_seconds, process_seconds, prove_in_child
from bench.prediction import bench_prediction

RUNS = 3
BUDGET = {
    "add": 31, "add_immediate": 28, "load_word": 29, "load_word_rom": 24, "store_word": 29, "branch_equal": 26, "branch_less": 39,
    "multiply": 35, "multiply_immediate": 33, "shift": 45, "bitwise": 43,
}  # fmt: skip
"""Committed base columns that the design allows per instruction of a chip."""


def bench_kernels(runs: int = 5) -> Figures:
    """Low-degree extension, leaf hashing and Merkle commitment, on one thread and on two."""
    from zkvm.stark.field.goldilocks import P
    from zkvm.stark.kernels.ntt import lde_plan
    from zkvm.stark.prover.commit import MerkleTree

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
    from zkvm.riscv.machine import machine

    chips: Figures = {}
    for code in machine().codes:
        _, main, bus = code.widths
        chips[code.chip.name] = {"main": main, "bus": bus, "committed": main + bus}
        if code.chip.name in BUDGET:
            chips[code.chip.name]["budget"] = BUDGET[code.chip.name]
    return {"chips": chips, "total_committed": sum(chip["committed"] for chip in chips.values())}


def bench_execute(runs: int = 3) -> Figures:
    """Instructions a second of the interpreter on the mixed guest, with and without a trace."""
    from zkvm.api import load_image
    from zkvm.riscv.vm.executor import execute
    from zkvm.stark.prover.memory import keep_freed_pages

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


def main() -> None:
    """Measure the named figures, all by default."""
    parser = argparse.ArgumentParser(description="Measure the figures that the front page quotes.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)}; all by default")
    parser.add_argument("--runs", type=int, default=RUNS, help="counted runs of each proof, after a warm-up")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench called {', '.join(unknown)}: choose from {', '.join(BENCHES)}")
    if chosen.runs < 1:
        parser.error("--runs: at least 1")
    figures = {name: BENCHES[name](chosen.runs) for name in chosen.names or BENCHES}
    print(json.dumps({"machine": machine_description(), **figures}, indent=2))


if __name__ == "__main__":
    main()
