"""One row per field of a receipt: a change of it, and the reason for which a verifier must refuse the result.

A test walks the dataclasses and fails when a field has no row, so a new field cannot go unchecked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from zkvm.errors import RejectReason
from zkvm.riscv.machine import machine
from zkvm.stark.field.goldilocks import P
from zkvm.verifier.segments import SegmentedSeal

Mutation = Callable[[Any], Any]


@dataclass(frozen=True)
class Row:
    """``path`` names the field (``[]``: the first of a tuple of dataclasses); ``why`` says what notices the change."""

    path: str
    mutation: Mutation
    reason: RejectReason
    why: str


def leaf_paths(value: Any, path: str = "") -> Iterator[str]:
    """Paths of all fields that are no dataclasses themselves."""
    if is_dataclass(value):
        for field in fields(value):
            yield from leaf_paths(getattr(value, field.name), f"{path}.{field.name}".lstrip("."))
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        yield from leaf_paths(value[0], f"{path}[]")
    else:
        yield path


def mutated(value: Any, path: str, mutation: Mutation) -> Any:
    """A copy of ``value`` with one field changed."""
    if not path:
        return mutation(value)
    name, _, rest = path.partition(".")
    if name.endswith("[]"):
        first, *others = getattr(value, name[:-2])
        return replace(value, **{name[:-2]: (mutated(first, rest, mutation), *others)})
    return replace(value, **{name: mutated(getattr(value, name), rest, mutation)})


def flip(data: bytes) -> bytes:
    """Another first bit."""
    return bytes([data[0] ^ 1]) + data[1:]


def increment(array: Any) -> Any:
    """Another last element, canonical still; in an array of bytes any other."""
    result = array.copy()
    last = int(result.flat[-1])
    result.flat[-1] = last ^ 1 if result.dtype == np.uint8 else (last + 1) % P
    return result


def not_canonical(array: Any) -> Any:
    """The first element, plus p where that fits: the same field element, another word."""
    result = array.copy()
    result.flat[0] = P
    return result


def shorter(values: Any) -> Any:
    """Without the last."""
    return values[:-1]


def first(change: Mutation) -> Mutation:
    """A change of a tuple's first item."""
    return lambda items: (change(items[0]), *items[1:])


def call_height(change: Mutation) -> Mutation:
    """Change the height of the table of calls, which every run has and no image fixes."""
    place = machine().chip_number("ecall")
    return lambda logs: (*logs[:place], change(logs[place]), *logs[place + 1 :])


def last(change: Mutation) -> Mutation:
    """A change of a tuple's last item."""
    return lambda items: (*items[:-1], change(items[-1]))


def other(value: Any) -> Mutation:
    """Replace by this value."""
    return lambda _: value


