"""Every count, size and canonical form of a proof, before any field arithmetic or hashing of its contents."""

from __future__ import annotations

from types import UnionType

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import RejectReason, VerificationError
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.crypto.merkle import SALT_WORDS, sibling_count
from zkvm.stark.field.goldilocks import P, is_canonical
from zkvm.stark.protocol.joint import Joined
from zkvm.stark.protocol.params import FOLDING, MAX_HEIGHT, MIN_HEIGHT, MIN_TALLEST, parameters_from_numbers
from zkvm.stark.protocol.proof import LayerOpening, Proof, TreeOpening
from zkvm.stark.protocol.shape import (
    BUS_TREE,
    EARLY_TREE,
    MAIN_TREE,
    MASK_COLUMNS,
    PREPROCESSED,
    QUOTIENT_COLUMNS,
    ProofShape,
    opened_positions,
)
from zkvm.stark.protocol.statement import Statement


def reject(detail: str) -> VerificationError:
    """A SHAPE refusal."""
    return VerificationError(RejectReason.SHAPE, detail)


def check_shape(machine: Machine, statement: Statement, proof: Proof) -> ProofShape:
    """Everything that can be checked before the query positions are known.

    Args:
        machine: the machine.
        statement: what the proof should be about.
        proof: the proof, of which nothing is known.

    Returns:
        The sizes that follow from its heights.

    Raises:
        VerificationError: POLICY for unknown parameters, SHAPE for the rest.
    """
    check_types(proof)
    parameters = parameters_from_numbers(proof.parameters)
    check_presence(machine, statement, proof.log_heights)
    shape = ProofShape(machine, parameters, proof.log_heights)
    if not MIN_TALLEST <= shape.tallest <= MAX_HEIGHT:
        raise reject(f"tallest table has {shape.tallest} rows, not {MIN_TALLEST} to {MAX_HEIGHT}")
    check_sums(shape)
    for name in ("main_root", "bus_root", "quotient_root"):
        if len(getattr(proof, name)) != DIGEST_BYTES:
            raise reject(f"{name} is not {DIGEST_BYTES} bytes")
    if len(proof.fri_roots) != len(shape.fri_heights) or any(len(root) != DIGEST_BYTES for root in proof.fri_roots):
        raise reject(f"expected {len(shape.fri_heights)} FRI roots of {DIGEST_BYTES} bytes")
    check_elements("terminals", proof.terminals, (shape.terminal_count, EXTENSION))
    check_elements("openings", proof.openings, (shape.opening_count, EXTENSION))
    check_elements("final polynomial", proof.final, (shape.final_length, EXTENSION))
    if not 0 <= proof.nonce < 1 << 64:
        raise reject("nonce is not a 64-bit integer")
    if len(proof.layers) != len(shape.fri_heights):
        raise reject(f"expected {len(shape.fri_heights)} FRI layers")
    return shape


def check_kinds(*values: tuple[object, type | UnionType]) -> None:
    """Refuses values that are not of the kinds beside them."""
    for value, kind in values:
        if not isinstance(value, kind):
            raise reject(f"a {type(value).__name__} where a {getattr(kind, '__name__', kind)} must be")


def check_types(proof: Proof) -> None:
    """Types of everything that is not an array: a proof object need not come from the codec."""
    integers = (proof.parameters, proof.log_heights, (proof.nonce,))
    if not all(isinstance(numbers, tuple) and all(type(number) is int for number in numbers) for numbers in integers):
        raise reject("parameters, heights and nonce must be integers")
    if type(proof.zk) is not bool:
        raise reject("the zk flag must be a boolean")
    roots = (proof.main_root, proof.bus_root, proof.quotient_root)
    if not isinstance(proof.fri_roots, tuple) or not all(isinstance(root, bytes) for root in roots + proof.fri_roots):
        raise reject("roots must be bytes")
    if not isinstance(proof.layers, tuple) or not all(isinstance(layer, LayerOpening) for layer in proof.layers):
        raise reject("layers must be layer openings")
    for opening in (proof.preprocessed, proof.main, proof.bus, proof.quotient):
        if not isinstance(opening, TreeOpening) or not isinstance(opening.rows, tuple):
            raise reject("openings of trees must be tree openings with a tuple of rows")


