"""The second verifier for runs in segments, from docs/protocol.md ("Joined proofs"), docs/receipts.md and docs/segments.md alone.

Like ``tests/second_verifier.py`` it imports nothing of the package. The machines are what their texts and listings say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from tests.second_parts import (
    KEY_NODE,
    ONE,
    ZERO,
    Bytes,
    Chip,
    Joint,
    K,
    P,
    Refused,
    Transcript,
    base,
    demand,
    inverse,
    mul,
    power,
    read_machine,
    sub,
    u64,
)
from tests.second_verifier import Closing, Statement, _Run

WORD_LIST, JOURNAL, SEGMENT_STATE = 3, 14, 38


@dataclass
class Owner:
    """A machine: its chips, its text's digest."""

    chips: list[Chip]
    digest: bytes


@dataclass
class Head:
    """A proof's beginning and what follows it, read before the rounds are checked."""

    start: int
    numbers: list[int]
    zk: int
    logs: list[int]
    terminals: list[K]
    root: bytes
    pinned: list[K]
    rows: list[list[list[int]]]
    salts: list[list[int]]
    siblings: list[bytes]


def owner(text: str, listing: dict[str, Any]) -> Owner:
    """A machine from its text."""
    return Owner(read_machine(text, listing), blake3(text.encode()).digest())


def verify(data: bytes, image_id: bytes, whole: Owner, segment: Owner, memory: Owner) -> list[str]:
    """Accept a receipt of exit code 0, or raise :class:`Refused`; the states of the joint transcript."""
    try:
        return _verify(data, image_id, whole, segment, memory)
    except (ArithmeticError, LookupError, StopIteration, ValueError) as error:
        raise Refused(repr(error)) from error


def _verify(data: bytes, image_id: bytes, whole: Owner, segment: Owner, memory: Owner) -> list[str]:
    read = Bytes(data)
    demand(read.take(12) == b"ZKVMSEGS" + bytes([1, 0, 0, 0]), "magic, version, flags")
    demand(read.take(32) == whole.digest, "machine")
    entry, stack = read.number(4), read.number(4)
    gaps = [(read.number(4), read.number(4)) for _ in range(read.number(1))]
    fixed = {chip.name: read.number(1) for chip in whole.chips if chip.widths[0]}
    roots = read.digests(3)
    edges = [edge for gap in gaps for edge in gap]
    demand(edges == sorted(set(edges)) and all(1 <= edge <= 1 << 30 for edge in edges), "gaps")
    heights = [1 << log if log else 0 for log in fixed.values()]
    header = u64(entry, stack, len(gaps), *edges, len(heights), *heights) + b"".join(roots)
    demand(blake3(b"zkvm/image/1" + whole.digest + header).digest() == image_id == read.take(32), "image ID")
    exit_code, journal_digest = read.number(4), read.take(32)
    numbers = [read.number(2) for _ in range(3)]
    journal = read.take(read.number(4))
    demand(exit_code == 0 and blake3(journal).digest() == journal_digest, "claim")
    demand(read.take(64) == segment.digest + memory.digest, "machines")
    count = read.number(4)
    demand(1 <= count <= 1 << 16, "segments")
    lengths = [read.number(4) for _ in range(count)]
    demand(sum(lengths) == len(journal), "lengths")
    root_digest = roots[{2: 0, 4: 1, 8: 2}[numbers[0]]]
    lists = [Closing(WORD_LIST, [(start - 1, 0)], True, False) for start, _ in gaps]
    lists += [Closing(WORD_LIST, [(end, 1)], False, False) for _, end in gaps]
    statements, first = [Statement({}, fixed, root_digest, lists)], 0
    for length in lengths:
        part = journal[first : first + length]
        told = [Closing(JOURNAL, list(enumerate(part, first)), True, True)]
        statements.append(Statement({"journal part": u64(first, length) + blake3(part).digest()}, fixed, root_digest, told))
        first += length
    owners = [memory, *[segment] * count]
    heads = [_head(read, own) for own in owners]
    demand(read.at == len(data), "bytes left over")
    demand(all(head.numbers == numbers and head.zk == heads[0].zk for head in heads), "parameters")
    pins, digests = [], []
    for number, (head, own, statement) in enumerate(zip(heads, owners, statements, strict=True)):
        pin, digest = _pin(head, own, number, statement)
        pins.append(pin)
        digests.append(digest)
    joint = Transcript()
    joint.step("domain", 0, b"zkvm joint")
    for label, value in zip(("protocol version", "blowup", "queries", "exempt rows", "zk"), (1, *numbers, heads[0].zk), strict=True):
        joint.step(label, 3, u64(value))
    joint.step("machine digests", 1, segment.digest + memory.digest)
    joint.step("image header", 1, header)
    joint.step("exit code", 1, u64(exit_code))
    joint.step("number of parts", 3, u64(len(heads)))
    joint.step("root of the parts", 1, _tree(digests))
    challenges = joint.draw("joint alpha"), joint.draw("joint beta")
    _close(heads, owners, challenges, count, entry, exit_code)
    instructions = 0
    for number, (head, own, statement, pin) in enumerate(zip(heads, owners, statements, pins, strict=True)):
        run = _run(Bytes(data, head.start), own, statement)
        run.joint = Joint(joint.state, number, challenges, head.root, pin, head.pinned, head.rows, head.salts, head.siblings)
        run.verify()
        instructions += sum(table.height for table in run.tables)
    demand(instructions < (1 << 30) - 2, "too many rows")  # of all tables: more than those of instructions
    return joint.states


