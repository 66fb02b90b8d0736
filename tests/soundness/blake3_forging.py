"""A run with two compressions, and what a forger of their tables writes besides his lie: all that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

from tests.forge import Forgery, forgery
from zkvm.riscv.chips.blake3.mixing import FLAGS, MIXINGS, SLOTS
from zkvm.riscv.isa.calls import BLAKE3, BLAKE3_WORDS
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.crypto.compression import MESSAGE_SCHEDULE
from zkvm.stark.field.goldilocks import P

CALL, WORDS, MIXING = "blake3_call", "blake3_words", "blake3_mixing"
COUNT = 2
"""Compressions of the run."""
INPUTS = [[(0x9E37_79B9 * (28 * call + k + 1) + k * k * 77_777_777) % 0xFFFF_FFFB for k in range(BLAKE3_WORDS)] for call in range(COUNT)]
STRIDE = 4 * BLAKE3_WORDS
"""Bytes from one call's words to the other's."""

Step = dict[str, int]
"""Columns of a mixing."""
Lies = Mapping[str, Callable[[int], int]]
"""By name, what a word of a mixing becomes."""
NO_LIES: Lies = {}
Schedule = Sequence[Sequence[int]]
TWO_32 = 1 << 32


@cache
def honest(exit_code: int = 0) -> Execution:
    """Two calls, of words that lie behind one another."""
    items: list[Item] = [("li", "a7", BLAKE3.number)]
    for call in range(COUNT):
        items += [("la", "a0", DATA + call * STRIDE), ("ecall",)]
    data = b"".join(word.to_bytes(4, "little") for words in INPUTS for word in words)
    return execute(assemble([*items, ("li", "a0", exit_code), *EXIT], data=data))


def compressions() -> Forgery:
    """The honest tables of the run."""
    return forgery(honest())


def mixing_row(number: int, call: int = 0) -> int:
    """Row of a mixing, by its number in the compression."""
    return (4 * (number // 4) + number % 4) * COUNT + call


def words_row(part: int, call: int = 0) -> int:
    """Row of a part of a call's words."""
    return part * COUNT + call


def time_of(forged: Forgery, call: int = 0) -> int:
    return forged.cell(CALL, call, "t")


def word_at(forged: Forgery, chip: str, row: int, stem: str) -> int:
    """A word of four byte columns."""
    return sum(forged.cell(chip, row, f"{stem}_{k}") << 8 * k for k in range(4)) % P


def parts(stem: str, value: int) -> dict[str, int]:
    """Four byte columns of a word."""
    return {f"{stem}_{k}": value >> 8 * k & 255 for k in range(4)}


def rotated(value: int, by: int) -> int:
    """A word rotated to the right."""
    return (value >> by | value << 32 - by) % TWO_32


def half(value: int) -> int:
    return value * pow(2, -1, P) % P


def mix(before: Sequence[int], first: int, second: int, lies: Lies = NO_LIES) -> tuple[Step, list[int]]:
    """Columns of a mixing in plain integers, and the words after it. A lie says what a word is instead of what it should be."""

    def told(name: str, honest: int) -> int:
        return lies[name](honest) if name in lies else honest

    def exclusive(name: str, left: int, right: int) -> int:
        """x ^ y, by the column that says x & y."""
        mixed = told(name, left ^ right)
        for k in range(4):
            x, y, z = (word >> 8 * k & 255 for word in (left, right, mixed))
            columns[f"{name}_{k}"] = half(x + y - z)
        return mixed

    a, b, c, d = before
    columns: Step = {"a": a, "c": c, "first": first, "second": second, **parts("b", b), **parts("d", d)}
    a1 = told("a1", (a + b + first) % TWO_32)
    d1 = rotated(exclusive("d_and_a1", d, a1), 16)
    c1 = told("c1", (c + d1) % TWO_32)
    first_mixed = exclusive("b_and_c1", b, c1)
    b1 = told("b1", rotated(first_mixed, 12))
    low = (b1 - first_mixed * pow(2, -12, P)) * pow((1 << 20) - pow(2, -12, P), -1, P)
    columns["nibble"] = (low - (first_mixed & 255)) * pow(256, -1, P) % P
    a2 = told("a2", (a1 + b1 + second) % TWO_32)
    d2 = rotated(exclusive("d1_and_a2", d1, a2), 8)
    c2 = told("c2", (c1 + d2) % TWO_32)
    second_mixed = exclusive("b1_and_c2", b1, c2)
    b2 = told("b2", rotated(second_mixed, 7))
    columns["low"] = (b2 - second_mixed * pow(128, -1, P)) * pow((1 << 25) - pow(128, -1, P), -1, P) % P
    for stem, word in (("a1", a1), ("c1", c1), ("b1", b1), ("a2", a2), ("c2", c2)):
        columns |= {name: value for name, value in parts(stem, word).items() if name != "b1_3"}
    return columns, [a2, b2, c2, d2]


def again(
    forged: Forgery,
    lies: Mapping[int, Lies] = MappingProxyType({}),
    call: int = 0,
    schedule: Schedule = MESSAGE_SCHEDULE,
    replaced: tuple[int, int, int] | None = None,
) -> None:
    """Compress the words that the rows of a call hold, and write all that follows, memory included.

    Args:
        forged: the tables.
        lies: by the number of a mixing.
        call: whose rows.
        schedule: words of the message by round.
        replaced: before a mixing (number), a word of the state (slot) is replaced (by this one).
    """
    rows = [words_row(part, call) for part in range(8)]
    state = [forged.cell(WORDS, row, name) for name in ("chaining", "last") for row in rows]
    message = [forged.cell(WORDS, row, name) for row in rows for name in ("first", "second")]
    for number in range(MIXINGS):
        kind = number % len(FLAGS)
        slots = [part[kind] for part in SLOTS]
        taken = schedule[number // len(FLAGS)][2 * kind : 2 * kind + 2]
        if replaced is not None and replaced[0] == number:
            state[replaced[1]] = replaced[2]
        first, second = (message[k] for k in taken)
        columns, after = mix([state[slot] for slot in slots], first, second, lies.get(number, NO_LIES))
        for slot, value in zip(slots, after, strict=True):
            state[slot] = value
        forged.write(MIXING, mixing_row(number, call), **columns)
    for part in range(8):
        output(forged, part, state[part], state[8 + part], call)


def output(forged: Forgery, part: int, upper: int, lower: int, call: int = 0, both: dict[str, int] | None = None) -> None:
    """The words of the state that a part takes back, and what it then writes."""
    row = words_row(part, call)
    forged.write(WORDS, row, **parts("upper", upper), **parts("lower", lower), **(parts("both", upper & lower) if both is None else both))
    value = sum(word_at(forged, WORDS, row, stem) * sign for stem, sign in (("upper", 1), ("lower", 1), ("both", -2)))
    forged.pass_on(DATA + call * STRIDE + 4 * part, time_of(forged, call) + 1, value)
