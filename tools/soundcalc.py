"""Our parameter sets in the form that a public calculator of proof systems' soundness reads, and what it says of them.

python tools/soundcalc.py               # rewrite the entry, tests/stark/protocol/soundcalc.toml
python tools/soundcalc.py --check       # exit code 1 if it is not current
python tools/soundcalc.py --run PATH    # run the calculator of that checkout on it and record the answer, soundcalc.json beside it

The calculator is soundcalc of the Ethereum Foundation (https://github.com/ethereum/soundcalc); ``--run`` needs the package toml besides.
The entry follows from the parameter sets and the machine; each circuit is a set at one height, every table present and as tall.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from zkvm.riscv.machine import machine
from zkvm.stark.protocol.params import FOLDING, GRINDING_BITS, PARAMETERS, Parameters
from zkvm.stark.protocol.security import CONSTRAINT_DEGREE, ROWS_READ, best_bound, size_of
from zkvm.stark.protocol.shape import ProofShape

ENTRY = ROOT / "tests" / "stark" / "protocol" / "soundcalc.toml"
ANSWER = ENTRY.with_suffix(".json")
HEIGHTS = (15, 20, 24)
"""log2 of the rows of the tallest table."""
ROUND_DOWN = 1 + 1e-12
"""The calculator rounds its m up: a gap that is too small by the last bit would make it m + 1."""
PROGRAM = """
import json, sys
from soundcalc.zkvms.zkvm import zkVM
print(json.dumps({circuit.get_name(): circuit.get_security_levels() for circuit in zkVM.load_from_toml(sys.argv[1]).get_circuits()}))
"""


def shape_of(chosen: Parameters, log: int) -> ProofShape:
    """Every table present and of this height."""
    return ProofShape(machine(), chosen, (log,) * len(machine().chips))


def name_of(chosen: Parameters, log: int) -> str:
    """The circuit's name."""
    return f"{chosen.name}-{chosen.security_bits} 2^{log}"


def circuit(chosen: Parameters, log: int) -> str:
    """The entry of one set at one height, with the radius that is best for our sum."""
    shape = shape_of(chosen, log)
    size, rate = size_of(shape), 1 / chosen.blowup
    m = best_bound(chosen, size).theorem.m
    assert m is not None
    gap = math.sqrt(rate) / (2 * m) * ROUND_DOWN
    lines = ["[[circuits]]", f'name = "{name_of(chosen, log)}"', f"trace_length = {shape.tallest}", f"rho = {rate}"]
    lines += [f"air_max_degree = {CONSTRAINT_DEGREE}", f"num_constraints = {size.constraints}", f"opening_points = {ROWS_READ}"]
    lines += [f"batch_size = {size.batched}", "power_batching = true", f"num_queries = {chosen.queries}"]
    lines += [f"fri_folding_factors = {[FOLDING] * len(shape.fri_heights)}"]
    lines += [f"fri_early_stop_degree = {shape.final_length * chosen.blowup}"]
    lines += [f"grinding_query_phase = {GRINDING_BITS}", f"gap_to_radius = {gap!r}  # m = {m}", "", "[[circuits.lookups]]"]
    lines += ['name = "buses"', 'logup_type = "univariate"', f"rows_L = {size.interactions}", "rows_T = 0"]
    return "\n".join([*lines, f"num_columns_S = {size.arity + 2}", "num_lookups_M = 1"])


def entry() -> str:
    """The whole file."""
    head = '# Written by tools/soundcalc.py.\n\n[zkevm]\nname = "zkvm"\nprotocol_family = "FRI_STARK"\n'
    head += 'field = "Goldilocks^3"\nhash_size_bits = 256\n'
    return "\n".join([head, *(circuit(chosen, log) + "\n" for chosen in PARAMETERS for log in HEIGHTS)])


def record(checkout: Path) -> None:
    """Run the calculator and write down what it says, with its commit.

    Raises:
        CalledProcessError: it does not run, or the path is no checkout.
    """

    def output(*command: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()

    commit, date = output("git", "-C", str(checkout), "log", "-1", "--format=%H %cs").split()
    levels = json.loads(output(sys.executable, "-c", PROGRAM, str(ENTRY)))
    ANSWER.write_text(json.dumps({"commit": commit, "date": date, "circuits": levels}, indent=1) + "\n")


def run(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    match arguments:
        case []:
            ENTRY.write_text(entry())
        case ["--check"]:
            if not ENTRY.is_file() or ENTRY.read_text() != entry():
                print(f"{ENTRY.name} is not current: run python tools/soundcalc.py, then with --run")
                return 1
        case ["--run", path]:
            record(Path(path))
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