def _run(read: Bytes, own: Owner, statement: Statement) -> _Run:
    demand(read.take(10) == b"ZKVMSEAL" + bytes([1, 0]), "seal")
    zk = read.number(2)
    numbers = [read.number(2) for _ in range(3)]
    logs = list(read.take(len(own.chips)))
    demand(zk < 2 and all(9 <= log <= 24 if log else not chip.mandatory for chip, log in zip(own.chips, logs, strict=True)), "presence")
    fixed = statement.fixed
    demand(all(log == fixed[chip.name] for chip, log in zip(own.chips, logs, strict=True) if chip.widths[0]), "preprocessed heights")
    return _Run(own.chips, own.digest, numbers, zk, logs, statement, read)


def _head(read: Bytes, own: Owner) -> Head:
    """Step over a proof, whose length follows from its head, and read what joins it."""
    start = read.at
    loose = Statement({}, {chip.name: 0 for chip in own.chips}, b"", [])
    peek = Bytes(read.data, start)
    peek.take(18)
    logs = list(peek.take(len(own.chips)))
    loose.fixed = {chip.name: log for chip, log in zip(own.chips, logs, strict=True)}
    run = _run(read, own, loose)
    counts = [(read.number(2), read.number(4)) for _ in range(2 + len(run.layers))]
    (opened, siblings), (fixed, fixed_siblings), *layers = counts
    read.take(8 + 3 * 32)
    terminals = read.triples(sum(len(table.chip.running) for table in run.tables))
    openings = sum(sum(table.chip.widths) + len(table.chip.following) for table in run.tables) + 9
    read.take(24 * openings + 32 * len(run.layers) + 24 * run.final_length)
    read.take(sum(8 * fixed * width for _, width in run.levels(0)) + 32 * fixed_siblings)
    for levels in (run.levels(1), run.levels(2), [(run.size, 12)]):
        read.take(opened * (8 * sum(width for _, width in levels) + 16) + 32 * siblings)
    read.take(sum(8 * 24 * leaves + 32 * nodes for leaves, nodes in layers))
    early, nodes = read.number(2), read.number(4)
    root = read.take(32)
    pinned = read.triples(sum(width for _, width in run.levels(3)))
    rows = [[read.elements(width) for _ in range(early)] for _, width in run.levels(3)]
    salts = [read.elements(2) for _ in range(early)]
    return Head(start, run.numbers, run.zk, run.logs, terminals, root, pinned, rows, salts, read.digests(nodes))


def _pin(head: Head, own: Owner, number: int, statement: Statement) -> tuple[K, bytes]:
    """Where the early columns are pinned, and what stands for the proof in the joint challenge."""
    t = Transcript()
    t.step("domain", 0, b"zkvm early columns")
    for label, value in zip(("protocol version", "blowup", "queries", "exempt rows"), (1, *head.numbers), strict=True):
        t.step(label, 3, u64(value))
    t.step("machine digest", 1, own.digest)
    t.step("number", 3, u64(number))
    t.step("early log heights", 1, bytes(log for chip, log in zip(own.chips, head.logs, strict=True) if chip.early))
    t.step("early root", 1, head.root)
    pin = t.draw("pin")
    size = head.numbers[0] << 24
    demand(power(pin, 1 << 24) != ONE and power(pin, size) != base(pow(7, head.numbers[0] << 30, P)), "pin")
    t.step("pinned", 2, u64(*(part for value in head.pinned for part in value)))
    for label, data in statement.fields.items():
        t.step(label, 1, data)
    return pin, t.state


def _tree(digests: list[bytes]) -> bytes:
    """The root over the digests, zeros up to a power of two."""
    nodes = digests + [bytes(32)] * ((1 << (len(digests) - 1).bit_length()) - len(digests))
    while len(nodes) > 1:
        nodes = [blake3(left + right, key=KEY_NODE).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=True)]
    return nodes[0]


def _close(heads: list[Head], owners: list[Owner], challenges: tuple[K, K], segments: int, entry: int, exit_code: int) -> None:
    """The joint buses over all proofs."""
    product = ONE
    for head, own in zip(heads, owners, strict=True):
        at = 0
        for _, number in sorted((1 << log, number) for number, log in enumerate(head.logs) if log):
            chip = own.chips[number]
            for value in head.terminals[at : at + chip.joint]:
                product = mul(product, value)
            at += len(chip.running)

    def print_of(*values: int) -> K:
        result, factor = sub(challenges[0], base(SEGMENT_STATE)), challenges[1]
        for value in values:
            result, factor = sub(result, mul(factor, base(value))), mul(factor, challenges[1])
        return result

    product = mul(product, print_of(0, entry, 4))
    received = print_of(segments, 2**32 + exit_code, 0)
    demand(ZERO not in (product, received) and mul(product, inverse(received)) == ONE, "joint buses")
