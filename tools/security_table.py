"""Write the tables in docs/security.md from ``zkvm/stark/protocol/security.py`` and what the public calculator said of the same sets.

python tools/security_table.py            # rewrite the tables
python tools/security_table.py --check    # exit code 1 if they are not current
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.soundcalc import ANSWER, HEIGHTS, name_of, shape_of
from zkvm.stark.protocol.params import BEST, GRINDING_BITS, PARAMETERS, REGIMES, Parameters
from zkvm.stark.protocol.security import EVENTS, Bound, best_bound, size_of

PAGE = ROOT / "docs" / "security.md"
END = "<!-- end of table -->"
TERMS = ("batching", "fold 1", "weights", "query", "constraints", "out of domain", "buses")
"""Later folds err less than the first."""
FORMULAS = {
    "batching": "(functions - 1) e(n)",
    "fold": "7 e(n / 8^k), for fold k",
    "weights": "7 folds (2m + 1) / sqrt(rho) (n + 1) / q; none for unique decoding",
    "query": f"(1 - distance)^queries 2^-{GRINDING_BITS}",
    "constraints": "L constraints / q",
    "out of domain": "L (3 (N + 1) + N - 1) / (q - N - n)",
    "buses": "L fingerprints (values + 2) / q",
    "sums": "L (largest power of beta in a coefficient) / q; none without sums",
    "pin": "(10 L)^2 2^24 / 2 q, for each of several [joined proofs](protocol.md#joined-proofs); none otherwise",
    "joint buses": "fingerprints on joint buses, of all proofs together, (values + 2) / q",
}
CALCULATED = {
    "batching": "batching", "commit round 1": "fold 1", "query phase": "query", "ALI": "constraints", "DEEP": "out of domain",
    "buses": "buses",
}  # fmt: skip
"""The calculator's rounds, and our terms."""


def bound_of(chosen: Parameters, log: int, regime: str = BEST) -> Bound:
    """What a regime proves of a set when every table is present and of this height."""
    return best_bound(chosen, size_of(shape_of(chosen, log)), regime)


def markdown(titles: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def terms_table() -> str:
    """Every set at some heights, term by term."""
    rows = []
    for chosen, log in ((chosen, log) for chosen in PARAMETERS for log in HEIGHTS):
        bound = bound_of(chosen, log)
        found = {term.label: term.bits for term in bound.terms}
        cells = [f"{chosen.name}, {chosen.security_bits}", str(chosen.blowup), str(chosen.queries), f"2^{log}", f"{bound.theorem.m}"]
        rows.append([*cells, *(f"{found[term]:.1f}" for term in TERMS), f"**{bound.bits:.1f}**"])
    table = markdown(["set, claim", "blowup", "queries", "rows", "m", *TERMS, "all together"], rows)
    return f"{table}\n\nBits; `query` includes the {GRINDING_BITS} bits of the proof of work."


def events_table() -> str:
    """What each term counts."""
    return markdown(["term", "the bad event", "probability"], [[term, EVENTS[term], FORMULAS[term]] for term in EVENTS])


def regimes_table() -> str:
    """Every set under every regime."""
    rows = []
    for chosen, log in ((chosen, log) for chosen in PARAMETERS for log in HEIGHTS):
        bounds = [bound_of(chosen, log, regime) for regime in REGIMES]
        cells = [f"{bound.bits:.1f}" + (" (below the claim)" if bound.bits < chosen.security_bits else "") for bound in bounds]
        theorem = "unique decoding" if bounds[1].theorem.m is None else f"m = {bounds[1].theorem.m}"
        rows.append([f"{chosen.name}, {chosen.security_bits}", f"2^{log}", *cells[:2], theorem, cells[2]])
    return markdown(["set, claim", "rows", "`best`", "`bciks20`", "of these", "`unique`"], rows)


def calculator_table() -> str:
    """Our terms beside the calculator's rounds."""
    answer = json.loads(ANSWER.read_text())
    rows = []
    for chosen, log in ((chosen, log) for chosen in PARAMETERS for log in HEIGHTS):
        bound, levels = bound_of(chosen, log), answer["circuits"][name_of(chosen, log)]
        own, johnson = {term.label: term.bits for term in bound.terms}, levels["JBR"]
        cells = [f"{own[ours]:.1f} / {johnson[theirs]}" for theirs, ours in CALCULATED.items()]
        unique = f"{bound_of(chosen, log, 'unique').bits:.1f} / {levels['UDR']['total']}"
        rows.append([f"{chosen.name}, {chosen.security_bits}", f"2^{log}", *cells, f"{bound.bits:.1f} / {johnson['total']}", unique])
    titles = ["set, claim", "rows", *CALCULATED.values(), "total", "total, unique"]
    source = f"at commit `{answer['commit'][:12]}` of {answer['date']}, which rounds down"
    return f"{markdown(titles, rows)}\n\nOurs / the calculator's, {source}."


TABLES = {"terms": terms_table, "events": events_table, "regimes": regimes_table, "calculator": calculator_table}


def with_tables(page: str) -> str:
    """The page with the current tables between their marks."""
    for name, table in TABLES.items():
        begin = f"<!-- table {name}: tools/security_table.py -->"
        head, rest = page.split(begin)
        page = f"{head}{begin}\n{table()}\n{END}{rest.split(END, 1)[1]}"
    return page


def run(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    page = PAGE.read_text()
    current = with_tables(page)
    if arguments:
        if page != current:
            print(f"{PAGE.name} is not current: run python tools/security_table.py")
        return int(page != current)
    PAGE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
