"""Several proofs that are joined, prover's side: the early columns of each, then each by itself, in any order and anywhere.

Early columns are committed twice, before the joint challenges and with the rest of their proof, from the same randomness: so nothing has
to be kept in between but the tree's root and the pinned values. Who commits early columns again from the same randomness, and proves under
other joint challenges, opens one tree in two proofs and gives away what it hides: seeds belong to one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import ProvingError
from zkvm.stark.air.layout import EXTENSION, layout
from zkvm.stark.air.table import Table
from zkvm.stark.crypto.merkle import SALT_WORDS
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import ONE, Ext, ext_inv, ext_mul, ext_pow, to_ext
from zkvm.stark.kernels.columns import dot
from zkvm.stark.protocol.joint import (
    NOT_OPENED,
    PART_DOMAIN,
    Begin,
    Challenges,
    Joined,
    Part,
    PartProof,
    early_logs,
    part_digest,
    pin_transcript,
)
from zkvm.stark.protocol.params import MAX_HEIGHT, Parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.prover.columns import extend
from zkvm.stark.prover.commit import MerkleTree
from zkvm.stark.prover.deep import point_weights
from zkvm.stark.prover.preprocessed import Preprocessed, by_height
from zkvm.stark.prover.prove import Clock, Progress, arranged, open_tree, prove_opened
from zkvm.stark.prover.randomness import Randomness

U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Early:
    """The early columns of a proof, committed and pinned.

    Attributes:
        number: of the proof.
        tree: over their extensions.
        point: where they are pinned.
        pinned: (e, 3) uint64, their values there.
        digest: what stands for the proof in the joint challenge.
    """

    number: int
    tree: MerkleTree
    point: Ext
    pinned: U64
    digest: bytes


def share_of(randomness: Randomness) -> Ext:
    """What the starts of a proof's joint products multiply to: uniform, 1 without zero knowledge. All shares together must give 1."""
    return ONE if randomness.is_zero else to_ext(randomness.elements("joint share", EXTENSION))


def last_share(shares: Sequence[Ext]) -> Ext:
    """The share of the last proof: with those of the others it gives 1."""
    product = ONE
    for share in shares:
        product = ext_mul(product, share)
    return ext_inv(product)


def commit_early(
    part: Part,
    number: int,
    parameters: Parameters,
    tables: Sequence[Table],
    share: Ext,
    randomness: Randomness,
    threads: int = 1,
    begin: Begin = Transcript,
) -> Early:
    """Commit and pin the early columns of a proof.

    Args:
        part: what the proof is about.
        number: its number.
        parameters: the parameter set, that of all proofs.
        tables: those with early columns, others are not looked at. The early columns' exempt rows are overwritten with randomness.
        share: what the starts of the joint products multiply to.
        randomness: for early columns only.
        threads: at most this many.
        begin: for tests that replay challenges.

    Raises:
        ProvingError: no table has early columns.
    """
    shape, ordered, _ = arranged(part.machine, parameters, [table for table in tables if table.chip.early])
    if not ordered:
        raise ProvingError(f"machine {part.machine.name}: no table has early columns")
    _randomize(ordered, share, randomness)
    ldes = [extend(table.main[: table.chip.early], parameters.blowup, threads)[0] for table in ordered]
    salt = randomness.elements("salt early", (SALT_WORDS, parameters.blowup, shape.tallest), threads)
    tree = MerkleTree.commit(by_height(ldes), salt, threads)
    logs = early_logs(part.machine, shape.log_heights)
    transcript, point = pin_transcript(part.machine, parameters, number, logs, tree.root, begin)
    values = []
    for table, lde in zip(ordered, ldes, strict=True):
        weights = point_weights(table.height, ext_pow(point, MAX_HEIGHT // table.height), threads)
        values.append(dot(lde.reshape(len(lde), -1), weights, threads))
    pinned = np.concatenate(values)
    return Early(number, tree, point, pinned, part_digest(transcript, pinned, part.statement))


def _randomize(tables: Sequence[Table], share: Ext, randomness: Randomness) -> None:
    """Exempt rows of the early columns, and starts of the joint products, of which the last makes the share."""
    starts: list[U64] = []
    for table in tables:
        early, exempt = table.chip.early, table.height - table.active
        table.main[:early, table.active :] = randomness.elements(f"early rows {table.chip.name}", (early, exempt))
        plan = layout(table.chip.air_buses, early)
        starts += [table.main[plan.start(rank) : plan.start(rank) + EXTENSION, -1] for rank in range(plan.joint)]
    product = ONE
    for cells in starts[:-1]:
        if randomness.is_zero:
            cells[:] = ONE
        product = ext_mul(product, to_ext(cells))
    starts[-1][:] = ext_mul(share, ext_inv(product))


def prove_part(
    part: Part,
    early: Early,
    challenges: Challenges,
    parameters: Parameters,
    tables: Sequence[Table],
    preprocessed: Preprocessed,
    randomness: Randomness,
    *,
    threads: int = 1,
    progress: Progress | None = None,
    begin: Begin = Transcript,
) -> tuple[PartProof, dict[str, float]]:
    """Prove one part, after the early columns of all parts have been committed.

    Args:
        part: what the proof is about.
        early: its early columns.
        challenges: that all parts share.
        parameters: the parameter set.
        tables: all tables of the part, whose early columns are those that were committed. They are consumed.
        preprocessed: the preprocessed columns, committed under the parameters' blowup.
        randomness: for everything but early columns.
        threads: at most this many.
        progress: called at the begin of each phase.
        begin: for tests that replay challenges.

    Returns:
        The proof, and seconds by phase.

    Raises:
        ProvingError: a constraint does not hold.
    """
    joined = Joined(early.number, challenges, early.tree.root, early.point, early.pinned, NOT_OPENED)
    clock = Clock(progress)
    proof, positions = prove_opened(
        part.machine, parameters, part.statement, tables, preprocessed, randomness, threads, clock, begin(PART_DOMAIN), joined
    )
    shape = ProofShape(part.machine, parameters, proof.log_heights)
    return PartProof(early.tree.root, early.pinned, open_tree(early.tree, positions, shape), proof), clock.seconds