R = RejectReason
CLAIM_ROWS = [
    Row("claim.image_id", flip, R.CLAIM, "the header hashes to another ID"),
    Row("claim.exit_code", lambda code: code + 1, R.POLICY, "the caller expects another code"),
    Row("claim.journal_digest", flip, R.CLAIM, "the journal hashes to another digest"),
    Row("claim.parameters", other((4, 83, 174)), R.CLAIM, "the proof has others"),
    Row("claim.parameters", other((2, 1, 336)), R.POLICY, "no known set"),
    Row("journal", lambda journal: journal + b"\0", R.CLAIM, "the digest of the claim"),
    Row("journal", shorter, R.CLAIM, "the digest of the claim"),
    Row("seal", other(None), R.POLICY, "a dev receipt"),
    Row("segmented", other(SegmentedSeal((), ())), R.SHAPE, "one proof and several"),
]
HEADER_ROWS = [
    Row("header.entry", lambda entry: entry + 4, R.IMAGE_ID, "hashed"),
    Row("header.entry", other(1 << 32), R.CLAIM, "no address"),
    Row("header.initial_sp", lambda sp: sp - 16, R.IMAGE_ID, "hashed"),
    Row("header.gaps", first(lambda gap: (gap[0] - 1, gap[1])), R.IMAGE_ID, "hashed"),
    Row("header.gaps", other(((5, 5),)), R.CLAIM, "an empty range"),
    Row("header.gaps", other(((5, 9), (8, 12))), R.CLAIM, "ranges overlap"),
    Row("header.gaps", other(((5, 1 << 31),)), R.CLAIM, "out of memory"),
    Row("header.heights", first(lambda height: 2 * height), R.IMAGE_ID, "hashed"),
    Row("header.heights", first(other(513)), R.CLAIM, "no power of two"),
    Row("header.heights", shorter, R.CLAIM, "one is missing"),
    Row("header.roots", first(flip), R.IMAGE_ID, "hashed"),
    Row("header.roots", last(flip), R.IMAGE_ID, "hashed, used or not"),
    Row("header.roots", shorter, R.CLAIM, "one is missing"),
    Row("header.roots", first(shorter), R.CLAIM, "a short digest"),
]
PROOF_ROWS = [
    Row("seal.parameters", other((4, 83, 174)), R.CLAIM, "the claim has others"),
    Row("seal.zk", other(False), R.BUS, "absorbed: other challenges"),
    Row("seal.log_heights", call_height(lambda log: log + 1), R.BUS, "absorbed: other challenges"),
    Row("seal.log_heights", first(lambda log: log + 1), R.SHAPE, "the image fixes it"),
    Row("seal.log_heights", first(other(0)), R.SHAPE, "mandatory"),
    Row("seal.log_heights", last(other(25)), R.SHAPE, "too tall"),
    Row("seal.log_heights", shorter, R.SHAPE, "one is missing"),
    Row("seal.main_root", flip, R.BUS, "absorbed before alpha"),
    Row("seal.main_root", shorter, R.SHAPE, "a short digest"),
    Row("seal.bus_root", flip, R.OOD, "absorbed before the constraint challenge"),
    Row("seal.quotient_root", flip, R.OOD, "absorbed before zeta"),
    Row("seal.terminals", increment, R.BUS, "the buses do not close"),
    Row("seal.terminals", not_canonical, R.SHAPE, "a second encoding"),
    Row("seal.terminals", shorter, R.SHAPE, "one is missing"),
    Row("seal.openings", increment, R.OOD, "the constraints at zeta"),
    Row("seal.openings", not_canonical, R.SHAPE, "a second encoding"),
    Row("seal.openings", shorter, R.SHAPE, "one is missing"),
    Row("seal.fri_roots", first(flip), R.GRINDING, "absorbed before the proof of work"),
    Row("seal.fri_roots", shorter, R.SHAPE, "one is missing"),
    Row("seal.fri_roots", first(shorter), R.SHAPE, "a short digest"),
    Row("seal.final", increment, R.GRINDING, "absorbed before the proof of work"),
    Row("seal.final", not_canonical, R.SHAPE, "a second encoding"),
    Row("seal.final", lambda final: np.concatenate([final, final]), R.SHAPE, "twice the degree"),
    Row("seal.nonce", lambda nonce: nonce ^ 1, R.GRINDING, "no work behind it"),
    Row("seal.nonce", other(1 << 64), R.SHAPE, "no 64-bit word"),
]


def tree_rows(name: str) -> list[Row]:
    """Rows of an input tree's opening."""
    path = f"seal.{name}"
    return [
        Row(f"{path}.rows", first(increment), R.MERKLE, "another leaf"),
        Row(f"{path}.rows", last(increment), R.MERKLE, "another leaf"),
        Row(f"{path}.rows", first(not_canonical), R.SHAPE, "a second encoding"),
        Row(f"{path}.rows", first(shorter), R.SHAPE, "a row is missing"),
        Row(f"{path}.rows", lambda rows: (*rows, rows[0]), R.SHAPE, "a level too many"),
        Row(f"{path}.siblings", increment, R.MERKLE, "another path"),
        Row(f"{path}.siblings", shorter, R.SHAPE, "one is missing"),
    ]


SALT_ROWS = [
    row
    for name in ("main", "bus", "quotient")
    for row in (
        Row(f"seal.{name}.salts", increment, R.MERKLE, "another leaf"),
        Row(f"seal.{name}.salts", shorter, R.SHAPE, "one is missing"),
        Row(f"seal.{name}.salts", other(None), R.SHAPE, "all are missing"),
    )
]
LAYER_ROWS = [
    Row("seal.preprocessed.salts", other(np.zeros((1, 2), np.uint64)), R.SHAPE, "public data has no salt"),
    Row("seal.layers[].leaves", increment, R.MERKLE, "another leaf"),
    Row("seal.layers[].leaves", not_canonical, R.SHAPE, "a second encoding"),
    Row("seal.layers[].leaves", shorter, R.SHAPE, "one is missing"),
    Row("seal.layers[].siblings", increment, R.MERKLE, "another path"),
    Row("seal.layers[].siblings", shorter, R.SHAPE, "one is missing"),
    Row("seal.layers", shorter, R.SHAPE, "a layer is missing"),
]
TREE_ROWS = [row for name in ("preprocessed", "main", "bus", "quotient") for row in tree_rows(name)]
MANIFEST = [*CLAIM_ROWS, *HEADER_ROWS, *PROOF_ROWS, *TREE_ROWS, *SALT_ROWS, *LAYER_ROWS]
