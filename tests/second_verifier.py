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
    Joint,
    K,
    P,
    Refused,
    Transcript,
    X,
    add,
    base,
    check_tree,
    chunks,
    demand,
    evaluate,
    inverse,
    leaf_digests,
    mul,
    power,
    read_machine,
    root,
    sub,
    u64,
)

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
        self.joint: Joint | None = None
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
            pre, main, bus = table.chip.widths
            width = (pre, main - table.chip.early, bus, table.chip.early)[tree]
            found[table.height] = found.get(table.height, 0) + width
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
        t.step("domain", 0, b"zkvm part" if self.joint else b"zkvm proof")
        if self.joint:
            t.step("joint digest", 1, self.joint.digest)
            t.step("number", 3, u64(self.joint.number))
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
        demand(self.joint is not None or read.at == len(read.data), "bytes left over")
        return Seen(t.states, positions, combined, batched, folded)

    def close_buses(self, terminals: list[K], alpha: K, beta: K) -> None:
        """Products and sums of all terminals with the verifier's own tuples."""
        sent, received, total, rest = ONE, ONE, ZERO, iter(terminals)
        for table in self.tables:
            values = [next(rest) for _ in table.chip.running]
            total = add(total, values.pop()) if table.chip.has_sum else total
            for value in values[table.chip.joint :]:
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
        for tree in (0, 3, 1, 2):
            for number, table in enumerate(self.tables):
                pre, main, bus = table.chip.widths
                width = (pre, main - table.chip.early, bus, table.chip.early)[tree]
                if tree == 1:
                    columns[number][1] = columns[number][1] + openings[at : at + width]
                else:
                    columns[number].append(openings[at : at + width])
                at += width
        combined, weight = ZERO, ONE
        constants = [part for k in range(1 + self.powers) for part in (power(beta, k) if k else alpha)]
        if self.joint:
            a, b = self.joint.challenges
            own_alpha = sub(a, mul(b, base(self.joint.number)))
            joint_powers = self.tables[0].chip.joint_powers
            constants += [part for k in range(1 + joint_powers) for part in (power(b, k) if k else own_alpha)]
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
        early = self.open_early(positions, opened) if self.joint else range(0)
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
            sums, weight = [ZERO, ZERO, ZERO], gamma
            for number, opening in enumerate(openings):
                column = number if number < here else following[number - here]
                side = int(number >= here)
                sums[side] = add(sums[side], mul(weight, sub(base(values[column]), opening)))
                weight = mul(weight, gamma)
            for column, opening in zip(early, self.joint.pinned if self.joint else [], strict=True):
                sums[2] = add(sums[2], mul(weight, sub(base(values[column]), opening)))
                weight = mul(weight, gamma)
            pin = power(self.joint.pin, (1 << 24) // size) if self.joint else ZERO
            for total, at in zip(sums, (zeta, mul(zeta, base(root(size))), pin), strict=True):
                value = add(value, mul(total, inverse(sub(base(x), at))))
            result.append(value)
        return result

    def open_early(self, positions: list[int], opened: list[list[int]]) -> range:
        """Rows of the early tree under its root, appended to the opened values: where they are among them."""
        joint, levels = self.joint, self.levels(3)
        assert joint is not None
        n = levels[-1][0]
        inside = sorted({self.moved(position, self.size, n) for position in positions})
        demand(len(joint.salts) == len(inside), "counts of the early tree")
        check_tree(joint.root, self.blowup * n, inside, leaf_digests(joint.rows, joint.salts), joint.siblings)
        rank, first = {position: k for k, position in enumerate(inside)}, len(opened[0])
        for position, values in zip(positions, opened, strict=True):
            k = rank[self.moved(position, self.size, n)]
            values += [value for matrix in joint.rows for value in matrix[k]]
        return range(first, len(opened[0]))

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
