"""A second verifier, written from docs/protocol.md and docs/receipts.md alone: plain Python integers, one value at a time.

It imports nothing of the package, so that a mistake in what both sides of the package share (field, hashes, transcript, leaf rule, folding)
shows here. The machine is what ``tests/vectors/machine.txt`` and ``machine.json`` say. It checks no security level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from tests.second_parts import (
    ONE,
    ZERO,
    Bytes,
    Chip,
    K,
    P,
    Refused,
    Transcript,
    X,
    add,
    base,
    chunks,
    demand,
    evaluate,
    inverse,
    mul,
    power,
    read_machine,
    root,
    sub,
    u64,
)

KEY_LEAF, KEY_NODE = blake3(b"zkvm/leaf/1").digest(), blake3(b"zkvm/node/1").digest()
FOLD, FINAL = 8, 64


@dataclass
class Table:
    """A present table."""

    chip: Chip
    height: int


@dataclass
class Closing:
    """Tuples of the verifier on one bus."""

    bus: int
    tuples: list[tuple[int, ...]]
    sent: bool
    summed: bool


@dataclass
class Statement:
    """What a seal is about: absorbed fields, log2 of the preprocessed heights by chip, their root, and the verifier's tuples."""

    fields: dict[str, bytes]
    fixed: dict[str, int]
    root: bytes
    closings: list[Closing]


@dataclass
class Seen:
    """Intermediate values, for comparison with the vectors."""

    states: list[str]
    positions: list[int]
    combined: K
    batched: list[K]
    folded: list[list[K]]


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


def verify(data: bytes, image_id: bytes, machine_text: str, listing: dict[str, Any]) -> Seen:
    """Accept a receipt of exit code 0, or raise :class:`Refused`."""
    try:
        return _verify(data, image_id, machine_text, listing)
    except (ArithmeticError, LookupError, StopIteration, ValueError) as error:
        raise Refused(repr(error)) from error


def _verify(data: bytes, image_id: bytes, machine_text: str, listing: dict[str, Any]) -> Seen:
    chips = read_machine(machine_text, listing)
    read = Bytes(data)
    demand(read.take(12) == b"ZKVMRCPT" + bytes([1, 0, 0, 0]), "magic, version, flags")
    digest = read.take(32)
    demand(digest == blake3(machine_text.encode()).digest(), "machine")
    entry, stack = read.number(4), read.number(4)
    gaps = [(read.number(4), read.number(4)) for _ in range(read.number(1))]
    fixed = {chip.name: read.number(1) for chip in chips if chip.widths[0]}
    roots = read.digests(3)
    edges = [edge for gap in gaps for edge in gap]
    demand(edges == sorted(set(edges)) and all(1 <= edge <= 1 << 30 for edge in edges), "gaps")
    heights = [1 << log if log else 0 for log in fixed.values()]
    header = u64(entry, stack, len(gaps), *edges, len(heights), *heights) + b"".join(roots)
    demand(blake3(b"zkvm/image/1" + digest + header).digest() == image_id == read.take(32), "image ID")
    exit_code, journal_digest = read.number(4), read.take(32)
    numbers = [read.number(2) for _ in range(3)]
    journal = read.take(read.number(4))
    demand(exit_code == 0 and blake3(journal).digest() == journal_digest, "claim")
    public = {"image header": header, "journal": journal, "exit code": u64(exit_code)}
    closings = [Closing(1, [(entry, 4)], True, False), Closing(1, [(2**32 + exit_code, 0)], False, False)]
    closings += [Closing(3, [(start - 1, 0)], True, False) for start, _ in gaps] + [Closing(3, [(end, 1)], False, False) for _, end in gaps]
    closings.append(Closing(14, list(enumerate(journal)), True, True))
    statement = Statement(public, fixed, roots[{2: 0, 4: 1, 8: 2}[numbers[0]]], closings)
    return _seal(read, chips, digest, statement, numbers)


