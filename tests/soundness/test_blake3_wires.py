"""I2: attacks on the wires of BLAKE3 calls; and attacks on their mixings, words and calls that several lines refuse."""

from __future__ import annotations

import pytest

from tests.forge import Forgery
from tests.soundness.blake3_forging import (
    CALL,
    COUNT,
    MIXING,
    STRIDE,
    TWO_32,
    WORDS,
    again,
    compressions,
    mix,
    mixing_row,
    output,
    parts,
    time_of,
    word_at,
    words_row,
)
from tests.soundness.test_blake3_forgeries import SUMS
from zkvm.riscv.chips.blake3.mixing import FLAGS, MIXINGS
from zkvm.riscv.vm.assemble import DATA
from zkvm.stark.crypto.compression import MESSAGE_SCHEDULE
from zkvm.stark.field.goldilocks import P

WIRE = {"bus blake3 wire"}


def buses_of(forged: Forgery) -> set[str]:
    """What refuses the tables, buses without their tuples."""
    return {where.partition(":")[0] if where.startswith("bus") else where for where in forged.refusals()}


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
        columns, after = mix([state[slot] for slot in slots], message[2 * kind], message[2 * kind + 1])
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
        first, second = (forged.cell(MIXING, row, name) for name in ("first", "second"))
        columns, after = mix([state[4 * part + kind] for part in range(4)], first, second)
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
    ends = [
        [word_at(forged, WORDS, words_row(part, call), stem) for stem in ("upper", "lower") for part in range(8)] for call in range(COUNT)
    ]
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


# --- mixings, words and calls -------------------------------------------------------------------------------------------------------


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
