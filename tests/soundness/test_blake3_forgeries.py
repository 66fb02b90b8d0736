"""I1 to I4: attacks on BLAKE3 calls. Those that one line refuses, the machine without the line accepts; see ``test_single_checks.py``.

The classes: I1 mixings, I2 wires between them, I3 words in memory, I4 calls.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.forge import Forgery, forgery
from tests.soundness.blake3_forging import (
    CALL,
    COUNT,
    MIXING,
    STRIDE,
    TWO_32,
    WORDS,
    again,
    compressions,
    half,
    honest,
    mix,
    mixing_row,
    output,
    parts,
    time_of,
    word_at,
    words_row,
)
from tests.soundness.single import accepted_without, refused_by
from tests.soundness.tensor_forging import padding_row
from zkvm.riscv.chips.blake3.mixing import FLAGS, MIXINGS
from zkvm.riscv.isa.opcodes import REGISTER_BASE
from zkvm.riscv.vm.assemble import DATA
from zkvm.stark.crypto.compression import MESSAGE_SCHEDULE
from zkvm.stark.field.goldilocks import P

Forged = tuple[Forgery, str]
WIRE = {"bus blake3 wire"}


def buses_of(forged: Forgery) -> set[str]:
    """What refuses the tables, buses without their tuples."""
    return {where.partition(":")[0] if where.startswith("bus") else where for where in forged.refusals()}


def test_honest() -> None:
    """The twin in plain integers makes the rows that the chip makes."""
    forged = compressions()
    before = {name: forged.tables[name].main.copy() for name in (MIXING, WORDS)}
    for call in range(COUNT):
        again(forged, call=call)
    for name, main in before.items():
        assert np.array_equal(main, forged.tables[name].main)
    assert forged.refusals() == set()


# --- I1: mixings -------------------------------------------------------------------------------------------------------------------


def lie(number: int, line: str, **lies: Callable[[int], int]) -> Forged:
    forged = compressions()
    again(forged, {number: lies})
    return forged, f"{MIXING}: {line}"


def i1_a_sum(name: str, line: str) -> Callable[[], Forged]:
    def make() -> Forged:
        return lie(17, line, **{name: lambda honest: (honest + 1) % TWO_32})

    make.__name__ = f"i1_another_{name}"
    return make


def i1_a_conjunction(name: str, k: int) -> Callable[[], Forged]:
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


def i1_padding_that_changes(name: str) -> Callable[[], Forged]:
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


SUMS = {
    "a1": "a1 is a + b + first less at most two carries",
    "c1": "c1 is c + d1 less at most one carry",
    "a2": "a2 is a1 + b1 + second less at most two carries",
    "c2": "c2 is c1 + d2 less at most one carry",
}
EXCLUSIVE = ("d_and_a1", "b_and_c1", "d1_and_a2", "b1_and_c2")


def test_i1_a_carry_out_of_range() -> None:
    """A word 3 2^32 below or above what it should be: more carries than there are, and a byte that is none."""
    for name, line in SUMS.items():
        for carry in (-3, 3):
            forged = compressions()
            row = mixing_row(20)
            forged.add(MIXING, row, **{f"{name}_3": -carry * 256})
            found = forged.refusals()
            assert f"{MIXING}: {line}" in found
            assert any(where.endswith("bytes 3") for where in found)


# --- I2: wires ---------------------------------------------------------------------------------------------------------------------


def test_i2_a_round_left_out() -> None:
    """The second round's rows take the third's places, and so on: the last round is nobody's."""
    forged = compressions()
    for number in range(8, MIXINGS):
        row = mixing_row(number)
        if number < 16:
            forged.erase(MIXING, row)
        else:
            forged.add(MIXING, row, round=-1)
    assert WIRE <= buses_of(forged) <= WIRE


def test_i2_a_round_twice() -> None:
    forged = compressions()
    for number in range(8, 16):
        forged.copy_row(MIXING, mixing_row(number))
    assert buses_of(forged) == WIRE


