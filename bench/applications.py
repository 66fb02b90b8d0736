"""The figures of docs/applications.md. Usage: ``python bench/applications.py [NAME...]``; prints a table, a row for each program.

Every program of ``host/`` runs in a process of its own, as its user starts it, with its attacks; the proofs that it makes are looked at. A
first proof loads the prover, later ones of the same program do not.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.common import ROOT, machine_description

NAMES = (
    *("credit", "one_model", "biometric", "contest", "oracle", "draughts"),
    *("backtest", "weightless", "fraud", "feed", "airdrop", "picture"),
)
"""In the order of the page."""
COLUMNS = "| program | cycles | first proof, s | later proof, s | verify, s | receipt, bytes | peak MiB | whole program, s |"


def watched(name: str) -> dict[str, Any]:
    """Run a program; the figures of its proofs. ``zkvm.prove`` is another function after that, so this is for a process of its own."""
    import zkvm
    from zkvm import api

    proofs: list[zkvm.ProveInfo] = []
    prove = api.prove

    def watch(*arguments: Any, **options: Any) -> zkvm.ProveInfo:
        proofs.append(prove(*arguments, **options))
        return proofs[-1]

    zkvm.prove = api.prove = watch
    sys.argv = [f"host/{name}.py"]
    started = time.perf_counter()
    runpy.run_path(str(ROOT / "host" / f"{name}.py"), run_name="__main__")
    return {
        "whole": time.perf_counter() - started,
        "cycles": proofs[0].cycles,
        "first": proofs[0].seconds["total"],
        "later": min(info.seconds["total"] for info in proofs[1:]),
        "verify": min(info.seconds["verify"] for info in proofs),
        "bytes": len(proofs[0].receipt.to_bytes()),
        "peak": max(info.peak_memory_bytes for info in proofs) / 2**20,
    }


def row(name: str, figures: dict[str, Any]) -> str:
    """A program's line of the table."""
    seconds = (f"{figures[key]:.2f}" for key in ("first", "later", "verify"))
    cells = (f"`{name}`", f"{figures['cycles']:,}", *seconds, f"{figures['bytes']:,}", f"{figures['peak']:.0f}", f"{figures['whole']:.0f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["--watch"]:
        print(json.dumps(watched(sys.argv[2])))
        return
    print(machine_description(), file=sys.stderr)
    print(COLUMNS, "|".join(["", *["---"] * COLUMNS.count(" | "), "---", ""]), sep="\n")
    for name in sys.argv[1:] or NAMES:
        child = subprocess.run([sys.executable, __file__, "--watch", name], capture_output=True, check=True, text=True)
        print(row(name, json.loads(child.stdout.splitlines()[-1])), flush=True)


if __name__ == "__main__":
    main()
