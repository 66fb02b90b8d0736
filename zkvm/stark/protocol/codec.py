"""The bytes of a proof: one layout, walked by both encoder and decoder. ``docs/receipts.md`` describes it.

Everything is little-endian and of fixed width. A short head (version, flags, parameters, heights, numbers of opened rows and
siblings) fixes the length of the body to the byte, so a wrong length is refused before anything is allocated. No proof has two
encodings: whatever decodes encodes to the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import FormatError, UsageError
from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.machine import Machine
from zkvm.stark.crypto.hashes import DIGEST_BYTES
from zkvm.stark.crypto.merkle import SALT_WORDS
from zkvm.stark.field.goldilocks import is_canonical
from zkvm.stark.protocol.params import FOLDING, MAX_HEIGHT, MIN_HEIGHT, MIN_TALLEST, PARAMETERS
from zkvm.stark.protocol.proof import LayerOpening, Proof, TreeOpening
from zkvm.stark.protocol.shape import BUS_TREE, MAIN_TREE, MASK_COLUMNS, PREPROCESSED, QUOTIENT_COLUMNS, ProofShape

MAGIC = b"ZKVMSEAL"
FORMAT_VERSION = 1
FLAG_ZK = 1
"""The only flag; every other bit is refused."""

WORD, BYTE = np.dtype("<u8"), np.dtype("u1")


class Data(Protocol):
    """Bytes, or what gives them when it is asked for a slice."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


Counts = tuple[tuple[int, int], ...]
"""(opened leaves, sibling digests): of the main, bus and quotient trees, which share them; of the preprocessed tree; of each FRI layer."""


class Reader:
    """Reads fixed-width values off untrusted bytes; whatever is missing or out of bounds is a :class:`FormatError`."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self.position = 0

    @property
    def kept(self) -> bool:
        """Whether nobody can change the bytes meanwhile."""
        return isinstance(self._data, bytes)

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self.position

    def take(self, count: int, what: str) -> bytes:
        """The next bytes.

        Args:
            count: how many.
            what: what they are, for the message.

        Returns:
            ``count`` bytes.

        Raises:
            FormatError: fewer are left.
        """
        start, self.position = self.position, self.position + count
        if self.position > len(self._data):
            raise FormatError(f"{what}: {count} bytes expected at offset {start}, {len(self._data) - start} are left")
        return self.between(start, self.position, what)

    def between(self, first: int, last: int, what: str) -> bytes:
        """The bytes at some offsets, wherever the reader is; ``what`` they are is said in the message.

        Raises:
            FormatError: they are no longer there.
        """
        result = self._data[first:last]
        if len(result) != last - first:
            raise FormatError(f"{what}: the bytes at offset {first} are gone, the file has changed")
        return bytes(result)  # of what can be changed a copy: nothing that is checked changes afterwards

    def integer(self, width: int, what: str, low: int = 0, high: int | None = None) -> int:
        """An unsigned little-endian integer.

        Args:
            width: bytes that it takes.
            what: what it is, for the message.
            low: the smallest that is accepted.
            high: the largest that is accepted; None: any.

        Returns:
            The integer.

        Raises:
            FormatError: it is missing or out of range.
        """
        value = int.from_bytes(self.take(width, what), "little")
        if value < low or (high is not None and value > high):
            raise FormatError(f"{what}: {value} is not within {low} and {high}")
        return value

    def constant(self, expected: bytes, what: str) -> None:
        """Take bytes that must be exactly the expected ones; ``what`` they are is said in the message.

        Raises:
            FormatError: they are not.
        """
        if self.take(len(expected), what) != expected:
            raise FormatError(f"{what}: not what this version reads")

    def end(self) -> None:
        """Check that all bytes were read.

        Raises:
            FormatError: some are left.
        """
        if self.left:
            raise FormatError(f"{self.left} bytes too many at offset {self.position}")


@dataclass(frozen=True, slots=True)
class Part:
    """An array of the body.

    Attributes:
        name: what it holds.
        shape: its shape.
        dtype: 64-bit words or bytes.
        canonical: whether its words are field elements, and so below p.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] = WORD
    canonical: bool = True

    @property
    def size(self) -> int:
        """Length in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def salted_trees(shape: ProofShape) -> tuple[tuple[str, list[tuple[int, int]]], ...]:
    """Name and (height, width) levels of the trees that have one leaf per point of the largest domain."""
    return (
        ("main", shape.levels(MAIN_TREE)),
        ("bus", shape.levels(BUS_TREE)),
        ("quotient", [(shape.tallest, QUOTIENT_COLUMNS + MASK_COLUMNS)]),
    )


def layout(shape: ProofShape, counts: Counts) -> list[Part]:
    """The arrays of the body, in order."""
    (opened, siblings), (preprocessed, preprocessed_siblings), *layers = counts
    parts = [
        Part("nonce", (1,), canonical=False),
        *(Part(name, (DIGEST_BYTES,), BYTE) for name in ("main root", "bus root", "quotient root")),
        Part("terminals", (shape.terminal_count, EXTENSION)),
        Part("openings", (shape.opening_count, EXTENSION)),
        Part("FRI roots", (len(shape.fri_heights), DIGEST_BYTES), BYTE),
        Part("final polynomial", (shape.final_length, EXTENSION)),
    ]
    parts += [Part("preprocessed rows", (preprocessed, width)) for _, width in shape.levels(PREPROCESSED)]
    parts.append(Part("preprocessed siblings", (preprocessed_siblings, DIGEST_BYTES), BYTE))
    for name, levels in salted_trees(shape):
        parts += [Part(f"{name} rows", (opened, width)) for _, width in levels]
        parts += [Part(f"{name} salts", (opened, SALT_WORDS)), Part(f"{name} siblings", (siblings, DIGEST_BYTES), BYTE)]
    for number, (leaves, layer_siblings) in enumerate(layers):
        parts.append(Part(f"leaves of FRI layer {number}", (leaves, FOLDING * EXTENSION)))
        parts.append(Part(f"siblings of FRI layer {number}", (layer_siblings, DIGEST_BYTES), BYTE))
    return parts


def encode_proof(proof: Proof) -> bytes:
    """The bytes of a proof.

    Raises:
        UsageError: its arrays contradict each other, so that no head describes them.
    """
    trees = (proof.main, proof.bus, proof.quotient)
    counts = [(len(tree.rows[0]), len(tree.siblings)) for tree in (*trees, proof.preprocessed)]
    counts += [(len(layer.leaves), len(layer.siblings)) for layer in proof.layers]
    if len(set(counts[:3])) > 1:
        raise UsageError("main, bus and quotient trees open different positions")
    try:
        head = [MAGIC, FORMAT_VERSION.to_bytes(2, "little"), (FLAG_ZK if proof.zk else 0).to_bytes(2, "little")]
        head += [number.to_bytes(2, "little") for number in proof.parameters]
        head.append(bytes(proof.log_heights))
        head += [opened.to_bytes(2, "little") + siblings.to_bytes(4, "little") for opened, siblings in counts[2:]]
        return b"".join([*head, *_body(proof)])
    except (OverflowError, ValueError) as error:
        raise UsageError(f"a number of the proof does not fit its field: {error}") from error


def _body(proof: Proof) -> Iterator[bytes]:
    """The body's arrays in the order of :func:`layout`."""
    yield proof.nonce.to_bytes(8, "little")
    yield from (proof.main_root, proof.bus_root, proof.quotient_root)
    yield from (_bytes(proof.terminals), _bytes(proof.openings), *proof.fri_roots, _bytes(proof.final))
    for tree in (proof.preprocessed, proof.main, proof.bus, proof.quotient):
        yield from map(_bytes, tree.rows)
        if tree.salts is not None:
            yield _bytes(tree.salts)
        yield tree.siblings.tobytes()
    for layer in proof.layers:
        yield from (_bytes(layer.leaves), layer.siblings.tobytes())