def test_i2_eight_rounds() -> None:
    """One round more than there are, with all that follows from it: nobody takes its words back."""
    forged = compressions()
    state, message = final_state(forged), [forged.cell(MIXING, mixing_row(48 + k), name) for k in range(8) for name in ("first", "second")]
    message = [message[MESSAGE_SCHEDULE[1][k]] for k in range(16)]
    for kind in range(8):
        row = forged.copy_row(MIXING, mixing_row(48 + kind))
        slots = [4 * part + (kind % 4 + part * (kind // 4)) % 4 for part in range(4)]
        columns, after = mix([state[slot] for slot in slots], *message[2 * kind : 2 * kind + 2])
        for slot, value in zip(slots, after, strict=True):
            state[slot] = value
        forged.write(MIXING, row, round=7, **columns)
    for part in range(8):
        output(forged, part, state[part], state[8 + part])
    assert buses_of(forged) == WIRE


def final_state(forged: Forgery) -> list[int]:
    return [word_at(forged, WORDS, words_row(part), stem) for stem in ("upper", "lower") for part in range(8)]


def test_i2_diagonals_as_columns_of_half_a_round() -> None:
    """Columns at the stages of diagonals: the state's wires do not tell, the message's do."""
    forged = compressions()
    state = [forged.cell(WORDS, words_row(part), name) for name in ("chaining", "last") for part in range(8)]
    for number in range(MIXINGS):
        kind = number % 4
        row = mixing_row(number)
        columns, after = mix([state[4 * part + kind] for part in range(4)], *(forged.cell(MIXING, row, name) for name in ("first", "second")))
        for part, value in enumerate(after):
            state[4 * part + kind] = value
        turned = number % 8 >= 4
        cells = {f"diagonal_{kind}": 0, f"column_{kind}": 1, "round": number // 8 + pow(2, -1, P)} if turned else {}
        forged.write(MIXING, row, **columns, **cells)
    for part in range(8):
        output(forged, part, state[part], state[8 + part])
    assert buses_of(forged) == WIRE


def test_i2_another_schedule() -> None:
    """Two words of the message change places in the third round."""
    schedule = [list(words) for words in MESSAGE_SCHEDULE]
    schedule[2][3], schedule[2][8] = schedule[2][8], schedule[2][3]
    forged = compressions()
    again(forged, schedule=schedule)
    assert buses_of(forged) == WIRE


def test_i2_every_round_with_the_words_in_order() -> None:
    forged = compressions()
    again(forged, schedule=[range(16)] * 7)
    assert buses_of(forged) == WIRE


@pytest.mark.parametrize("number", [0, 21, 55])
def test_i2_a_mixing_of_another_call(number: int) -> None:
    """Two calls exchange a mixing."""
    forged = compressions()
    times = [time_of(forged, call) for call in range(COUNT)]
    for call in range(COUNT):
        forged.write(MIXING, mixing_row(number, call), t=times[1 - call])
    assert buses_of(forged) == WIRE


def test_i2_the_output_of_another_compression() -> None:
    """Each call writes what the other one's words are compressed to."""
    forged = compressions()
    ends = [[word_at(forged, WORDS, words_row(part, call), stem) for stem in ("upper", "lower") for part in range(8)] for call in range(COUNT)]
    for call in range(COUNT):
        for part in range(8):
            output(forged, part, ends[1 - call][part], ends[1 - call][8 + part], call)
    assert buses_of(forged) == WIRE


def test_i2_a_mixing_as_another() -> None:
    """A row says that it mixes another column: two others' words are left over."""
    forged = compressions()
    row = mixing_row(1)
    forged.write(MIXING, row, **{FLAGS[1]: 0, FLAGS[2]: 1})
    assert buses_of(forged) == WIRE


def test_i2_all_mixings_left_out() -> None:
    forged = compressions()
    for number in range(MIXINGS):
        forged.erase(MIXING, mixing_row(number))
    assert buses_of(forged) == WIRE


# --- I3: words in memory -----------------------------------------------------------------------------------------------------------


def i3_another_constant() -> Forged:
    forged = compressions()
    forged.add(WORDS, words_row(2), last=1)
    again(forged)
    return forged, f"{WORDS}: last is the part's constant"


def i3_another_output(k: int) -> Callable[[], Forged]:
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


def i3_padding_that_changes_a_word(name: str, stem: str) -> Callable[[], Forged]:
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


def test_i3_a_part_left_out_or_twice() -> None:
    for twice in (False, True):
        forged = compressions()
        row = words_row(3)
        if twice:
            forged.copy_row(WORDS, row)
        else:
            forged.erase(WORDS, row)
        assert {"bus blake3 path", "bus blake3 wire", "bus memory"} <= buses_of(forged)


def test_i3_parts_exchanged() -> None:
    """Each of two rows says that it is the other one: their words are then at the other's addresses."""
    forged = compressions()
    for part, other in ((1, 2), (2, 1)):
        forged.write(WORDS, words_row(part), **{f"part_{part}": 0, f"part_{other}": 1})
    assert {"bus blake3 wire", "bus memory"} <= buses_of(forged)


def test_i3_an_output_that_is_no_word() -> None:
    """Bytes that carry into each other, with the same word: the wire does not see it, the table of bytes does."""
    forged = compressions()
    row = words_row(6)
    forged.add(WORDS, row, upper_0=256, upper_1=-1)
    assert {where for where in forged.refusals() if where.startswith(WORDS)} == {f"{WORDS}: output: bytes 0", f"{WORDS}: output: bytes 1"}


def test_i3_an_output_from_2_32_on() -> None:
    forged = compressions()
    row = words_row(6)
    upper, lower = (word_at(forged, WORDS, row, stem) for stem in ("upper", "lower"))
    both = parts("both", upper & lower)
    both["both_3"] -= 128
    output(forged, 6, upper, lower, both=both)
    assert forged.refusals() == {f"{WORDS}: output: bytes 3"}


def test_i3_words_at_another_address() -> None:
    """The rows of a call access the other call's words."""
    forged = compressions()
    for part in range(8):
        forged.add(WORDS, words_row(part), address=STRIDE)
    assert {"bus blake3 path", "bus memory"} == buses_of(forged)


def test_i3_a_word_from_before_or_after() -> None:
    """The message's word of another time, with everything that follows from it."""
    forged = compressions()
    forged.add(WORDS, words_row(4), first=1)
    again(forged)
    assert buses_of(forged) == {"bus memory"}


# --- I4: calls ---------------------------------------------------------------------------------------------------------------------


def i4_padding_that_returns() -> Forged:
    """A row without a call leaves 0 in a0, where an exit code was: it may not change it."""
    run = honest(exit_code=7)
    forged = forgery(run, exit_code=0)
    time = int(run.ecalls["t_a0"][-1])
    forged.spread(REGISTER_BASE + 10, time, 0)
    forged.write(CALL, padding_row(forged, CALL), t=time, a0=7, t_a0=time, t_a7=time)
    return forged, f"{CALL}: a0 keeps its value unless live"


def test_i4_a_call_without_rows_and_rows_without_a_call() -> None:
    forged = compressions()
    for part in range(8):
        forged.erase(WORDS, words_row(part))
    for number in range(MIXINGS):
        forged.erase(MIXING, mixing_row(number))
    assert {"bus blake3 path", "bus memory"} == buses_of(forged)
    forged = compressions()
    forged.erase(CALL, 0)
    assert {"bus blake3 path", "bus state"} <= buses_of(forged)


def test_i4_words_in_the_place_of_registers() -> None:
    """An address from which the last words would be those of registers, or one that is no multiple of 4."""
    for address in (TWO_32 - 16, DATA + 2, DATA + 1):
        forged = compressions()
        last = address + STRIDE - 4
        forged.write(CALL, 0, a0=address, address_low=last % (1 << 16) // 4)
        assert f"{CALL}: address: high limb" in forged.refusals()


MIXING_LIES: tuple[Callable[[], Forged], ...] = (
    *(i1_a_sum(name, line) for name, line in SUMS.items()),
    *(i1_a_conjunction(name, k) for name in EXCLUSIVE for k in range(4)),
    i1_another_nibble,
    i1_another_split_by_seven,
    *map(i1_padding_that_changes, "abcd"),
)
WORD_LIES: tuple[Callable[[], Forged], ...] = (
    i3_another_constant,
    *map(i3_another_output, range(4)),
    i3_padding_that_changes_a_word("chaining", "upper"),
    i3_padding_that_changes_a_word("last", "lower"),
    i3_padding_that_writes,
)
FORGERIES = (*MIXING_LIES, *WORD_LIES, i4_padding_that_returns)
PROVEN = (MIXING_LIES[1], i1_another_nibble, WORD_LIES[1])
"""Proven in every run of the tests; all of them in the slow tests."""


def name_of(make: Callable[[], Forged]) -> str:
    return make.__name__


@pytest.mark.parametrize("make", FORGERIES, ids=name_of)
def test_one_line_refuses(make: Callable[[], Forged]) -> None:
    refused_by(*make())


@pytest.mark.parametrize("make", PROVEN, ids=name_of)
def test_without_the_line_the_verifier_accepts(make: Callable[[], Forged], monkeypatch: pytest.MonkeyPatch) -> None:
    accepted_without(*make(), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("make", [make for make in FORGERIES if make not in PROVEN], ids=name_of)
def test_without_the_line_the_verifier_accepts_every_one(make: Callable[[], Forged], monkeypatch: pytest.MonkeyPatch) -> None:
    accepted_without(*make(), monkeypatch)
