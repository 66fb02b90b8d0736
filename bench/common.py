"""What the benches share: the machine's description, committed guests, and work done in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
GUESTS = ROOT / "guest_programs"


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


def guest(name: str, case: str | None = None) -> tuple[Path, bytes]:
    """A guest and its input.

    Args:
        name: of a committed guest; or "network".
        case: one recorded case (the first by default), or "rounds N" of the guest ``mixed``; of a network its name in ``ml/networks.py``.

    Returns:
        The ELF file, and the input.
    """
    if name == "network":
        return network(case or "lenet5")
    folder = GUESTS / name
    if case is not None and case.startswith("rounds "):
        return folder / f"{name}.elf", int(case.split()[1]).to_bytes(4, "little")
    cases = json.loads((folder / "expected.json").read_text())["cases"]
    chosen = cases[0] if case is None else next(entry for entry in cases if entry["name"] == case)
    return folder / f"{name}.elf", bytes.fromhex(chosen["input"])


def network(name: str) -> tuple[Path, bytes]:
    """A network with random weights, compiled to fixed point (once, in ``build/networks``), and its first sample as the guest's input."""
    import numpy as np

    from bench.ml.networks import write
    from zkvm.ml import CompiledModel

    folder = ROOT / "build" / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    model, data = write(name, folder)
    if not (folder / name).exists():
        options = ["--calibration", str(data), "-o", str(folder / name), "--no-measure", "--accept-inexact", "--arithmetic", "fixed"]
        subprocess.run([sys.executable, "-m", "zkvm", "compile", str(model), *options], capture_output=True, check=True)
    compiled, samples = CompiledModel.load(folder / name), np.load(data)
    words, _ = compiled.quantize([samples[0].reshape(compiled.inputs[0].shape)])
    return folder / name / "model.elf", compiled.stdin(words)


def prove_repeatedly(name: str, case: str, params: str, threads: int, runs: int) -> Figures:
    """Several proofs of one run in this process, after a first that fills caches and touches memory: medians by phase.

    The seconds include execution, the image's commitment, trace, proof and the self-check of the receipt.
    """
    from zkvm.api import prove
    from zkvm.stark.protocol.params import Policy

    path, stdin = guest(name, case or None)
    infos, processor = [], []
    for _ in range(runs + 1):
        begin = time.process_time()
        infos.append(prove(path, stdin, params=params, threads=threads))
        processor.append(round(time.process_time() - begin, 3))
    receipt, first = infos[-1].receipt, infos[-1]
    seconds = {phase: round(statistics.median(info.seconds[phase] for info in infos[1:]), 3) for phase in first.seconds}
    data = receipt.to_bytes()
    verify = median_seconds(lambda: receipt.verify(first.image_id, policy=Policy(), exit_code=receipt.claim.exit_code))
    return {
        "cycles": first.cycles,
        "cycles_per_s": round(first.cycles / seconds["total"]),
        "first_proof_total_s": round(infos[0].seconds["total"], 3),
        "first_proof_processor_s": processor[0],
        "processor_s": min(processor[1:]),
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
    code = f"import json, sys; from bench import common; print(json.dumps(common.{function}(*json.loads(sys.argv[1]))))"
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    figures: Figures = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return figures


def process_seconds(command: list[str], runs: int) -> float:
    """Median wall time of a whole process, caches warm, Python's own of compiled modules among them."""
    env = warm_environment()
    return median_seconds(lambda: subprocess.run(command, capture_output=True, check=True, env=env), runs)


def warm_environment() -> dict[str, str]:
    """Ours, but with Python's cache of compiled modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