def _bytes(values: NDArray[np.uint64]) -> bytes:
    return values.astype(WORD, copy=False).tobytes()


def decode_proof(machine: Machine, data: bytes) -> Proof:
    """The proof that these bytes encode.

    Whether it is a *valid* proof is for the verifier to say; here every count fits the machine and the parameters, every field
    element is canonical, and no byte is missing or left over. Memory is proportional to ``len(data)``.

    Raises:
        FormatError: the bytes encode no proof.
    """
    reader = Reader(data)
    proof, _ = read_proof(machine, reader, last=True)
    reader.end()
    return proof


def read_proof(machine: Machine, reader: Reader, *, last: bool) -> tuple[Proof, ProofShape]:
    """The proof that the next bytes encode, and its shape; ``last``: nothing else may follow.

    Raises:
        FormatError: the bytes encode no proof.
    """
    reader.constant(MAGIC, "magic bytes of a proof")
    reader.constant(FORMAT_VERSION.to_bytes(2, "little"), "format version")
    flags = reader.integer(2, "flags", 0, FLAG_ZK)
    shape = _read_shape(machine, reader)
    counts = _read_counts(shape, reader)
    parts = layout(shape, counts)
    expected = sum(part.size for part in parts)
    if expected > reader.left or (last and expected != reader.left):
        raise FormatError(f"the body must have {expected} bytes, not {reader.left}")
    return _assemble(shape, bool(flags & FLAG_ZK), iter([read_array(reader, part) for part in parts])), shape


