"""Parts of the second verifier: field, bytes, transcript, machine. Imports nothing of the package; see ``tests/second_verifier.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

P = 2**64 - 2**32 + 1
K = tuple[int, int, int]
ZERO, ONE, X = (0, 0, 0), (1, 0, 0), (0, 1, 0)


class Refused(Exception):
    """The receipt is not accepted."""


def demand(holds: bool, what: str) -> None:
    """Refuse unless something holds."""
    if not holds:
        raise Refused(what)


# --- field ---------------------------------------------------------------------------------------------------------------------------


def root(size: int) -> int:
    """w_n."""
    return pow(7, (P - 1) // size, P)


def add(a: K, b: K) -> K:
    """a + b."""
    return (a[0] + b[0]) % P, (a[1] + b[1]) % P, (a[2] + b[2]) % P


def sub(a: K, b: K) -> K:
    """a - b."""
    return (a[0] - b[0]) % P, (a[1] - b[1]) % P, (a[2] - b[2]) % P


def mul(a: K, b: K) -> K:
    """a b with x^3 = x + 1."""
    c = [sum(a[i] * b[k - i] for i in range(3) if 0 <= k - i < 3) for k in range(5)]
    return (c[0] + c[3]) % P, (c[1] + c[3] + c[4]) % P, (c[2] + c[4]) % P


def power(a: K, exponent: int) -> K:
    """a^exponent."""
    result = ONE
    for bit in bin(exponent)[2:]:
        result = mul(result, result)
        result = mul(result, a) if bit == "1" else result
    return result


def inverse(a: K) -> K:
    """1 / a = a^(p^3 - 2)."""
    demand(a != ZERO, "division by zero")
    return power(a, P**3 - 2)


def base(value: int) -> K:
    """An element of F in K."""
    return value % P, 0, 0


# --- bytes ---------------------------------------------------------------------------------------------------------------------------


@dataclass
class Bytes:
    """Reads a receipt."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        self.at += count
        demand(self.at <= len(self.data), "too short")
        return self.data[self.at - count : self.at]

    def number(self, width: int) -> int:
        """The next integer."""
        return int.from_bytes(self.take(width), "little")

    def elements(self, count: int) -> list[int]:
        """The next field elements."""
        values = [self.number(8) for _ in range(count)]
        demand(all(value < P for value in values), "not canonical")
        return values

    def triples(self, count: int) -> list[K]:
        """The next extension elements."""
        return [(a, b, c) for a, b, c in zip(*[iter(self.elements(3 * count))] * 3, strict=True)]

    def digests(self, count: int) -> list[bytes]:
        """The next digests."""
        return [self.take(32) for _ in range(count)]


def u64(*values: int) -> bytes:
    """8-byte words."""
    return b"".join(value.to_bytes(8, "little") for value in values)


@dataclass
class Transcript:
    """The sponge of section "Bytes and order"; remembers its states."""

    state: bytes = field(default_factory=lambda: blake3(b"zkvm/transcript/1").digest())
    states: list[str] = field(default_factory=list)

    def frame(self, label: str, kind: int, data: bytes) -> bytes:
        """What is hashed."""
        name = label.encode()
        return self.state + u64(len(name)) + name + bytes([kind]) + u64(len(data)) + data

    def step(self, label: str, kind: int, data: bytes, length: int = 0) -> bytes:
        """Absorb, or draw bytes."""
        output = blake3(self.frame(label, kind, data)).digest(length=32 + length)
        self.state = output[:32]
        self.states.append(self.state.hex())
        return output[32:]

    def draw(self, label: str) -> K:
        """An element of K."""
        words = [int.from_bytes(chunk, "little") for chunk in chunks(self.step(label, 16, b"", 64), 8)]
        a, b, c = [word for word in words if word < P][:3]
        return a, b, c


def chunks(data: Any, size: int) -> list[Any]:
    """Pieces of equal length."""
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- trees ---------------------------------------------------------------------------------------------------------------------------

KEY_LEAF, KEY_NODE = blake3(b"zkvm/leaf/1").digest(), blake3(b"zkvm/node/1").digest()


def leaf_digests(rows: list[list[list[int]]], salts: list[list[int]] | None) -> list[bytes]:
    """The leaf rule; ``rows[level][k]``."""
    result = []
    for k in range(len(rows[0])):
        digest = b""
        for level, matrix in enumerate(rows):
            salt = salts[k] if salts is not None and level == len(rows) - 1 else []
            digest = blake3(digest + u64(*matrix[k], *salt), key=KEY_LEAF).digest()
        result.append(digest)
    return result


