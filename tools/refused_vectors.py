"""Receipts that a verifier must refuse, and for which reason: ``segments-refused.json`` and ``tensors-refused.json`` in ``tests/vectors``.

Written by ``tools/make_vectors.py``. A receipt is a list of pieces, each a range of bytes ``[from, to]`` of ``segments.receipt``, or of
``tensors.receipt``, or bytes in hexadecimal digits. The reason FRI is not among them: only a prover who lies before he draws the queries
gets so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.machine import machine
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.joint import PartProof
from zkvm.stark.protocol.joint_codec import encode_part
from zkvm.stark.protocol.params import Policy
from zkvm.stark.protocol.shape import ProofShape
from zkvm.verifier.receipt import Receipt, journal_digest, verdict
from zkvm.verifier.segments import SegmentedSeal

SUMMED = ("tensor_products", "tensor_results")
"""Chips that add to sums, and that take them."""

Piece = list[int] | str
Case = tuple[str, list[Piece], dict[str, Any]]
"""What was changed, the receipt's pieces, and what the caller demands."""


def refused(made: Receipt) -> dict[str, Any]:
    """The cases of a run in segments with their reasons."""
    original = made.to_bytes()
    return _judged("segments.receipt", made, (*_of_bytes(made), *_of_values(made), *_of_proofs(made), *_of_demands(original)))


def refused_sums(made: Receipt) -> dict[str, Any]:
    """The cases of a run with tensor calls."""
    return _judged("tensors.receipt", made, _of_sums(made))


def _judged(name: str, made: Receipt, told: Iterable[Case]) -> dict[str, Any]:
    original = made.to_bytes()
    cases = []
    for what, pieces, demands in told:
        data = b"".join(bytes.fromhex(piece) if isinstance(piece, str) else original[slice(*piece)] for piece in pieces)
        own = dict(demands)
        image_id, exit_code = own.pop("image_id", made.claim.image_id.hex()), own.pop("exit_code", 0)
        answer = verdict(data, image_id, policy=Policy(**own), exit_code=exit_code)
        if answer["accepted"]:
            raise ValueError(f"{what} is accepted")
        cases.append({"what": what, "pieces": pieces, "demands": demands, "reason": answer["reason"]})
    return {"receipt": name, "image id": made.claim.image_id.hex(), "cases": cases}


def _of_sums(made: Receipt) -> Iterator[Case]:
    """Changes of what a receipt says of sums, of results and of whoever adds to them; the journal."""
    original, proof = made.to_bytes(), made.seal
    assert proof is not None
    shape = ProofShape(machine(), made.parameters, proof.log_heights)
    names = [table.code.chip.name for table in shape.tables]
    counts = [len(table.code.plan.running) for table in shape.tables]
    ends = dict(zip(names, accumulate(counts), strict=True))
    assert all(table.code.plan.has_sum for table in shape.tables if table.code.chip.name in SUMMED)
    changes: dict[str, tuple[int, ...]] = {
        "the end of the sums of the products": (1, 0),
        "the ends of both sums, by opposite amounts": (1, -1),
    }
    for what, amounts in changes.items():
        terminals = proof.terminals.copy()
        for name, amount in zip(SUMMED, amounts, strict=True):
            terminals[ends[name] - 1, 0] = (int(terminals[ends[name] - 1, 0]) + amount) % P
        yield what, _difference(original, replace(made, seal=replace(proof, terminals=terminals)).to_bytes()), {}
    widths = [table.code.widths for table in shape.tables]
    for name, column in (("tensor_products", "a0"), ("tensor_results", "sum0"), ("tensor_results", "x0")):
        table, openings = names.index(name), proof.openings.copy()
        place = sum(pre for pre, _, _ in widths) + sum(main for _, main, _ in widths[:table])
        place += list(shape.tables[table].code.chip.main).index(column)
        openings[place] = _plus_one(openings[place])
        yield f"{column} of {name} at zeta", _difference(original, replace(made, seal=replace(proof, openings=openings)).to_bytes()), {}
    rows = proof.main.rows
    seal = replace(proof, main=replace(proof.main, rows=(_plus_one(rows[0]), *rows[1:])))
    yield "a main row", _difference(original, replace(made, seal=seal).to_bytes()), {}
    journal = bytes([made.journal[0] ^ 1]) + made.journal[1:]
    yield "the journal", _difference(original, replace(made, journal=journal).to_bytes()), {}
    claim = replace(made.claim, journal_digest=journal_digest(journal))
    yield "the journal, and its digest", _difference(original, replace(made, journal=journal, claim=claim).to_bytes()), {}


def _difference(original: bytes, changed: bytes) -> list[Piece]:
    """The pieces of a receipt with a change in one place."""
    shorter = min(len(original), len(changed))
    first = next((k for k in range(shorter) if original[k] != changed[k]), shorter)
    last = next((k for k in range(shorter - first) if original[-1 - k] != changed[-1 - k]), shorter - first)
    return [[0, first], changed[first : len(changed) - last].hex(), [len(original) - last, len(original)]]


def _of_bytes(made: Receipt) -> Iterator[Case]:
    """Changes of the head that no receipt encodes."""
    original = made.to_bytes()
    head = 12 + len(machine().digest)
    for what, place, value in [
        ("the magic bytes of one proof", 0, b"ZKVMRCPT"), ("another format version", 8, b"\2"), ("a flag", 10, b"\1"),
        ("another machine", 12, bytes([original[12] ^ 1])), ("another stack pointer", head + 4, bytes(4)),
    ]:  # fmt: skip
        yield what, [[0, place], value.hex(), [place + len(value), len(original)]], {}
    yield "a byte more", [[0, len(original)], "00"], {}
    yield "a byte less", [[0, len(original) - 1]], {}


