"""Look for a wrong output that is accepted: equivalent programs with known output, and faults of the executor.

    python tools/metamorphic.py --programs 1000 --faults 20 --prove 0.01

For each random program: QEMU's RISC-V core says what it outputs; the machine must output the same, for the program and for a rewriting
of it with other instructions, and accept both. Then the executor makes mistakes, one a run; the machine must refuse, or the output be
right all the same. A share of the accepted runs is proven and verified for real, and of the refused ones with a prover that does not
mind. Prints a line for each finding; the exit code is 1 if there is any.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.metamorphic.equivalent import pair
from tests.metamorphic.faults import KINDS, faulty_execution, injected, refusals
from tests.proving import FAST, prove_execution
from tests.riscv.vm.programs import REGION, label_address, run_unicorn
from zkvm.errors import GuestTrap, LimitError, ProvingError, UsageError, VerificationError
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Image
from zkvm.riscv.vm.assemble import DATA
from zkvm.riscv.vm.executor import execute
from zkvm.stark.protocol.params import Policy
from zkvm.stark.prover import quotient
from zkvm.stark.verifier.verify import verify_proof


class Findings:
    """What went wrong, and what was done."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done: Counter[str] = Counter()

    def expect(self, condition: bool, line: str) -> None:
        """Note a finding unless the condition holds."""
        if not condition:
            self.lines.append(line)
            print(f"FINDING: {line}", flush=True)


def check_pair(seed: int, found: Findings) -> tuple[Image, bytes, int] | None:
    """Both programs of a seed: their outputs and their acceptance. The first with its output and its cycles; None if it is too long."""
    try:
        images = pair(seed)
    except UsageError:
        found.done["too long for its branches"] += 1
        return None
    expected = run_unicorn(images[0], label_address(images[0], "commit"), DATA, REGION)
    cycles = 0
    for which, image in zip(("program", "rewriting"), images, strict=True):
        execution = execute(image)
        cycles = cycles or execution.cycles
        found.expect(execution.journal == expected, f"seed {seed}: the output of the {which} is wrong")
        found.expect(not (objections := refusals(execution)), f"seed {seed}: the {which} is refused: {sorted(objections)}")
        found.done["accepted runs"] += 1
    return images[0], expected, cycles


def check_fault(image: Image, expected: bytes, kind: str, cycle: int, seed: int, found: Findings) -> bool:
    """One mistake; whether the machine refused it."""
    outcome = injected(image, kind, cycle, seed)
    if outcome is None:
        found.done["ended by the mistake"] += 1
        return False
    wrong = outcome.journal != expected
    found.expect(bool(outcome.refused) or not wrong, f"ACCEPTED WRONG OUTPUT: {kind} at cycle {cycle}, seed {seed}")
    found.done[f"{kind}: {'refused' if outcome.refused else 'without effect'}"] += 1
    return bool(outcome.refused)


def check_proof(image: Image, expected: bytes, fault: tuple[str, int, int] | None, found: Findings) -> None:
    """Prove and verify a run, honest or not; the output claimed is the run's own."""
    own_check = quotient.require_zero
    try:
        execution = execute(image) if fault is None else faulty_execution(image, *fault)
        if fault is not None:
            quotient.require_zero = lambda coefficients, message: None
        statement, proof = prove_execution(execution, FAST)
        verify_proof(machine(), statement, proof, Policy())
        accepted = True
    except (ProvingError, VerificationError, GuestTrap, LimitError):
        accepted = False
    finally:
        quotient.require_zero = own_check
    found.expect(accepted or fault is not None, "an honest run was not proven")
    found.expect(not accepted or execution.journal == expected, f"VERIFIED WRONG OUTPUT: {fault}")
    found.done["proofs accepted" if accepted else "proofs refused"] += 1


def search(programs: int, faults: int, prove: float, seed: int, seconds: float = float("inf")) -> Findings:
    """Run everything on ``programs`` random programs; ``prove`` is the share of runs that are proven for real."""
    found = Findings()
    rng = random.Random(seed)
    stop = time.monotonic() + seconds
    for number in range(programs):
        checked = check_pair(seed + number, found)
        if checked is None:
            continue
        image, expected, cycles = checked
        if rng.random() < prove:
            check_proof(image, expected, None, found)
        for _ in range(faults):
            kind, cycle = rng.choice(KINDS), rng.randrange(cycles)
            refused = check_fault(image, expected, kind, cycle, seed + number, found)
            if refused and rng.random() < prove:
                check_proof(image, expected, (kind, cycle, seed + number), found)
        if time.monotonic() > stop:
            break
    return found


def run(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=100)
    parser.add_argument("--faults", type=int, default=20, help="mistakes for each program")
    parser.add_argument("--prove", type=float, default=0.0, help="share of the runs that are proven for real")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    chosen = parser.parse_args(arguments)
    started = time.perf_counter()
    found = search(chosen.programs, chosen.faults, chosen.prove, chosen.seed, chosen.seconds)
    for what, count in sorted(found.done.items()):
        print(f"{count:>8}  {what}")
    print(f"{len(found.lines)} findings in {time.perf_counter() - started:.1f} s")
    return 1 if found.lines else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
