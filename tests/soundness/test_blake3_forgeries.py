"""I1 to I4: attacks on BLAKE3 calls, which one line refuses: the machine without the line accepts them. See ``test_single_checks.py``.

The classes: I1 mixings, I3 words in memory, I4 calls; I2, wires between them, in ``test_blake3_wires.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.forge import forgery
from tests.soundness.blake3_forging import (
    CALL,
    COUNT,
    MIXING,
    TWO_32,
    WORDS,
    again,
    compressions,
    half,
    honest,
    mixing_row,
    output,
    parts,
    time_of,
    word_at,
    words_row,
)
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import padding_row
from zkvm.riscv.isa.opcodes import LAST_PC, REGISTER_BASE
from zkvm.riscv.vm.assemble import DATA
from zkvm.stark.field.goldilocks import P


def test_honest() -> None:
    """The twin in plain integers makes the rows that the chip makes."""
    forged = compressions()
    before = {name: forged.tables[name].main.copy() for name in (MIXING, WORDS)}
    for call in range(COUNT):
        again(forged, call=call)
    for name, main in before.items():
        assert np.array_equal(main, forged.tables[name].main)
    assert forged.refusals() == set()


SUMS = {
    "a1": "a1 is a + b + first less at most two carries",
    "c1": "c1 is c + d1 less at most one carry",
    "a2": "a2 is a1 + b1 + second less at most two carries",
    "c2": "c2 is c1 + d2 less at most one carry",
}
EXCLUSIVE = ("d_and_a1", "b_and_c1", "d1_and_a2", "b1_and_c2")


# --- I1: mixings -------------------------------------------------------------------------------------------------------------------


def lie(number: int, line: str, **lies: Callable[[int], int]) -> Forged:
    forged = compressions()
    again(forged, {number: lies})
    return forged, f"{MIXING}: {line}"


def i1_a_sum(name: str, line: str) -> Attack:
    def make() -> Forged:
        return lie(17, line, **{name: lambda honest: (honest + 1) % TWO_32})

    make.__name__ = f"i1_another_{name}"
    return make


def i1_a_conjunction(name: str, k: int) -> Attack:
    """An exclusive or with two bits more or less in one byte: still a byte, and so is every later one."""

    def make() -> Forged:
        return lie(30 + k, f"{name}: bytes {k}", **{name: lambda honest: honest ^ 2 << 8 * k})

    make.__name__ = f"i1_another_{name}_{k}"
    return make


def i1_another_nibble() -> Forged:
    """Whatever word b1 shall be, some field element splits b ^ c1 so."""
    return lie(9, "nibble of b ^ c1", b1=lambda honest: honest ^ 0x1234_5678)


def i1_another_split_by_seven() -> Forged:
    return lie(55, "low bits of b1 ^ c2", b2=lambda honest: honest ^ 0x8000_0001)


def i1_padding_that_changes(name: str) -> Attack:
    """A row without a flag is on the wires of slot 0: it takes a word of the state there and hands on another."""

    def make() -> Forged:
        forged = compressions()
        row = mixing_row(8)  # the first column of the second round, which gets the word
        honest, false = forged.cell(MIXING, row, "a"), 0x0BAD_CAFE
        idle = padding_row(forged, MIXING)
        forged.write(MIXING, idle, t=time_of(forged), round=1, **silent(name, honest, false))
        again(forged, replaced=(8, 0, false))
        return forged, f"{MIXING}: {name} stays on padding"

    make.__name__ = f"i1_padding_that_changes_{name}"
    return make


def silent(name: str, before: int, after: int) -> dict[str, int]:
    """Cells of a padding row that takes one word for another, and zeros for zeros; its bytes are unchecked."""
    b, c, d = (before if name == own else 0 for own in "bcd")
    a = before if name == "a" else 0
    goal = {own: after if own == name else 0 for own in "abcd"}
    d1 = (goal["c"] - c - goal["d"]) % P  # c2 = c + d1 + d2
    a1, c1 = (a + b) % P, (c + d1) % P
    columns = {"a": a, "b_0": b, "c": c, "d_0": d, "a1_0": a1, "c1_0": c1, "a2_0": goal["a"], "c2_0": goal["c"]}
    # A byte of an exclusive or becomes another place of the rotated word.
    columns["d_and_a1_2"] = -half(d1)
    columns["d_and_a1_0"] = half(d + a1)
    columns["b_and_c1_0"] = half(b + c1)
    columns["second"] = (goal["a"] - a1) % P
    columns["d1_and_a2_0"] = half(d1 + goal["a"])
    columns["d1_and_a2_1"] = -half(goal["d"])
    columns["b1_and_c2_0"] = half(goal["c"])
    columns["low"] = goal["b"] * pow((1 << 25) - pow(128, -1, P), -1, P)
    return columns


# --- I3: words in memory -----------------------------------------------------------------------------------------------------------


def i3_another_constant() -> Forged:
    forged = compressions()
    forged.add(WORDS, words_row(2), last=1)
    again(forged)
    return forged, f"{WORDS}: last is the part's constant"


def i3_another_output(k: int) -> Attack:
    def make() -> Forged:
        forged = compressions()
        row = words_row(5)
        upper, lower = (word_at(forged, WORDS, row, stem) for stem in ("upper", "lower"))
        both = parts("both", upper & lower)
        both[f"both_{k}"] -= 1 if both[f"both_{k}"] else -1
        output(forged, 5, upper, lower, both=both)
        return forged, f"{WORDS}: output: bytes {k}"

    make.__name__ = f"i3_another_output_{k}"
    return make


def i3_padding_that_changes_a_word(name: str, stem: str) -> Attack:
    """A row without a flag is on the wires of slot 0 at the first stage: it takes the first word there and hands on another."""

    def make() -> Forged:
        forged = compressions()
        honest, false = forged.cell(WORDS, words_row(0), "chaining"), 0x0BAD_CAFE
        row = padding_row(forged, WORDS)
        time = time_of(forged)
        forged.write(WORDS, row, t=time, **{f"t_{own}": time for own in ("chaining", "first", "second", "last")})
        forged.write(WORDS, row, **{name: false, f"{stem}_0": honest})
        # What it would write is what it read.
        upper, lower, chaining = (forged.cell(WORDS, row, own) for own in ("upper_0", "lower_0", "chaining"))
        forged.write(WORDS, row, both_0=half(upper + lower - chaining))
        again(forged, replaced=(0, 0, false))
        return forged, f"{WORDS}: {name} stays on padding"

    make.__name__ = f"i3_padding_that_changes_{name}"
    return make


def i3_padding_that_writes() -> Forged:
    """A row without a flag accesses a word at a time at which it was accessed: it may not change it."""
    forged = compressions()
    row, time = padding_row(forged, WORDS), time_of(forged) + 1
    address = DATA
    value = forged.cell(WORDS, words_row(0), "chaining")
    written = sum(word_at(forged, WORDS, words_row(0), stem) * sign for stem, sign in (("upper", 1), ("lower", 1), ("both", -2)))
    false = (written + 1) % TWO_32
    assert value != written
    forged.pass_on(address, time, false)
    times = {f"t_{own}": time for own in ("chaining", "first", "second", "last")}
    forged.write(WORDS, row, t=time, address=address, chaining=written, upper_0=written, both_0=half(written - false), **times)
    return forged, f"{WORDS}: chaining keeps its value unless live"


# --- I4: calls ---------------------------------------------------------------------------------------------------------------------


def i4_padding_that_returns() -> Forged:
    """A row without a call leaves 0 in a0, where an exit code was: it may not change it."""
    run = honest(exit_code=7)
    forged = forgery(run, exit_code=0)
    time = int(run.ecalls["t_a0"][-1])
    forged.spread(REGISTER_BASE + 10, time, 0)
    row = forged.row("ecall", exit=1)
    forged.write("ecall", row, result=0, descriptor=0, next_pc=LAST_PC)
    forged.pass_on(REGISTER_BASE + 10, forged.cell("ecall", row, "t"), 0)
    forged.write(CALL, padding_row(forged, CALL), t=time, a0=7, t_a0=time, t_a7=time)
    return forged, f"{CALL}: a0 keeps its value unless live"


MIXING_LIES: tuple[Attack, ...] = (
    *(i1_a_sum(name, line) for name, line in SUMS.items()),
    *(i1_a_conjunction(name, k) for name in EXCLUSIVE for k in range(4)),
    i1_another_nibble,
    i1_another_split_by_seven,
    *map(i1_padding_that_changes, "abcd"),
)
WORD_LIES: tuple[Attack, ...] = (
    i3_another_constant,
    *map(i3_another_output, range(4)),
    i3_padding_that_changes_a_word("chaining", "upper"),
    i3_padding_that_changes_a_word("last", "lower"),
    i3_padding_that_writes,
)
FORGERIES = (*MIXING_LIES, *WORD_LIES, i4_padding_that_returns)
PROVEN = (MIXING_LIES[1], i1_another_nibble, WORD_LIES[1])

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)