def check_presence(machine: Machine, statement: Statement, log_heights: tuple[int, ...]) -> None:
    """Which tables are present, and heights that machine or statement fix."""
    if len(log_heights) != len(machine.chips):
        raise reject(f"{len(log_heights)} heights for {len(machine.chips)} chips")
    for chip, log, fixed in zip(machine.chips, log_heights, statement.preprocessed_heights, strict=True):
        if log and not MIN_HEIGHT.bit_length() - 1 <= log <= MAX_HEIGHT.bit_length() - 1:
            raise reject(f"table {chip.name}: height 2^{log} is out of range")
        if chip.mandatory and not log:
            raise reject(f"mandatory table {chip.name} is absent")
        if len(chip.preprocessed) and (1 << log if log else 0) != fixed:
            raise reject(f"table {chip.name}: height 2^{log} is not the {fixed} rows that the image fixes")
    if not any(log_heights):
        raise reject("no table is present")


def check_sums(shape: ProofShape) -> None:
    """Bounds that keep every difference of times and every multiplicity from wrapping mod p."""
    if shape.interactions >= P:
        raise reject("more interactions than field elements")
    if sum(table.height for table in shape.tables) >= shape.machine.max_rows:
        raise reject("too many rows for this machine: its times could wrap")


def check_array(name: str, values: object, kind: type[np.generic], expected: tuple[int, ...]) -> None:
    """Refuses what is not an array of this type and shape; numpy's own kinds of arrays too, whose operations leave out or mean others."""
    if type(values) is not np.ndarray or values.dtype != kind:
        raise reject(f"{name}: not an array of {kind.__name__}")
    if values.shape != expected:
        raise reject(f"{name}: shape {values.shape} instead of {expected}")


def check_elements(name: str, values: NDArray[np.uint64], expected: tuple[int, ...]) -> None:
    """Refuses what is not an array of canonical field elements of this shape."""
    check_array(name, values, np.uint64, expected)
    if not is_canonical(values):
        raise reject(f"{name}: an element is not canonical")


def check_openings(shape: ProofShape, proof: Proof, positions: NDArray[np.int64], joined: Joined | None = None) -> None:
    """Shapes of everything opened at the query positions (unique, ascending)."""
    tallest, blowup = shape.tallest, shape.parameters.blowup
    quotient_levels = [(tallest, QUOTIENT_COLUMNS + MASK_COLUMNS)]
    trees = [
        ("preprocessed", proof.preprocessed, shape.levels(PREPROCESSED)),
        ("main", proof.main, shape.levels(MAIN_TREE)),
        ("bus", proof.bus, shape.levels(BUS_TREE)),
        ("quotient", proof.quotient, quotient_levels),
    ]
    if joined is not None:
        trees.append(("early", joined.tree, shape.levels(EARLY_TREE)))
    for name, opening, levels in trees:
        height = levels[-1][0]
        inside = opened_positions(positions, tallest, height)
        _check_tree(name, opening, levels, inside, blowup * height, salted=name != "preprocessed")
    for number, (height, layer) in enumerate(zip(shape.fri_heights, proof.layers, strict=True)):
        leaves = opened_positions(positions, tallest, height // FOLDING)
        _check_layer(number, layer, leaves, blowup * height // FOLDING)


def _check_siblings(name: str, siblings: NDArray[np.uint8], leaf_count: int, indices: NDArray[np.int64]) -> None:
    check_array(f"{name}, siblings", siblings, np.uint8, (sibling_count(leaf_count, indices), DIGEST_BYTES))


def _check_tree(
    name: str, opening: TreeOpening, levels: list[tuple[int, int]], indices: NDArray[np.int64], leaf_count: int, salted: bool
) -> None:
    if len(opening.rows) != len(levels):
        raise reject(f"{name} tree: {len(opening.rows)} levels instead of {len(levels)}")
    for rows, (height, width) in zip(opening.rows, levels, strict=True):
        check_elements(f"{name} tree, rows of height {height}", rows, (len(indices), width))
    if (opening.salts is not None) != salted:
        raise reject(f"{name} tree: salts missing or unexpected")
    if opening.salts is not None:
        check_array(f"{name} tree, salts", opening.salts, np.uint64, (len(indices), SALT_WORDS))
    _check_siblings(f"{name} tree", opening.siblings, leaf_count, indices)


def _check_layer(number: int, layer: LayerOpening, indices: NDArray[np.int64], leaf_count: int) -> None:
    check_elements(f"FRI layer {number}", layer.leaves, (len(indices), FOLDING * EXTENSION))
    _check_siblings(f"FRI layer {number}", layer.siblings, leaf_count, indices)