def _of_values(made: Receipt) -> Iterator[Case]:
    """Another value of one field, which is encoded."""
    original, claim, header = made.to_bytes(), made.claim, made.header
    changes = {
        "the claim's image ID": replace(made, claim=replace(claim, image_id=bytes(32))),
        "the claim's exit code": replace(made, claim=replace(claim, exit_code=1)),
        "the claim's journal digest": replace(made, claim=replace(claim, journal_digest=bytes(32))),
        "the claim's parameters": replace(made, claim=replace(claim, parameters=(8, 76, 160))),
        "the journal": replace(made, journal=made.journal[:-1] + b"!"),
        "a preprocessed height of 256": replace(made, header=replace(header, heights=(256, *header.heights[1:]))),
        "a root of the image": replace(made, header=replace(header, roots=(bytes(32), *header.roots[1:]))),
    }
    for what, changed in changes.items():
        yield what, _difference(original, changed.to_bytes()), {}
    for what, own in _changed_parts(_seal(made).proofs[2]):
        yield f"{what} of segment 2", _difference(original, _with_part(made, 2, own).to_bytes()), {}
    for what, own in _changed_parts(_seal(made).proofs[0]):
        yield f"{what} of memory", _difference(original, _with_part(made, 0, own).to_bytes()), {}


def _changed_parts(own: PartProof) -> Iterator[tuple[str, PartProof]]:
    """Another value of each kind of field of a joined proof."""
    proof = own.proof
    rows, leaves = proof.main.rows, proof.layers[0]
    yield "the zk flag", replace(own, proof=replace(proof, zk=not proof.zk))
    yield "the early root", replace(own, root=bytes(32))
    yield "a pinned value", replace(own, pinned=_plus_one(own.pinned))
    yield "an early row", replace(own, early=replace(own.early, rows=(_plus_one(own.early.rows[0]), *own.early.rows[1:])))
    yield "an early salt", replace(own, early=replace(own.early, salts=_plus_one(own.early.salts)))
    yield "the main root", replace(own, proof=replace(proof, main_root=bytes(32)))
    yield "the first terminal", replace(own, proof=replace(proof, terminals=_plus_one(proof.terminals)))
    yield "an opening", replace(own, proof=replace(proof, openings=_plus_one(proof.openings)))
    yield "the final polynomial", replace(own, proof=replace(proof, final=_plus_one(proof.final)))
    yield "the nonce", replace(own, proof=replace(proof, nonce=proof.nonce ^ 1))
    yield "a main row", replace(own, proof=replace(proof, main=replace(proof.main, rows=(_plus_one(rows[0]), *rows[1:]))))
    layer = replace(leaves, leaves=_plus_one(leaves.leaves))
    yield "a leaf of the low-degree test", replace(own, proof=replace(proof, layers=(layer, *proof.layers[1:])))


def _of_proofs(made: Receipt) -> Iterator[Case]:
    """Proofs that are left out, exchanged and repeated, and other lengths of the journal's parts."""
    original, seal = made.to_bytes(), _seal(made)
    sizes = [len(encode_part(own)) for own in seal.proofs]
    starts = [len(original) - sum(sizes) + before for before in accumulate(sizes, initial=0)]
    head = starts[0] - 4 * len(seal.lengths) - 4
    for what, order, lengths in [
        ("segments 1 and 2 exchanged", (0, 2, 1, 3), seal.lengths), ("segments 2 and 3 exchanged", (0, 1, 3, 2), seal.lengths),
        ("segment 1 repeated in the place of segment 2", (0, 1, 1, 3), seal.lengths),
        ("segment 1 left out", (0, 2, 3), seal.lengths[1:]), ("segment 2 left out", (0, 1, 3), seal.lengths[:1] + seal.lengths[2:]),
        ("segment 2 once more", (0, 1, 2, 2, 3), (*seal.lengths[:2], 0, *seal.lengths[2:])),
        ("memory in the place of segment 1", (0, 0, 2, 3), seal.lengths), ("segment 1 in the place of memory", (1, 1, 2, 3), seal.lengths),
        ("a segment without a proof", (0, 1, 2, 3), (*seal.lengths, 0)), ("no segment", (0,), ()),
        ("a byte of the journal moved to segment 2", (0, 1, 2, 3), (0, 1, len(made.journal) - 1)),
        ("segments that write more than the journal", (0, 1, 2, 3), (0, 1, len(made.journal))),
    ]:  # fmt: skip
        told = b"".join(number.to_bytes(4, "little") for number in (len(lengths), *lengths))
        yield what, [[0, head], told.hex(), *([starts[number], starts[number + 1]] for number in order)], {}


def _of_demands(original: bytes) -> Iterator[Case]:
    """The honest receipt, and a caller who demands something else."""
    demands: list[dict[str, Any]] = [
        {"image_id": "00" * 32}, {"exit_code": 1}, {"max_segments": 2}, {"min_security": 104}, {"min_security": 100, "regime": "unique"},
    ]  # fmt: skip
    for demanded in demands:
        yield f"demanded: {demanded}", [[0, len(original)]], demanded


def _plus_one(values: NDArray[np.uint64] | None) -> NDArray[np.uint64]:
    assert values is not None
    result = values.copy()
    result.flat[0] = (int(result.flat[0]) + 1) % P
    return result


def _seal(made: Receipt) -> SegmentedSeal:
    assert made.segmented is not None
    return made.segmented


def _with_part(made: Receipt, number: int, own: PartProof) -> Receipt:
    proofs = list(_seal(made).proofs)
    proofs[number] = own
    return replace(made, segmented=replace(_seal(made), proofs=tuple(proofs)))
