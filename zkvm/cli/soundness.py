"""``zkvm soundness``: every error term of a proof in bits, what other theorems prove of it, and the size of the receipt."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from zkvm.cli.errors import DONE, REJECTED
from zkvm.cli.options import JsonOption, ParamsOption, RegimeOption, SecurityOption
from zkvm.cli.output import emit, line, size
from zkvm.errors import UsageError
from zkvm.riscv.machine import machine
from zkvm.stark.protocol.codec import expected_bytes
from zkvm.stark.protocol.params import BEST, DEFAULT_SECURITY, MAX_HEIGHT, MIN_TALLEST, REGIMES, Policy, parameters
from zkvm.stark.protocol.security import best_bound, size_of
from zkvm.stark.protocol.shape import ProofShape

NOT_REACHED = "NOT REACHED: every verifier refuses such a proof"


def soundness(
    params: ParamsOption = "balanced",
    security: SecurityOption = DEFAULT_SECURITY,
    rows: Annotated[str, typer.Option("--rows", metavar="2^N", help="height of the tallest table")] = "2^20",
    regime: RegimeOption = BEST,
    as_json: JsonOption = False,
) -> None:
    """Show the proven security of a proof term by term, for the worst case: every table present and as tall as the tallest."""
    height, regime = parse_rows(rows), Policy(regime=regime).regime
    shape = ProofShape(machine(), parameters(params, security), (height.bit_length() - 1,) * len(machine().chips))
    bounds = {name: best_bound(shape.parameters, size_of(shape), name) for name in REGIMES}
    bound, length = bounds[regime], expected_bytes(shape)
    reached = bound.bits >= security
    if as_json:
        view = {"params": params, "rows": height, "regime": regime, "theorem": bound.theorem.label}
        view |= {"terms": {term.label: term.bits for term in bound.terms}, "events": {term.label: term.event for term in bound.terms}}
        view |= {"security_bits": bound.bits}
        view |= {"bits_by_regime": {name: other.bits for name, other in bounds.items()}}
        emit(view | {"claimed_bits": security, "claim_reached": reached, "proof_bytes": length})
        raise typer.Exit(DONE if reached else REJECTED)
    line("parameters", f"{params}, {security} bits: blowup {shape.parameters.blowup}, {shape.parameters.queries} queries")
    line("rows", f"2^{height.bit_length() - 1} in each of {len(shape.tables)} tables")
    line("theorem", bound.theorem.label)
    for term in bound.terms:
        line(f"  {term.label}", f"{term.bits:7.1f} bits  {term.event}")
    line("all together", f"{bound.bits:7.1f} bits")
    line("claim", f"{security} bits, {'reached' if reached else NOT_REACHED if regime == BEST else 'NOT REACHED under this regime'}")
    for name, other in bounds.items():
        enough = "" if other.bits >= security else f"  less than the claim of {security}"
        line(f"  {name}", f"{other.bits:7.1f} bits  {other.theorem.label}{enough}")
    line("proof", f"about {size(length)}")
    raise typer.Exit(DONE if reached else REJECTED)


def parse_rows(text: str) -> int:
    """A power of two written as 2^N or as a number.

    Raises:
        UsageError: it is none, or out of the range of tallest tables.
    """
    match = re.fullmatch(r"2\^(\d{1,2})|(\d{1,9})", text.strip())
    height = (1 << int(match[1]) if match[1] else int(match[2])) if match else 0
    if height & (height - 1) or not MIN_TALLEST <= height <= MAX_HEIGHT:
        low, high = MIN_TALLEST.bit_length() - 1, MAX_HEIGHT.bit_length() - 1
        raise UsageError(f"--rows {text}: a power of two from 2^{low} to 2^{high} is needed")
    return height
