"""Known attacks on zkVMs, by class, against this machine: consistent forgeries, and the one line that refuses each.

The classes: A instructions, B memory and buses, E the statement. A forged result is passed on to its consumer, so that the
buses stay balanced and only the instruction's own constraints can object; ``refusals`` names everything that objects.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.forge import Forgery, forgery
from tests.sample import long_run, sample_run
from zkvm.riscv.isa import opcodes
from zkvm.stark.field.goldilocks import P

A0, A2, SINK = opcodes.REGISTER_BASE + 10, opcodes.REGISTER_BASE + 12, opcodes.SINK
TWO_32 = 1 << 32


@pytest.fixture
def forged() -> Forgery:
    return forgery(sample_run())


def result(forged: Forgery, chip: str, row: int, value: int) -> None:
    """Write another result, its limb, and tell whoever writes the register next."""
    limb = {"vd_low": value % P % (1 << 16)} if "vd_low" in forged.tables[chip].chip.main else {}
    forged.pass_on(forged.cell(chip, row, "rd"), forged.cell(chip, row, "t") + 3, value)
    forged.write(chip, row, vd=value, **limb)


def test_honest(forged: Forgery) -> None:
    assert forged.refusals() == set()
    assert forged.refusals(recount=False) == set()


# --- A: instructions ---------------------------------------------------------------------------------------------------------------


def test_a1_one_of_two_equal_operands(forged: Forgery) -> None:
    row = forged.row("add", rs1=A0, rs2=A0, rd=A0, v1=77)
    forged.add("add", row, v2=1)
    result(forged, "add", row, 155)
    assert forged.refusals() == {"bus memory"}


@pytest.mark.parametrize("value", [0xFFFF_FFFE + TWO_32, 0xFFFF_FFFE - TWO_32])
def test_a2_result_outside_32_bits(forged: Forgery, value: int) -> None:
    row = forged.row("add", v1=0xFFFF_FFFF, v2=0xFFFF_FFFF, rd=A2, add=1)
    result(forged, "add", row, value)
    forged.write("add", row, vd_low=0xFFFE)
    assert "add: result: high limb" in forged.refusals()
    assert "bus memory" not in forged.refusals()


def test_a2_limbs_that_carry_into_each_other(forged: Forgery) -> None:
    row = forged.row("add", vd=0xFFFF_FFFE)
    forged.add("add", row, vd_low=1 << 16)
    assert forged.refusals() == {"add: result: low limb"}


def test_a3_product_plus_p(forged: Forgery) -> None:
    row = forged.row("multiply", v1=77, v2=0, low=1)
    result(forged, "multiply", row, 1)  # 0 + p = 2^32 (2^32 - 1) + 1
    forged.write("multiply", row, other=TWO_32 - 1, other_low=0xFFFF)
    assert forged.refusals() == {"multiply: other is not 2^32 - 1 if high"}
    forged = forgery(sample_run())
    row = forged.row("multiply", v1=77, v2=0, high=1)
    result(forged, "multiply", row, TWO_32 - 1)
    forged.write("multiply", row, other=1, other_low=1)
    assert forged.refusals() == {"multiply: vd is not 2^32 - 1 if high"}


def test_a4_remainder_as_large_as_the_divisor(forged: Forgery) -> None:
    row = forged.row("divide", divide=1, unsigned=1, remainder=0, v2=37)
    q, r = forged.cell("divide", row, "q") - 1, forged.cell("divide", row, "r") + 37
    result(forged, "divide", row, q)
    forged.write("divide", row, q=q, q_low=q % (1 << 16), r=r, r_low=r, magnitude_q=q, gap=36 - r, gap_low=(36 - r) % P % (1 << 16))
    assert forged.refusals() == {"divide: gap: high limb"}


def test_a4_quotient_by_zero(forged: Forgery) -> None:
    row = forged.row("divide", divide=1, unsigned=1, remainder=0, v2=0)
    result(forged, "divide", row, 0)
    forged.write("divide", row, q=0, q_low=0, magnitude_q=0)
    assert "divide: by_zero has quotient 2^32 - 1" in forged.refusals()
    assert "bus memory" not in forged.refusals()


@pytest.mark.parametrize("chip", ["load_word", "store_word"])
def test_a5_misaligned_word(forged: Forgery, chip: str) -> None:
    """The program says imm + 1, and the prover would like to access the aligned word all the same."""
    program = forged.image.program.copy()
    row = forged.row(chip, real=1)
    program["imm"][program["pc"] == forged.cell(chip, row, "pc")] += 1
    forged.image = dataclasses.replace(forged.image, program=program)
    forged.tables["program"].pre[5, : len(program)] = program["imm"]
    forged.add(chip, row, imm=1)
    address = forged.cell(chip, row, "v1") + forged.cell(chip, row, "imm") - TWO_32 * forged.cell(chip, row, "carry")
    assert forged.refusals() == {f"{chip}: address: high limb", "bus memory"}
    low = (address - (address >> 16 << 16)) * pow(4, -1, P)
    forged.write(chip, row, address_low=low)
    assert forged.refusals() == {f"{chip}: address: bits 2 to 15", "bus memory"}


def test_a5_address_minus_2_32(forged: Forgery) -> None:
    row = forged.row("load_word", real=1)
    forged.add("load_word", row, carry=1)
    assert forged.refusals() == {"load_word: address: high limb", "bus memory"}


def test_a5_offset_that_does_not_match_the_address(forged: Forgery) -> None:
    row = forged.row("load_part", byte_at_0=1, unsigned=1, in_ram=1)
    value = forged.cell("load_part", row, "byte_1")
    result(forged, "load_part", row, value)
    forged.write("load_part", row, byte_at_0=0, byte_at_1=1, sign=value >> 7, rest=value & 127)
    assert forged.refusals() == {"load_part: address: high limb", "bus memory"}


def test_a5_sign_of_a_byte(forged: Forgery) -> None:
    row = forged.row("load_part", byte_at_0=1, unsigned=0, sign=1)
    top = forged.cell("load_part", row, "byte_0")
    result(forged, "load_part", row, top)
    forged.write("load_part", row, sign=0, rest=top)
    assert forged.refusals() == {"load_part: rest of the top byte"}
    forged.write("load_part", row, rest=top - 128)
    assert forged.refusals() == {"load_part: top byte is sign and rest"}


def test_a5_store_changes_a_neighbour(forged: Forgery) -> None:
    row = forged.row("store_part", byte_at_1=1)
    new = forged.cell("store_part", row, "new") ^ 0xFF
    forged.write("store_part", row, new=new)
    assert forged.refusals() == {"store_part: only the part changes", "bus memory"}
    # The same through bytes that are no bytes: byte 0 + 256, byte 1 - 1 is the same old word, and byte 1 is replaced.
    forged = forgery(sample_run())
    forged.add("store_part", row, byte_0=256, byte_1=-1, new=256)
    assert forged.refusals() == {"store_part: byte: bytes 0 and 1", "bus memory"}


def test_a5_store_of_a_byte_that_is_no_byte(forged: Forgery) -> None:
    row = forged.row("store_part", byte_at_0=1)
    forged.add("store_part", row, low_0=-256, low_1=1, new=-256)
    assert forged.refusals() == {"store_part: low bytes of v2", "bus memory"}


def test_a6_shift_by_more_than_31(forged: Forgery) -> None:
    row = forged.row("divide", left=1, v2=37)
    forged.add("divide", row, amount=32, gap=-1, gap_low=-1)
    assert "divide: factor of a shift" in forged.refusals()
    assert "bus memory" not in forged.refusals()


def test_a7_comparison_flipped(forged: Forgery) -> None:
    row = forged.row("compare", immediate=0, unsigned=1, v1=5)
    result(forged, "compare", row, 1 - forged.cell("compare", row, "vd"))
    assert forged.refusals() == {"compare: difference: high limb"}


def test_a7_branch_taken_the_wrong_way(forged: Forgery) -> None:
    row = forged.row("branch_equal", if_equal=1, equal=0)
    target, pc = forged.cell("branch_equal", row, "target"), forged.cell("branch_equal", row, "pc")
    assert target != pc + 4
    forged.write("branch_equal", row, equal=1, next_pc=target)
    assert forged.refusals() >= {"branch_equal: equal operands do not differ", "bus state"}
    forged.write("branch_equal", row, equal=0)
    assert forged.refusals() == {"branch_equal: next pc", "bus state"}


def test_a8_write_to_x0(forged: Forgery) -> None:
    row = forged.row("add_immediate", rd=SINK)
    forged.write("add_immediate", row, rd=opcodes.REGISTER_BASE)
    assert forged.refusals() == {"add_immediate: instruction", "bus memory"}


def test_a9_jump_to_an_odd_address(forged: Forgery) -> None:
    row = forged.row("jump_register", low_bit=1)
    forged.write("jump_register", row, low_bit=0)
    assert forged.refusals() == {"bus state"}
    target = forged.cell("jump_register", row, "t") + 4
    follower = forged.row("jump", t=target)
    forged.add("jump", follower, pc=1)
    assert forged.refusals() == {"jump: instruction", "bus memory"}  # its link value is pc + 4


@pytest.mark.parametrize("field", ["rs1", "rd", "imm"])
def test_a10_another_field(forged: Forgery, field: str) -> None:
    row = forged.row("add_immediate", real=1)
    forged.add("add_immediate", row, **{field: 1})
    assert "add_immediate: instruction" in forged.refusals()


def test_a10_flags(forged: Forgery) -> None:
    row = forged.row("add", add=1)
    forged.write("add", row, sub=1)
    assert {"add: at most one operation", "add: instruction"} <= forged.refusals()
    forged.write("add", row, add=0, sub=1)
    assert "add: instruction" in forged.refusals()
    forged.write("add", row, add=0, sub=0)
    assert {"add: rd keeps its time unless live", "bus state"} <= forged.refusals()
    forged.write("add", row, add=2, sub=P - 1)
    assert {"add: add is boolean", "add: sub is boolean"} <= forged.refusals()


# --- B: memory and buses -----------------------------------------------------------------------------------------------------------


def test_b1_value_never_written(forged: Forgery) -> None:
    row = forged.row("load_word", real=1)
    forged.pass_on(forged.cell("load_word", row, "rd"), forged.cell("load_word", row, "t") + 3, 12345)
    forged.write("load_word", row, vd=12345)
    assert forged.refusals() == {"bus memory"}


def test_b2_times_that_are_not_earlier(forged: Forgery) -> None:
    row = forged.row("add", add=1)
    now = forged.cell("add", row, "t")
    for time in (now, now + 1, now + 40, now - (1 << 16) - 1, (now - 1) * pow(2, -1, P), now + P - (1 << 40)):
        forged.write("add", row, t1=time)
        assert forged.refusals() == {"add: rs1 is later", "bus memory"}


def test_b2_two_reads_in_a_circle(forged: Forgery) -> None:
    """Two reads of one register exchange what they consume: the bus balances, and only the order of times objects."""
    add = forged.tables["add"]
    pairs = [(a, b) for a in range(add.used) for b in range(add.used) if forged.cell("add", b, "t1") == forged.cell("add", a, "t")]
    first, second = next((a, b) for a, b in pairs if forged.cell("add", a, "rs1") == forged.cell("add", b, "rs1"))
    forged.write("add", second, t1=forged.cell("add", first, "t1"))
    forged.write("add", first, t1=forged.cell("add", second, "t"))
    # The last access before them hands over to the second, the second to the first, the first to whoever came after the second.
    after = forged.cell("add", second, "t")
    consumer = [(chip, row) for chip, row in _consumers(forged, forged.cell("add", second, "rs1"), after) if (chip, row) != ("add", first)]
    assert forged.refusals() == {"add: rs1 is later", "bus memory"}
    for chip, row in consumer:
        forged.write(chip, row, t1=forged.cell("add", first, "t"))
    assert forged.refusals() == {"add: rs1 is later"}


def _consumers(forged: Forgery, register: int, time: int) -> list[tuple[str, int]]:
    found = []
    for name, table in forged.tables.items():
        if "rs1" in table.chip.main and "t1" in table.chip.main:
            match = (forged[f"{name}.rs1"] == np.uint64(register)) & (forged[f"{name}.t1"] == np.uint64(time))
            found += [(name, int(row)) for row in np.flatnonzero(match)]
    return found


def test_b2_refresh_backwards_or_too_far() -> None:
    forged = forgery(long_run())
    assert forged.refusals() == set()
    row = int(np.argmax(forged["refresh.time"] - forged["refresh.t_prev"]))
    time, previous = (forged.cell("refresh", row, name) for name in ("time", "t_prev"))
    assert time - previous - 1 >= 1 << 16
    forged.write("refresh", row, gap_low=time - previous - 1)
    assert forged.refusals() == {"refresh: gap low limb"}
    for other in (previous, previous - 5, previous + (1 << 32) + 1):
        forged.write("refresh", row, time=other, gap_low=(other - previous - 1) % P % (1 << 16))
        assert forged.refusals() == {"refresh: gap high limb", "bus memory"}


def test_b3_word_opened_twice(forged: Forgery) -> None:
    row = forged.row("zero_init", real=1)
    word = forged.cell("zero_init", row, "word")
    again = forged.copy_row("zero_init", row)
    assert forged.refusals() == {"bus zero list", "bus memory"}
    # As its own successor: the list balances, and so does the memory if nothing happens to the second word.
    forged.write("zero_init", again, previous=word, last=0, last_time=0, step_low=P - 1)
    assert forged.refusals() == {"zero_init: step low limb"}
    forged.write("zero_init", again, step_low=0xFFFF)
    assert forged.refusals() == {"zero_init: step high limb"}


def test_b3_words_outside_every_gap(forged: Forgery) -> None:
    """The word after a gap's end, linked before the closing row: the closing row would have to step back."""
    close = forged.row("zero_init", close=1)
    end, before = forged.cell("zero_init", close, "word"), forged.cell("zero_init", close, "previous")
    extra = forged.free_row("zero_init")
    forged.write("zero_init", extra, previous=before, word=end + 2, real=1, step_low=(end + 2 - before - 1) % (1 << 16))
    forged.write("zero_init", close, previous=end + 2, step_low=(P - 3) % (1 << 16))
    assert forged.refusals() == {"zero_init: step high limb"}


