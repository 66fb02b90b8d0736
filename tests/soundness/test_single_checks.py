"""Each forgery here is consistent but for one line of one chip: that line refuses it, and the machine without the line accepts it.

So no other line does the same work, and the attack is a real one. Where two lines refuse (a misaligned address has no word on the
memory bus either, a run without an exit breaks the buses of states and of memory) there is no such forgery, and ``test_forgeries.py`` names
both.
"""

from __future__ import annotations

from tests.forge import Forgery, forgery
from tests.riscv.chips.call_rows import products_at
from tests.sample import long_run, sample_run
from tests.soundness.proven import CHOSEN, verdict
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused
from zkvm.errors import RejectReason
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.machine import machine
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.prover.preprocessed import commit_preprocessed

TWO_16, TWO_32 = 1 << 16, 1 << 32
ZERO, T1, A2, A4, A7, SINK = (opcodes.REGISTER_BASE + number for number in (0, 6, 12, 14, 17, 32))
NOBODY_WROTE = 12345


def run_of(*items: Item) -> Forgery:
    """The honest tables of a small program that ends with exit code 0."""
    return forgery(execute(assemble([*items, ("li", "a0", 0), *EXIT], data=bytes(16))))


def result(forged: Forgery, chip: str, row: int, value: int) -> None:
    """Write another result, and let everybody read it."""
    forged.spread(forged.cell(chip, row, "rd"), forged.cell(chip, row, "t") + opcodes.TIME_STEP - 1, value)
    limb = {"vd_low": value % TWO_16} if "vd_low" in forged.tables[chip].chip.main else {}
    forged.write(chip, row, vd=value, **limb)


def constant(forged: Forgery, register: int, value: int) -> None:
    """The program loads another constant into a register (the first ``li`` of it), and everybody reads that."""
    row = forged.row("add_immediate", rd=register)
    forged.program(forged.cell("add_immediate", row, "pc"), imm=value)
    forged.write("add_immediate", row, imm=value)
    result(forged, "add_immediate", row, value)