def check_tree(root_digest: bytes, leaf_count: int, positions: list[int], leaves: list[bytes], siblings: list[bytes]) -> None:
    """Leaves at ascending positions lead to the root with the siblings, level by level."""
    known, rest = dict(zip(positions, leaves, strict=True)), iter(siblings)
    while leaf_count > 1:
        parents: dict[int, bytes] = {}
        for position in sorted(known):
            if position >> 1 in parents:
                continue
            other = known.get(position ^ 1) or next(rest)
            left, right = (known[position], other) if position % 2 == 0 else (other, known[position])
            parents[position >> 1] = blake3(left + right, key=KEY_NODE).digest()
        known, leaf_count = parents, leaf_count // 2
    demand(known == {0: root_digest}, "Merkle root")
    demand(next(rest, None) is None, "siblings left over")


@dataclass
class Joint:
    """What a proof has from those that it is joined with.

    Attributes:
        digest: of the joint transcript.
        number: of the proof.
        challenges: alpha and beta of the joint buses.
        root: of the early tree.
        pin: where its columns are pinned.
        pinned: their values there.
        rows: of the early tree, by level.
        salts: of its leaves.
        siblings: of its multiproof.
    """

    digest: bytes
    number: int
    challenges: tuple[K, K]
    root: bytes
    pin: K
    pinned: list[K]
    rows: list[list[list[int]]]
    salts: list[list[int]]
    siblings: list[bytes]


# --- machine -------------------------------------------------------------------------------------------------------------------------


@dataclass
class Chip:
    """One chip of machine.txt and machine.json."""

    name: str
    widths: tuple[int, int, int]
    mandatory: bool
    nodes: list[tuple[int, int, int]]
    constraints: list[tuple[int, int]]
    running: list[int]
    has_sum: bool
    following: list[int]
    powers: int
    early: int
    joint: int
    joint_powers: int


def read_machine(text: str, listing: dict[str, Any]) -> list[Chip]:
    """The chips in order."""
    chips: list[Chip] = []
    powers = joint_powers = 0
    for line in text.split("\n")[1:]:
        words = line.split(" ")
        if words[0] == "bus":
            if words[-1] == "joint":
                joint_powers = max(joint_powers, int(words.pop(-3)))
                words[-1:] = [str(joint_powers), "product"]
            numbers = words[-3::2] if words[-2] == "sum" else words[-2:-1]
            powers = max(powers, *map(int, numbers))
            continue
        if words[0] == "chip":
            info = listing[words[1]]
            widths = (int(words[2]), int(words[3]), int(words[4]))
            more = (info["running columns"], info["last one is a sum"], info["opened at the next row"])
            early = int(words[6]) if len(words) > 6 else 0
            chips.append(Chip(words[1], widths, words[5] == "True", [], [], *more, powers, early, info.get("joint", 0), joint_powers))
        elif len(words) == 3:
            chips[-1].nodes.append((int(words[0]), int(words[1]), int(words[2])))
        else:
            chips[-1].constraints.append((int(words[0]), int(words[1])))
    return chips


def evaluate(chip: Chip, columns: Sequence[list[K]], following: dict[int, K], constants: list[int]) -> list[tuple[K, int]]:
    """Value and group of each constraint at a point; ``columns``: preprocessed, main, bus."""
    values: list[Any] = []

    def triple(node: int) -> tuple[K, K, K]:
        first, (second, third) = values[node]
        return first, second, third

    def product(a: tuple[K, K, K], b: tuple[K, K, K], c: int) -> K:
        terms = [ZERO] * 5
        for i in range(3):
            for j in range(3):
                terms[i + j] = add(terms[i + j], mul(a[i], b[j]))
        return (add(terms[0], terms[3]), add(add(terms[1], terms[3]), terms[4]), add(terms[2], terms[4]))[c]

    inner: dict[int, Callable[[int, int], Any]] = {
        0: lambda a, b: base(a), 1: lambda a, b: columns[1][a], 2: lambda a, b: columns[0][a], 3: lambda a, b: columns[2][a],
        4: lambda a, b: following[a], 5: lambda a, b: base(constants[a]),
        6: lambda a, b: add(values[a], values[b]), 7: lambda a, b: sub(values[a], values[b]), 8: lambda a, b: mul(values[a], values[b]),
        9: lambda a, b: (values[a], values[b]),
    }  # fmt: skip
    for kind, a, b in chip.nodes:
        if kind < 10:
            values.append(inner[kind](a, b))
        elif kind < 13:
            values.append(product(triple(a), triple(b), kind - 10))
        else:
            factor, (first, (second, third)) = values[b]
            values.append(sub(triple(a)[kind - 13], mul(factor, (first, second, third)[kind - 13])))
    return [(values[node], group) for node, group in chip.constraints]