def test_b3_words_in_disorder_or_left_out(forged: Forgery) -> None:
    rows = [row for row in range(forged.tables["zero_init"].used) if forged.cell("zero_init", row, "real")]
    first, second = rows[:2]
    a, b, start = (forged.cell("zero_init", row, name) for row, name in ((first, "word"), (second, "word"), (first, "previous")))
    after = next(row for row in range(forged.tables["zero_init"].used) if forged.cell("zero_init", row, "previous") == b)
    forged.write("zero_init", second, previous=start, step_low=(b - start - 1) % (1 << 16))
    forged.write("zero_init", first, previous=b, step_low=(a - b - 1) % P % (1 << 16))
    end = forged.cell("zero_init", after, "word")
    forged.write("zero_init", after, previous=a, step_low=(end - a - 1) % (1 << 16))
    assert forged.refusals() == {"zero_init: step high limb"}
    forged.erase("zero_init", first)
    forged.erase("zero_init", second)
    forged.write("zero_init", after, previous=start, step_low=(end - start - 1) % (1 << 16))
    assert forged.refusals() == {"bus memory"}


def test_b3_closing_row_that_opens_a_word(forged: Forgery) -> None:
    close = forged.row("zero_init", close=1)
    forged.write("zero_init", close, real=1)
    assert forged.refusals() >= {"zero_init: kinds are exclusive"}
    forged.write("zero_init", close, real=0, last=7, last_time=9)
    assert forged.refusals() == {"zero_init: only a word has a last value", "zero_init: only a word has a last time", "bus memory"}