def load_from(forged: Forgery, address: int, previous: int, value: int) -> int:
    """The first load of a word reads ``value``, written at ``previous``, from another address; returns the time of the access."""
    row = forged.row("load_word", real=1)
    base, carry, time, before = (forged.cell("load_word", row, name) for name in ("v1", "carry", "t", "tm"))
    own = base + forged.cell("load_word", row, "imm") - TWO_32 * carry
    forged.follow(own, time + 2, before)
    imm = (address - base) % TWO_32
    forged.program(forged.cell("load_word", row, "pc"), imm=imm)
    forged.write("load_word", row, imm=imm, carry=(base + imm - address) // TWO_32, address_low=address % TWO_16 // 4, tm=previous)
    result(forged, "load_word", row, value)
    return time + 2


def load_of_nothing(forged: Forgery) -> tuple[int, int]:
    """Take the first load of a word out of its path and let it read what nobody wrote: its address, and the time of its access."""
    row = forged.row("load_word", real=1)
    base, time = forged.cell("load_word", row, "v1"), forged.cell("load_word", row, "t")
    address = base + forged.cell("load_word", row, "imm") - TWO_32 * forged.cell("load_word", row, "carry")
    forged.follow(address, time + 2, forged.cell("load_word", row, "tm"))
    forged.write("load_word", row, tm=time - 3)
    result(forged, "load_word", row, NOBODY_WROTE)
    return address, time + 2


# --- A: instructions -----------------------------------------------------------------------------------------------------------------


def a2_limb() -> Forged:
    forged = forgery(sample_run())
    row = forged.row("add", v1=0xFFFF_FFFF, v2=0xFFFF_FFFF, rd=A2, add=1)
    forged.pass_on(A2, forged.cell("add", row, "t") + 3, 0xFFFF_FFFE + TWO_32)
    forged.write("add", row, vd=0xFFFF_FFFE + TWO_32, vd_low=0xFFFE)
    return forged, "add: result: high limb"


def a3_alias() -> Forged:
    forged = forgery(sample_run())
    row = forged.row("multiply", v1=77, v2=0, low=1)
    result(forged, "multiply", row, 1)  # 0 + p = 2^32 (2^32 - 1) + 1
    forged.write("multiply", row, other=TWO_32 - 1, other_low=0xFFFF)
    return forged, "multiply: other is not 2^32 - 1 if high"


def a4_by_zero() -> Forged:
    forged = forgery(sample_run())
    row = forged.row("divide", divide=1, unsigned=1, remainder=0, v2=0)
    result(forged, "divide", row, 0)
    forged.write("divide", row, q=0, q_low=0, magnitude_q=0)
    return forged, "divide: by_zero has quotient 2^32 - 1"


def stored_byte() -> tuple[Forgery, int, int]:
    """A run whose only store puts a byte beside others: its tables, and address and time of the access."""
    forged = run_of(("la", "s0", "data"), ("li", "t0", 0x1234), ("sb", "t0", "s0", 5))
    return forged, forged.cell("store_part", 0, "v1") + 4, forged.cell("store_part", 0, "t") + 2


def a5_neighbour() -> Forged:
    """A store of byte 1 changes byte 2 as well."""
    forged, address, time = stored_byte()
    forged.add("store_part", 0, new=7 << 16)
    forged.pass_on(address, time, forged.cell("store_part", 0, "new"))
    return forged, "store_part: only the part changes"


def a5_bytes() -> Forged:
    """The same through bytes that are no bytes: byte 0 + 256 and byte 1 - 1 are the same old word, and byte 1 is replaced."""
    forged, address, time = stored_byte()
    forged.add("store_part", 0, byte_0=256, byte_1=-1, new=256)
    forged.pass_on(address, time, forged.cell("store_part", 0, "new"))
    return forged, "store_part: byte: bytes 0 and 1"


def a5_stored_byte() -> Forged:
    """The stored byte is 0x134: one more than fits, taken from the byte above."""
    forged, address, time = stored_byte()
    forged.add("store_part", 0, low_0=256, low_1=-1, new=256 << 8)
    forged.pass_on(address, time, forged.cell("store_part", 0, "new"))
    return forged, "store_part: low bytes of v2"


def a7_taken() -> Forged:
    """The run of a program with equal operands is told as one of different operands."""
    forged = run_of(("li", "t0", 5), ("li", "t1", 5), ("beq", "t0", "t1", 8), ("li", "s3", 1))
    constant(forged, T1, 6)
    return forged, "branch_equal: equal operands do not differ"


def a7_not_taken() -> Forged:
    forged = run_of(("li", "t0", 5), ("li", "t1", 6), ("beq", "t0", "t1", 8), ("li", "s3", 1))
    constant(forged, T1, 5)
    return forged, "branch_equal: operands that are not equal differ"


def a7_less() -> Forged:
    forged = run_of(("li", "t0", 5), ("li", "t1", 6), ("bltu", "t0", "t1", 8), ("li", "s3", 1))
    constant(forged, T1, 4)
    forged.write("branch_less", 0, difference_low=1)
    return forged, "branch_less: difference: high limb"


def a8_x0() -> Forged:
    """``addi zero, t1, 0`` writes x0, and the next ``li`` adds that: a 94 for a 93, which ends the run as well."""
    items: list[Item] = [("li", "a0", 0), ("li", "t1", 1), ("addi", "zero", "t1", 0), *EXIT]
    forged = forgery(execute(assemble(items)))
    row = forged.row("add_immediate", rd=SINK)
    time = forged.cell("add_immediate", row, "t") + 3
    before = max(forged.cell("add_immediate", k, "t") for k in range(row) if forged.cell("add_immediate", k, "rs1") == ZERO)
    forged.pass_on(SINK, time, forged.cell("add_immediate", row, "vd_prev"))
    forged.follow(SINK, time, forged.cell("add_immediate", row, "td"))
    forged.follow(ZERO, before, time)
    forged.write("add_immediate", row, rd=ZERO, td=before)
    forged.spread(ZERO, time, 1)
    result(forged, "add_immediate", forged.row("add_immediate", rd=A7), 94)
    forged.write("ecall", 0, **products_at(94))
    return forged, "add_immediate: instruction"


def a10_immediate() -> Forged:
    forged = forgery(sample_run())
    row = forged.row("add_immediate", rd=A4)
    forged.add("add_immediate", row, imm=1)
    result(forged, "add_immediate", row, forged.cell("add_immediate", row, "vd") + 1)
    return forged, "add_immediate: instruction"


def a10_operation() -> Forged:
    forged = forgery(sample_run())
    row = forged.row("add", add=1, rd=A2)
    forged.write("add", row, add=0, sub=1)
    result(forged, "add", row, (forged.cell("add", row, "v1") - forged.cell("add", row, "v2")) % TWO_32)
    return forged, "add: instruction"


def a12_left_out() -> Forged:
    """A row of a read is left out, and its word keeps what it held."""
    forged = forgery(sample_run())
    for row in range(forged.tables["read_rows"].used):
        address, time = (forged.cell("read_rows", row, name) for name in ("address", "t"))
        address -= forged.cell("read_rows", row, "offset")
        if forged.consumer(address, time + 1)[0] in ("ram_image", "zero_init"):
            old = sum(forged.cell("read_rows", row, f"old_{k}") << 8 * k for k in range(4))
            forged.pass_on(address, time + 1, old)
            forged.follow(address, time + 1, forged.cell("read_rows", row, "tm"))
            forged.erase("read_rows", row)
            return forged, "bus chain"
    raise AssertionError("every word is used again")


# --- B: memory and buses -------------------------------------------------------------------------------------------------------------


def b2_circle() -> Forged:
    """A load reads what a refresh produced, and the refresh goes back in time to consume what the load produced."""
    forged = forgery(long_run())
    address, time = load_of_nothing(forged)
    row = forged.free_row("refresh")
    forged.write("refresh", row, address=address, value=NOBODY_WROTE, t_prev=time, time=time - 5, gap_low=-6 % TWO_16, real=1)
    return forged, "refresh: gap high limb"


def b3_word_behind_a_gap() -> Forged:
    """A load of 0 from the word where a gap ends: the gap's closing row would take the word back."""
    forged = forgery(sample_run())
    close = forged.row("zero_init", close=1)
    time = load_from(forged, 4 * forged.cell("zero_init", close, "word"), 0, 0)
    forged.write("zero_init", close, last_time=time)
    return forged, "zero_init: only a word has a last time"


def b3_word_of_padding() -> Forged:
    """A load of 0 from address 0, which the padding of the memory's image opens."""
    forged = forgery(sample_run())
    row = forged.free_row("ram_image")
    forged.write("ram_image", row, last_time=load_from(forged, 0, 0, 0))
    return forged, "ram_image: padding has no last time"


def b3_word_twice() -> Forged:
    forged = forgery(sample_run())
    row = forged.row("zero_init", real=1)
    again = forged.copy_row("zero_init", row)
    forged.write("zero_init", again, previous=forged.cell("zero_init", row, "word"), last=0, last_time=0, step_low=0xFFFF)
    return forged, "zero_init: step high limb"


def b4_padding_goes_back_in_time() -> Forged:
    """A padding row is the other half of a circle: it would produce what a load consumes before the load produces it."""
    forged = forgery(sample_run())
    address, time = load_of_nothing(forged)
    row = forged.free_row("add")
    forged.write("add", row, rs1=address, v1=NOBODY_WROTE, t1=time, t=time - 5, t2=time - 5, td=time - 5)
    return forged, "add: rs1 keeps its time unless live"


def b4_padding_writes() -> Forged:
    """A padding row of the store chip changes a word, at the time of its last write."""
    forged = run_of(("la", "s0", "data"), ("sw", "s0", "s0", 8), ("lw", "t0", "s0", 8))
    address, time = forged.cell("store_word", 0, "v1") + 8, forged.cell("store_word", 0, "t") + 2
    row = forged.free_row("store_word")
    old = forged.cell("store_word", 0, "v2")
    forged.write("store_word", row, t=time, t1=time, t2=time, tm=time, v1=address, v2=NOBODY_WROTE, old=old)
    result(forged, "load_word", 0, NOBODY_WROTE)
    forged.pass_on(address, forged.cell("load_word", 0, "t") + 2, NOBODY_WROTE)
    return forged, "store_word: memory keeps its value unless live"


def b5_register_as_memory() -> Forged:
    """A load from a2's place on the memory bus, 2^32 + 12: below 2^32 it is not."""
    forged = run_of(("la", "s0", "data"), ("li", "a2", 7), ("lw", "t0", "s0", 8))
    written = forged.cell("add_immediate", forged.row("add_immediate", rd=A2), "t") + 3
    chip, row, _ = forged.consumer(A2, written)
    assert chip == "ram_image"
    base = forged.cell("load_word", 0, "v1")
    time = load_from(forged, A2, written, 7)
    assert base + forged.cell("load_word", 0, "imm") == A2
    forged.write("ram_image", row, last_time=time)
    return forged, "load_word: address: high limb"


def b6_another_view() -> Forged:
    forged = forgery(sample_run())
    forged.add("load_word", forged.row("load_word", real=1), address_low=1 << 14)
    return forged, "load_word: address: bits 2 to 15"


# --- E: the statement ----------------------------------------------------------------------------------------------------------------


def e3_another_call() -> Forged:
    """The run of a program that exits is told as one of a program that writes, which would go on."""
    forged = run_of(("li", "t0", 1))
    constant(forged, A7, calls.WRITE.number)
    forged.write("ecall", 0, **products_at(calls.WRITE.number))
    return forged, "ecall: exit has number 93 or 94"


def e3_another_code() -> Forged:
    """A program that exits with 0 leaves the state of one that exits with 3, and the verifier is told so."""
    forged = forgery(execute(assemble([("li", "a0", 0), *EXIT])), exit_code=3)
    forged.write("ecall", 0, next_pc=opcodes.LAST_PC + 3)
    return forged, "ecall: next pc"


FORGERIES: tuple[Attack, ...] = (
    a2_limb, a3_alias, a4_by_zero, a5_neighbour, a5_bytes, a5_stored_byte, a7_taken, a7_not_taken, a7_less, a8_x0, a10_immediate,
    a10_operation, b2_circle, b3_word_behind_a_gap, b3_word_of_padding, b3_word_twice, b4_padding_goes_back_in_time, b4_padding_writes,
    b5_register_as_memory, b6_another_view, e3_another_call, e3_another_code,
)  # fmt: skip
PROVEN = (b3_word_behind_a_gap, b5_register_as_memory)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


def test_a12_left_out() -> None:
    """No line of a chip: the chain's bus is what refuses."""
    forged, bus = a12_left_out()
    assert forged.refusals() == {bus}


# --- constant tables -----------------------------------------------------------------------------------------------------------------


def b7_other_table() -> Forgery:
    """One entry of the table of conjunctions is wrong, one ``and`` makes use of it, and nothing in the tables objects."""
    forged = run_of(("li", "t0", 0xA5), ("li", "t1", 0x3C), ("and", "t2", "t0", "t1"))
    assert forged.refusals() == set()  # all multiplicities are counted
    value = (0xA5 & 0x3C) ^ 1
    forged["range.and_0"][0xA5 + 256 * 0x3C] = value
    forged.write("bitwise", 0, z0=value)
    result(forged, "bitwise", 0, value)
    return forged


def test_b7_other_table() -> None:
    """The verifier's root of the constant tables is what refuses them: with a root of its own the prover is believed."""
    forged = b7_other_table()
    assert forged.refusals(recount=False) == set()
    columns = preprocess(machine(), forged.image)
    columns["range"] = forged.tables["range"].pre
    own = commit_preprocessed(machine(), columns, CHOSEN.blowup)
    assert verdict(forged, tables=own) is RejectReason.MERKLE
    assert verdict(forged, tables=own, believed=True) is None