def verify_seal(data: bytes, machine_text: str, listing: dict[str, Any], statement: Statement) -> Seen:
    """Accept a seal of any machine and statement, or raise :class:`Refused`."""
    try:
        digest = blake3(machine_text.encode()).digest()
        return _seal(Bytes(data), read_machine(machine_text, listing), digest, statement)
    except (ArithmeticError, LookupError, StopIteration, ValueError) as error:
        raise Refused(repr(error)) from error


def _seal(read: Bytes, chips: list[Chip], digest: bytes, statement: Statement, claimed: list[int] | None = None) -> Seen:
    demand(read.take(10) == b"ZKVMSEAL" + bytes([1, 0]), "seal")
    zk = read.number(2)
    numbers = [read.number(2) for _ in range(3)]
    demand(claimed in (None, numbers) and zk < 2, "parameters")
    logs, fixed = list(read.take(len(chips))), statement.fixed
    demand(all(9 <= log <= 24 if log else not chip.mandatory for chip, log in zip(chips, logs, strict=True)), "presence")
    demand(all(log == fixed[chip.name] for chip, log in zip(chips, logs, strict=True) if chip.widths[0]), "preprocessed heights")
    return _Run(chips, digest, numbers, zk, logs, statement, read).verify()


class _Run:
    """The protocol, from the seal's body on."""

    def __init__(
        self, chips: list[Chip], digest: bytes, numbers: list[int], zk: int, logs: list[int], statement: Statement, read: Bytes
    ) -> None:
        order = sorted((1 << log, number) for number, log in enumerate(logs) if log)
        self.tables = [Table(chips[number], height) for height, number in order]
        self.size, (self.blowup, self.queries, self.exempt) = order[-1][0], numbers
        self.digest, self.numbers, self.zk, self.logs, self.read = digest, numbers, zk, logs, read
        self.statement, self.fixed_root, self.powers = statement, statement.root, chips[0].powers
        demand(1 << 15 <= self.size, "tallest table")
        self.layers = []
        height = self.size
        while height > FINAL:
            self.layers.append(height)
            height //= FOLD
        self.final_length = height

    def levels(self, tree: int) -> list[tuple[int, int]]:
        """(height, columns) of a tree."""
        found: dict[int, int] = {}
        for table in self.tables:
            found[table.height] = found.get(table.height, 0) + table.chip.widths[tree]
        return [(height, width) for height, width in sorted(found.items()) if width]

    def verify(self) -> Seen:
        """All rounds."""
        read, t = self.read, Transcript()
        counts = [(read.number(2), read.number(4)) for _ in range(2 + len(self.layers))]
        nonce, roots = read.take(8), read.digests(3)
        terminals = read.triples(sum(len(table.chip.running) for table in self.tables))
        here = sum(sum(table.chip.widths) for table in self.tables) + 9
        openings = read.triples(here + sum(len(table.chip.following) for table in self.tables))
        fri_roots, final = read.digests(len(self.layers)), read.triples(self.final_length)
        t.step("domain", 0, b"zkvm proof")
        for label, number in zip(("protocol version", "blowup", "queries", "exempt rows", "zk"), (1, *self.numbers, self.zk), strict=True):
            t.step(label, 3, u64(number))
        public = {"machine digest": self.digest} | self.statement.fields
        for label, data in (public | {"preprocessed root": self.fixed_root, "log heights": bytes(self.logs)}).items():
            t.step(label, 1, data)
        t.step("main root", 1, roots[0])
        alpha, beta = t.draw("alpha"), t.draw("beta")
        t.step("bus root", 1, roots[1])
        t.step("terminals", 2, u64(*(part for value in terminals for part in value)))
        challenge = t.draw("constraint challenge")
        t.step("quotient and mask root", 1, roots[2])
        zeta = t.draw("zeta")
        t.step("openings", 2, u64(*(part for value in openings for part in value)))
        batching, folding = t.draw("batching challenge"), []
        for number, digest in enumerate(fri_roots):
            t.step(f"fri root {number}", 1, digest)
            folding.append(t.draw(f"folding challenge {number}"))
        t.step("final polynomial", 2, u64(*(part for value in final for part in value)))
        seed = blake3(t.frame("query grinding", 18, b"")).digest()
        demand(int.from_bytes(blake3(seed + nonce).digest()[:8], "little") < 1 << 44, "proof of work")
        t.step("query grinding", 19, nonce)
        bound = self.blowup * self.size
        stream = t.step("query positions", 17, u64(self.queries, bound), 8 * self.queries)
        positions = sorted({int.from_bytes(word, "little") % bound for word in chunks(stream, 8)})
        self.close_buses(terminals, alpha, beta)
        combined = self.check_constraints(terminals, openings, here, (alpha, beta, challenge, zeta))
        batched = self.open_trees(counts, roots, positions, openings, here, zeta, batching)
        folded = self.fold(counts[2:], fri_roots, folding, final, positions, batched)
        demand(read.at == len(read.data), "bytes left over")
        return Seen(t.states, positions, combined, batched, folded)

    def close_buses(self, terminals: list[K], alpha: K, beta: K) -> None:
        """Products and sums of all terminals with the verifier's own tuples."""
        sent, received, total, rest = ONE, ONE, ZERO, iter(terminals)
        for table in self.tables:
            values = [next(rest) for _ in table.chip.running]
            total = add(total, values.pop()) if table.chip.has_sum else total
            for value in values:
                sent = mul(sent, value)

        def print_of(bus: int, *values: int) -> K:
            result, factor = sub(alpha, base(bus)), beta
            for value in values:
                result, factor = sub(result, mul(factor, base(value))), mul(factor, beta)
            return result

        for own in self.statement.closings:
            for entry in own.tuples:
                found = print_of(own.bus, *entry)
                if own.summed:
                    total = (sub if own.sent else add)(total, inverse(found))
                elif own.sent:
                    sent = mul(sent, found)
                else:
                    received = mul(received, found)
        demand(sent == received != ZERO and total == ZERO, "buses")

    def check_constraints(self, terminals: list[K], openings: list[K], here: int, challenges: tuple[K, K, K, K]) -> K:
        """The combined constraints equal the quotient at zeta."""
        alpha, beta, challenge, zeta = challenges
        lifted = power(zeta, self.blowup * self.size)
        shift = pow(7, (1 << 30) // self.size * self.blowup * self.size, P)
        demand(power(zeta, self.size) != ONE and lifted != base(shift), "zeta")
        columns: list[list[list[K]]] = [[] for _ in self.tables]
        at, next_at, terminal_at = 0, here, 0
        for tree in range(3):
            for number, table in enumerate(self.tables):
                columns[number].append(openings[at : at + table.chip.widths[tree]])
                at += table.chip.widths[tree]
        combined, weight = ZERO, ONE
        constants = [part for k in range(1 + self.powers) for part in (power(beta, k) if k else alpha)]
        for number, table in enumerate(self.tables):
            chip, n = table.chip, table.height
            following = dict(zip(chip.following, openings[next_at:], strict=False))
            own = terminals[terminal_at : terminal_at + len(chip.running)]
            next_at, terminal_at = next_at + len(chip.following), terminal_at + len(chip.running)
            y = power(zeta, self.size // n)
            exempt = ONE
            for row in range(n - self.exempt, n):
                exempt = mul(exempt, sub(y, base(pow(root(n), row, P))))
            reciprocals = [
                mul(exempt, inverse(sub(power(y, n), ONE))),
                inverse(sub(y, base(pow(root(n), n - 1, P)))),
                inverse(sub(y, base(pow(root(n), n - self.exempt, P)))),
            ]
            for value, group in evaluate(chip, columns[number], following, constants + [part for terminal in own for part in terminal]):
                combined = add(combined, mul(mul(weight, value), reciprocals[group]))
                weight = mul(weight, challenge)
        quotient, split = ZERO, power(zeta, self.size - self.queries - 4)
        for k in range(9):
            term = mul(openings[at + k], mul(power(split, k // 3), power(X, k % 3)))
            quotient = add(quotient, term)
        demand(combined == quotient, "constraints at zeta")
        return combined

    def open_trees(
        self, counts: list[tuple[int, int]], roots: list[bytes], positions: list[int], openings: list[K], here: int, zeta: K, gamma: K
    ) -> list[K]:
        """Rows under their roots; the batched value at each position."""
        read, size = self.read, self.size

        def rows(levels: list[tuple[int, int]], count: int) -> list[list[list[int]]]:
            return [[read.elements(width) for _ in range(count)] for _, width in levels]

        levels = self.levels(0)
        n = levels[-1][0]
        inside = sorted({self.moved(position, size, n) for position in positions})
        demand(counts[1][0] == len(inside) and counts[0][0] == len(positions), "counts")
        matrices = rows(levels, len(inside))
        check_tree(self.fixed_root, self.blowup * n, inside, leaf_digests(matrices, None), read.digests(counts[1][1]))
        rank = {position: k for k, position in enumerate(inside)}
        opened = [[value for matrix in matrices for value in matrix[rank[self.moved(position, size, n)]]] for position in positions]
        for tree, levels in enumerate((self.levels(1), self.levels(2), [(size, 12)])):
            matrices = rows(levels, len(positions))
            salts = [read.elements(2) for _ in positions]
            check_tree(roots[tree], self.blowup * size, positions, leaf_digests(matrices, salts), read.digests(counts[0][1]))
            for k in range(len(positions)):
                opened[k] += [value for matrix in matrices for value in matrix[k]]
        first, following = sum(table.chip.widths[0] + table.chip.widths[1] for table in self.tables), []
        for table in self.tables:
            following += [first + column for column in table.chip.following]
            first += table.chip.widths[2]
        result = []
        for position, values in zip(positions, opened, strict=True):
            x = self.point(position, size, pow(7, (1 << 30) // size, P))
            value: K = (values[-3], values[-2], values[-1])
            sums, weight = [ZERO, ZERO], gamma
            for number, opening in enumerate(openings):
                column = number if number < here else following[number - here]
                side = int(number >= here)
                sums[side] = add(sums[side], mul(weight, sub(base(values[column]), opening)))
                weight = mul(weight, gamma)
            for total, at in zip(sums, (zeta, mul(zeta, base(root(size)))), strict=True):
                value = add(value, mul(total, inverse(sub(base(x), at))))
            result.append(value)
        return result

    def fold(
        self, counts: list[tuple[int, int]], roots: list[bytes], challenges: list[K], final: list[K], positions: list[int], values: list[K]
    ) -> list[list[K]]:
        """Layer by layer to the final polynomial."""
        shift, history = pow(7, (1 << 30) // self.size, P), []
        for (count, siblings), digest, challenge, height in zip(counts, roots, challenges, self.layers, strict=True):
            short = height // FOLD
            targets = [self.moved(position, height, short) for position in positions]
            inside = sorted(set(targets))
            demand(count == len(inside), "counts of a layer")
            leaves = [self.read.elements(24) for _ in inside]
            check_tree(digest, self.blowup * short, inside, leaf_digests([leaves], None), self.read.digests(siblings))
            points = {position: chunks(leaf, 3) for position, leaf in zip(inside, leaves, strict=True)}
            for position, target, value in zip(positions, targets, values, strict=True):
                demand(tuple(points[target][position % height // short]) == value, "fold")
            positions, values = inside, []
            for position in inside:
                x = self.point(position // short * height + position % short, height, shift)
                total = ZERO
                for s in range(FOLD):
                    part = ZERO
                    for r in range(FOLD):
                        a, b, c = points[position][r]
                        part = add(part, mul((a, b, c), base(pow(root(FOLD), -r * s, P))))
                    total = add(total, mul(mul(part, base(pow(x, -s, P) * pow(FOLD, -1, P))), power(challenge, s)))
                values.append(total)
            history.append(values)
            shift = pow(shift, FOLD, P)
        for position, value in zip(positions, values, strict=True):
            x, expected = self.point(position, self.final_length, shift), ZERO
            for coefficient in reversed(final):
                expected = add(mul(expected, base(x)), coefficient)
            demand(expected == value, "final polynomial")
        return history

    def moved(self, position: int, height: int, short: int) -> int:
        """A position on the domain of a smaller height."""
        return position // height * short + position % height % short

    def point(self, position: int, height: int, shift: int) -> int:
        """The point at a position."""
        return shift * pow(root(self.blowup * height), position // height + self.blowup * (position % height), P) % P
