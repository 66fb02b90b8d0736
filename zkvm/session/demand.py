"""What a receipt's verifiers will demand of it, asked before it is proven."""

from __future__ import annotations

from zkvm.errors import UsageError, VerificationError
from zkvm.riscv.header import ImageHeader, run_statement
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.stark.protocol.params import Parameters, Policy
from zkvm.stark.protocol.security import proven_bits
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.tables import Padding, planned_heights


def check_demand(policy: Policy, execution: Execution, header: ImageHeader, chosen: Parameters, pad_to: Padding) -> None:
    """Whether a proof of this run will have the bits that its verifiers demand.

    Args:
        policy: theirs.
        execution: the run.
        header: of its image.
        chosen: the parameters of the proof.
        pad_to: of its tables, see :func:`zkvm.stark.tables.heights_for`.

    Raises:
        UsageError: it will not.
    """
    heights = planned_heights(machine(), execution, execution.image, chosen.exempt, pad_to, split_price=chosen.split_price)
    shape = ProofShape(machine(), chosen, tuple(height.bit_length() - 1 if height else 0 for height in heights))
    tuples = run_statement(header, chosen, execution.journal, execution.exit_code).closing_tuples
    try:
        policy.check(proven_bits(shape, tuples, policy.regime))
    except VerificationError as error:
        raise UsageError(f"a proof by {chosen.name!r} with {chosen.security_bits} bits would be refused: {error.detail}") from error