def test_b3_image_padding_speaks(forged: Forgery) -> None:
    row = forged.free_row("ram_image")
    forged.write("ram_image", row, last=5, last_time=6)
    assert forged.refusals() == {"ram_image: padding has no last value", "ram_image: padding has no last time", "bus memory"}


@pytest.mark.parametrize("count", [2, P - 1, (P + 1) // 2])
def test_b4_counts_that_are_not_boolean(forged: Forgery, count: int) -> None:
    for chip, flag in (("add_immediate", "real"), ("load_word", "real"), ("read_rows", "real"), ("jump", "real"), ("ecall", "exit")):
        forged.write(chip, forged.row(chip, **{flag: 1}), **{flag: count})
        assert f"{chip}: {flag} is boolean" in forged.refusals()


def test_b4_padding_rows_are_silent(forged: Forgery) -> None:
    """Copies of real rows with their flags taken away: every pair that would move something is refused."""
    for chip, flags in (("store_word", ["real"]), ("ecall", ["journal"]), ("ecall", ["exit"]), ("load_part", ["in_ram", "byte_at_0"])):
        forged = forgery(sample_run())
        source = forged.row(chip, **dict.fromkeys(flags, 1))
        row = forged.copy_row(chip, source)
        forged.write(chip, row, **dict.fromkeys(flags, 0))
        assert any("unless live" in label or "only" in label for label in forged.refusals())


def test_b5_register_as_memory(forged: Forgery) -> None:
    """A load whose address is a0's place on the memory bus: 2^32 + 10 is not below 2^32, whatever the carry."""
    row = forged.row("load_word", real=1)
    forged.write("load_word", row, v1=A0 - forged.cell("load_word", row, "imm"), carry=0, address_low=A0 % (1 << 16) // 4)
    assert "load_word: address: high limb" in forged.refusals()


def test_b6_multiplicities(forged: Forgery) -> None:
    for column, bus in (("range.sixteen_count_0", "range16"), ("range.bytes_count_2", "bytes"), ("program.multiplicity", "program")):
        forged[column][0] += np.uint64(1)
        assert forged.refusals(recount=False) == {f"bus {bus}"}
        forged[column][0] -= np.uint64(1)
    forged["rom.multiplicity_0"][3] += np.uint64(1)
    assert forged.refusals(recount=False) == {"bus rom"}


def test_b6_views_do_not_answer_for_each_other(forged: Forgery) -> None:
    """2^14 is no address limb although the 16-bit view has it."""
    row = forged.row("load_word", real=1)
    forged.add("load_word", row, address_low=1 << 14)
    assert forged.refusals() == {"load_word: address: bits 2 to 15"}


# --- multi-row calls ---------------------------------------------------------------------------------------------------------------


def test_a12_chain_row_left_out_or_repeated(forged: Forgery) -> None:
    forged.copy_row("read_rows", 1)
    assert forged.refusals() == {"bus chain", "bus memory"}
    forged = forgery(sample_run())
    forged.erase("read_rows", 1)
    assert forged.refusals() == {"bus chain", "bus memory"}
    forged = forgery(sample_run())
    forged.erase("write_rows", 0)
    assert forged.refusals() == {"bus chain", "bus journal", "bus memory"}


# --- E: the statement --------------------------------------------------------------------------------------------------------------


def test_e1_no_exit(forged: Forgery) -> None:
    forged.erase("ecall", forged.row("ecall", exit=1))
    assert forged.refusals() == {"bus state", "bus memory"}


def test_e2_two_exits(forged: Forgery) -> None:
    forged.copy_row("ecall", forged.row("ecall", exit=1))
    assert forged.refusals() == {"bus state", "bus memory"}


def test_e3_another_exit_code(forged: Forgery) -> None:
    assert forgery(sample_run(), exit_code=0).refusals() == {"bus state"}
    row = forged.row("ecall", exit=1)
    forged.write("ecall", row, a0=0, result=0, descriptor=0, next_pc=opcodes.LAST_PC)
    assert forged.refusals() == {"bus state", "bus memory"}


def test_e3_exit_by_another_call(forged: Forgery) -> None:
    forged.write("ecall", forged.row("ecall", exit=1), a7=64)
    assert "ecall: exit has number 93 or 94" in forged.refusals()


@pytest.mark.parametrize("change", ["longer", "shorter", "other", "empty"])
def test_e4_another_journal(change: str) -> None:
    journal = sample_run().journal
    told = {"longer": journal + b"\0", "shorter": journal[:-1], "other": journal[:-1] + bytes([journal[-1] ^ 1]), "empty": b""}[change]
    assert forgery(sample_run(), journal=told).refusals() == {"bus journal"}
