"""Runs in segments and many runs: processes against one, the coordinator's share, length, batches. One JSON object.

``python bench/segments.py [workers] [length] [batch] [--runs N] [--rounds N] [--count N]``. All commands of a pair run in turns. Wall time
says little on a machine that does other work too; processor time of a command and all its children does. What two workers gain is told in
both: by the clock, and as the processor seconds of one worker and its coordinator over those of the coordinator and the busier of two.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.common import ROOT, Figures, guest, machine_description

PARAMS = ("--params", "fast", "--security", "100")
SINGLE_ROUNDS, SEGMENT = 12_500, 1_045_000
"""A proof of 2^20 cycles, nearly; and the length of segments that are compared with it."""


def run(*arguments: str | Path) -> Figures:
    """``zkvm run`` in a process of its own: its JSON, with processor and wall seconds of all of it."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "zkvm", "run", *map(str, arguments), *PARAMS, "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if answer.returncode:
        raise SystemExit(answer.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    view: Figures = json.loads(answer.stdout)
    return view | {"processor": used, "wall": time.perf_counter() - started}


def mixed(folder: Path, rounds: int) -> tuple[Path, ...]:
    """Arguments for the guest ``mixed`` with so many rounds."""
    elf, stdin = guest("mixed", f"rounds {rounds}")
    path = folder / f"{rounds}.in"
    path.write_bytes(stdin)
    return elf, Path("--input"), path, Path("--out"), folder / "out.receipt"


def critical(accounts: dict[str, Any]) -> float:
    """Processor seconds from begin to end of a run whose workers have a core each."""
    busy: dict[str, float] = accounts["busy"]
    return float(accounts["coordinator"]) + max(busy.values())


def bench_workers(folder: Path, runs: int, rounds: int) -> Figures:
    """Two processes of one thread against one; and what the coordinator does itself."""
    wall, processor, work, shares = [], [], [], []
    for _ in range(runs):
        one, two = (run(*mixed(folder, rounds), "--segment-cycles", str(SEGMENT // 2), "--jobs", str(jobs)) for jobs in (1, 2))
        wall.append(one["seconds"]["segments"] / two["seconds"]["segments"])
        processor.append(critical(one["accounts"]) / critical(two["accounts"]))
        own = two["accounts"]
        work.append(sum(own["busy"].values()) / sum(one["accounts"]["busy"].values()))
        shares.append(own["coordinator"] / (own["coordinator"] + sum(own["busy"].values())))
    return {
        "cycles": one["cycles"],
        "segments": one["segments"],
        "two_against_one_wall": summary(wall),
        "two_against_one_processor": summary(processor),
        "work_of_two_over_work_of_one": summary(work),
        "coordinator_share_of_processor_time": summary(shares),
        "cut_seconds": own["cut"],
    }


def bench_length(folder: Path, runs: int, rounds: int) -> Figures:
    """A long run in segments, on one thread, against one proof of a segment's length: cycles for a processor second.

    Of the single proof also what a later one of the same process takes, from two commands that prove one and three of them.
    """
    elf, stdin = guest("mixed", f"rounds {SINGLE_ROUNDS}")
    for count in (1, 3):
        (folder / f"singles{count}").mkdir()
        for number in range(count):
            (folder / f"singles{count}" / str(number)).write_bytes(stdin)
    rates = []
    for _ in range(runs):
        singles = []
        for count in (1, 3):
            singles.append(run(elf, "--inputs", folder / f"singles{count}", "--out", folder / "receipts", "--threads", "1"))
            shutil.rmtree(folder / "receipts")
        long = run(*mixed(folder, rounds), "--threads", "1", "--segment-cycles", str(SEGMENT))
        cycles, (one, three) = singles[0]["receipts"][0]["cycles"], (own["processor"] for own in singles)
        rates.append((cycles / one, 2 * cycles / (three - one), long["cycles"] / long["processor"]))
    return {
        "cycles": [cycles, long["cycles"]],
        "segments": long["segments"],
        "cycles_a_processor_second_first_later_segments": [[round(rate) for rate in own] for own in rates],
        "segments_against_first_proof": summary([own[2] / own[0] for own in rates]),
        "segments_against_later_proof": summary([own[2] / own[1] for own in rates]),
        "peak_memory_mib": long["peak_memory_bytes"] >> 20,
        "receipt_bytes": long["receipt_bytes"],
        "coordinator_share_of_processor_time": (
            long["accounts"]["coordinator"] - sum(part["processor"] for part in long["accounts"]["parts"])
        )
        / long["accounts"]["coordinator"],
    }


def bench_batch(folder: Path, runs: int, count: int) -> Figures:
    """Many digits by two processes against as many commands, one after the other."""
    elf, stdin = guest("digits")
    place = folder / "digits"
    place.mkdir()
    for number in range(count):
        (place / f"{number:03}").write_bytes(stdin)
    wall, processor = [], []
    for _ in range(runs):
        singles = [run(elf, "--input", place / f"{number:03}", "--out", folder / "one.receipt") for number in range(count)]
        both = run(elf, "--inputs", place, "--out", folder / "receipts", "--jobs", "2")
        assert both["proven"] == count
        shutil.rmtree(folder / "receipts")
        wall.append(sum(own["wall"] for own in singles) / both["wall"])
        processor.append(sum(own["processor"] for own in singles) / both["processor"])
    return {"count": count, "wall": summary(wall), "processor": summary(processor)}


def summary(values: list[float]) -> Figures:
    """Median and all values."""
    return {"median": round(statistics.median(values), 3), "all": [round(value, 3) for value in values]}


def main() -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workers, length, batch")
    parser.add_argument("--runs", type=int, default=3, help="pairs of each")
    parser.add_argument("--rounds", type=int, help="of the guest mixed: 83.75 cycles each, about (100,000 for workers, 200,000 for length)")
    parser.add_argument("--count", type=int, default=100, help="digits of a batch")
    options = parser.parse_args()
    figures: Figures = {"machine": machine_description()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = options.names or ["workers", "length", "batch"]
        if "workers" in chosen:
            figures["workers"] = bench_workers(folder, options.runs, options.rounds or 100_000)
        if "length" in chosen:
            figures["length"] = bench_length(folder, options.runs, options.rounds or 200_000)
        if "batch" in chosen:
            figures["batch"] = bench_batch(folder, options.runs, options.count)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
