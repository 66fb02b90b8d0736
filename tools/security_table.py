"""Write the table of error terms in docs/security.md from ``zkvm/stark/protocol/security.py``.

python tools/security_table.py            # rewrite the table
python tools/security_table.py --check    # exit code 1 if it is not current
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from zkvm.riscv.machine import machine
from zkvm.stark.protocol.params import GRINDING_BITS, PARAMETERS
from zkvm.stark.protocol.security import best_regime, bits, proven_bits, size_of
from zkvm.stark.protocol.shape import ProofShape

PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- table: tools/security_table.py -->", "<!-- end of table -->"
HEIGHTS = (15, 20, 24)
"""log2 of the rows of the tallest table."""
TERMS = ("batching", "fold 1", "query", "constraints", "out of domain", "buses")
"""Later folds err less than the first."""


def row(number: int, log: int) -> str:
    """One line: every table present and as tall as the tallest."""
    chosen = PARAMETERS[number]
    shape = ProofShape(machine(), chosen, (log,) * len(machine().chips))
    regime, terms = best_regime(chosen, size_of(shape))
    cells = [f"{chosen.name}, {chosen.security_bits}", str(chosen.blowup), str(chosen.queries), f"2^{log}"]
    cells.append("unique" if regime is None else f"m = {regime}")
    cells += [f"{bits(terms[term]):.1f}" for term in TERMS]
    return "| " + " | ".join([*cells, f"**{proven_bits(shape):.1f}**"]) + " |"


def table() -> str:
    """The table in Markdown."""
    titles = ["set, claim", "blowup", "queries", "rows", "regime", *TERMS, "all together"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += [row(number, log) for number in range(len(PARAMETERS)) for log in HEIGHTS]
    return "\n".join([*lines, "", f"Bits; `query` includes the {GRINDING_BITS} bits of the proof of work."])


def with_table(page: str) -> str:
    """The page with the current table between its marks."""
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def run(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    page = PAGE.read_text()
    current = with_table(page)
    if arguments:
        if page != current:
            print(f"{PAGE.name} is not current: run python tools/security_table.py")
        return int(page != current)
    PAGE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