def expected_bytes(shape: ProofShape) -> int:
    """How long a proof of this shape is on average over its random query positions."""
    queries = shape.parameters.queries

    def opened(nodes: int) -> float:
        """Nodes of a tree's level that lie above some query position."""
        return nodes * -math.expm1(queries * math.log1p(-1 / nodes)) if nodes > 1 else 1.0

    def counts(height: int) -> tuple[int, int]:
        leaves = shape.parameters.blowup * height
        # Of two children with an opened parent, those that are not opened are siblings.
        siblings = sum(2 * opened(1 << level) - opened(2 << level) for level in range(leaves.bit_length() - 1))
        return round(opened(leaves)), round(siblings)

    folded = [counts(height // FOLDING) for height in shape.fri_heights]
    trees = (counts(shape.tallest), counts(shape.levels(PREPROCESSED)[-1][0]), *folded)
    head = len(MAGIC) + 2 + 2 + 3 * 2 + len(shape.log_heights) + 6 * len(trees)
    return head + sum(part.size for part in layout(shape, trees))


def _read_shape(machine: Machine, reader: Reader) -> ProofShape:
    """Known parameters, and heights with which every size is defined."""
    blowup, queries, exempt = (reader.integer(2, name) for name in ("blowup", "queries", "exempt rows"))
    known = [entry for entry in PARAMETERS if entry.numbers == (blowup, queries, exempt)]
    if not known:
        raise FormatError(f"unknown parameters (blowup, queries, exempt rows) = {(blowup, queries, exempt)}")
    logs = tuple(reader.take(len(machine.chips), "log heights"))
    for chip, log in zip(machine.chips, logs, strict=True):
        if log and not MIN_HEIGHT.bit_length() - 1 <= log <= MAX_HEIGHT.bit_length() - 1:
            raise FormatError(f"table {chip.name}: height 2^{log} is out of range")
    if 1 << max(logs) < MIN_TALLEST:
        raise FormatError(f"no table has {MIN_TALLEST} rows")
    shape = ProofShape(machine, known[0], logs)
    if not all(shape.levels(tree) for tree in (PREPROCESSED, MAIN_TREE, BUS_TREE)):
        raise FormatError("a tree would be empty: mandatory tables are absent")
    return shape


def _read_counts(shape: ProofShape, reader: Reader) -> Counts:
    """Opened leaves and siblings of every tree: a tree opens no more leaves than the one whose positions fold onto it."""
    blowup, queries = shape.parameters.blowup, shape.parameters.queries
    domains = [("salted trees", shape.tallest), ("preprocessed tree", shape.levels(PREPROCESSED)[-1][0])]
    domains += [(f"FRI layer {number}", height // FOLDING) for number, height in enumerate(shape.fri_heights)]
    counts: list[tuple[int, int]] = []
    largest = queries
    for name, height in domains:
        opened = reader.integer(2, f"opened leaves of {name}", 1, min(largest, blowup * height))
        depth = (blowup * height).bit_length() - 1
        counts.append((opened, reader.integer(4, f"siblings of {name}", 0, opened * depth)))
        if name != "preprocessed tree":
            largest = opened
    return tuple(counts)


def read_array(reader: Reader, part: Part) -> NDArray[Any]:
    """The next array.

    Raises:
        FormatError: an element is not canonical.
    """
    raw = np.frombuffer(reader.take(part.size, part.name), part.dtype).reshape(part.shape)
    if part.dtype == BYTE:
        return raw
    words = raw.astype(np.uint64)
    if part.canonical and not is_canonical(words):
        raise FormatError(f"{part.name}: an element is not canonical")
    return words


def _assemble(shape: ProofShape, zk: bool, arrays: Iterator[NDArray[Any]]) -> Proof:
    """The dataclass from the body's arrays, in the order of :func:`layout`."""

    def tree(levels: list[tuple[int, int]], salted: bool) -> TreeOpening:
        rows = tuple(next(arrays) for _ in levels)
        return TreeOpening(rows, next(arrays) if salted else None, next(arrays))

    nonce, main_root, bus_root, quotient_root, terminals, openings, fri_roots, final = (next(arrays) for _ in range(8))
    preprocessed = tree(shape.levels(PREPROCESSED), salted=False)
    main, bus, quotient = (tree(levels, salted=True) for _, levels in salted_trees(shape))
    return Proof(
        parameters=shape.parameters.numbers,
        zk=zk,
        log_heights=shape.log_heights,
        main_root=main_root.tobytes(),
        bus_root=bus_root.tobytes(),
        quotient_root=quotient_root.tobytes(),
        terminals=terminals,
        openings=openings,
        fri_roots=tuple(root.tobytes() for root in fri_roots),
        final=final,
        nonce=int(nonce[0]),
        preprocessed=preprocessed,
        main=main,
        bus=bus,
        quotient=quotient,
        layers=tuple(LayerOpening(next(arrays), next(arrays)) for _ in shape.fri_heights),
    )
