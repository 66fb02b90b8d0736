"""Cells of rows of ecalls."""

from __future__ import annotations

import math

from zkvm.riscv.chips.ecall import FACTORS


def products_at(number: int) -> dict[str, int]:
    """The columns of products at a call's number."""
    roots = [[root for factors in FACTORS[: k + 1] for root in factors] for k in range(len(FACTORS))]
    return {f"numbers_{k}": math.prod(number - root for root in own) - math.prod(-root for root in own) for k, own in enumerate(roots)}
