"""``zkvm soundness``: every error term of a proof in bits, and the size of the receipt."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from zkvm.cli.errors import DONE, REJECTED
from zkvm.cli.options import JsonOption
from zkvm.cli.output import emit, line, size
from zkvm.errors import UsageError
from zkvm.riscv.machine import machine
from zkvm.stark.protocol.codec import expected_bytes
from zkvm.stark.protocol.params import MAX_HEIGHT, MIN_TALLEST, parameters
from zkvm.stark.protocol.security import best_regime, bits, proven_bits, size_of
from zkvm.stark.protocol.shape import ProofShape


def soundness(
    params: Annotated[str, typer.Option("--params", metavar="fast|balanced|compact", help="parameter set")] = "balanced",
    security: Annotated[int, typer.Option("--security", metavar="100|128", help="its claim")] = 100,
    rows: Annotated[str, typer.Option("--rows", metavar="2^N", help="height of the tallest table")] = "2^20",
    as_json: JsonOption = False,
) -> None:
    """Show the proven security of a proof term by term, for the worst case: every table present and as tall as the tallest."""
    height = parse_rows(rows)
    shape = ProofShape(machine(), parameters(params, security), (height.bit_length() - 1,) * len(machine().chips))
    m, terms = best_regime(shape.parameters, size_of(shape))
    regime = "unique decoding" if m is None else f"Johnson bound, m = {m}"
    total, length = proven_bits(shape), expected_bytes(shape)
    reached = total >= security
    if as_json:
        view = {"params": params, "rows": height, "regime": regime, "terms": {name: bits(error) for name, error in terms.items()}}
        emit(view | {"security_bits": total, "claimed_bits": security, "claim_reached": reached, "proof_bytes": length})
        raise typer.Exit(DONE if reached else REJECTED)
    line("parameters", f"{params}, {security} bits: blowup {shape.parameters.blowup}, {shape.parameters.queries} queries")
    line("rows", f"2^{height.bit_length() - 1} in each of {len(shape.tables)} tables")
    line("regime", regime)
    for name, error in terms.items():
        line(f"  {name}", f"{bits(error):7.1f} bits")
    line("all together", f"{total:7.1f} bits")
    line("claim", f"{security} bits, {'reached' if reached else 'NOT REACHED: every verifier refuses such a proof'}")
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
