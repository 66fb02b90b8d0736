"""G19: lies about digested imports that one line refuses, each with the line that it breaks."""

from __future__ import annotations

from tests.forge import Forgery, forgery
from tests.soundness.absorb_forging import (
    BITS,
    BYTES,
    CALL,
    CAPACITY,
    HELD,
    ROWS,
    STEPS,
    TENSOR,
    absorb,
    absorb_all,
    call_row,
    digested,
    digesting,
    end,
    given,
    hold,
    lanes_of,
    limbs_of,
    multiplied,
    path_of,
    permute_all,
    place_of,
    put_vector,
    read,
    size,
    state_after,
    tell,
    tell_limbs,
)  # fmt: skip
from tests.soundness.single import Attack, Forged
from tests.soundness.tensor_forging import A0, A1, A2, A7, TWO_16, TWO_32, Program, apart, descriptor_word, id_of, padding_row
from zkvm.riscv.chips.common import SLOT_RD
from zkvm.riscv.isa import calls, opcodes
from zkvm.riscv.isa.opcodes import LAST_PC
from zkvm.riscv.isa.tensors import DIGEST_TAG, DIGESTED, EXPORT, IMPORT, LANES, RATE, Descriptor
from zkvm.riscv.vm.assemble import DATA, EXIT, RODATA, Item
from zkvm.stark.field.goldilocks import P

NINES = [9] * 8
NOBODY_WROTE = 77
REGISTERS = {"a0": A0, "a1": A1, "a2": A2, "a7": A7}
SHORT = {BYTES: "bytes", ROWS: "int16"}


def named(make: Attack, name: str) -> Attack:
    """The attack under this name."""
    make.__name__ = name
    return make


def nines(chip: str) -> list[int]:
    """What is read of a vector whose cells are NINES."""
    return [STEPS[chip] * cell for cell in NINES]


# --- G19: what rows hold -------------------------------------------------------------------------------------------------------------


def carried(forged: Forgery, lane: int) -> None:
    """A lane of the first row has what its bits do not hold, and the next one as much less: the element of both is what it was."""
    chip, row = path_of(forged)[0]
    values = lanes_of(forged, chip, row)
    for number, change in ((lane, 1 << BITS[chip]), (lane + 1, -1)):
        hold(forged, number // LANES, {number % LANES: values[number] + change})


def g19_no_bytes(first: int) -> Attack:
    """Other vectors with the same digest: every pair of lanes has one that is not the last of its element."""

    def make() -> Forged:
        forged = multiplied(1, 1)
        carried(forged, first + (first % HELD[BYTES] == HELD[BYTES] - 1))
        return forged, f"{BYTES}: lanes {first} and {first + 1} are bytes"

    return named(make, f"g19_no_bytes_{first}")


def g19_no_int16(lane: int) -> Attack:
    """Likewise; the last lane of an element has what the element then has more, and the digest is of that."""

    def make() -> Forged:
        forged = multiplied()
        if lane % HELD[ROWS] == HELD[ROWS] - 1:
            hold(forged, lane // LANES, {lane % LANES: 40_000})
            absorb_all(forged)
        else:
            carried(forged, lane)
        return forged, f"{ROWS}: lane {lane} is an int16"

    return named(make, f"g19_no_int16_{lane}")


def g19_less_than_no_row(chip: str) -> Attack:
    """A row takes vectors on from nowhere and serves them; one that counts -1 takes back its permutation, which is none, and its path."""

    def make() -> Forged:
        forged = digested(1, 1)
        first = place_of(forged, 4 if chip == BYTES else HELD[BYTES])
        assert first[0] == chip
        index = 4 if chip == BYTES else HELD[BYTES]
        ends = {"bytes_left": 1} if chip == BYTES else {}
        for real, step in ((1, 0), (-1, 1)):
            row = padding_row(forged, chip)
            left = {name: value - step for name, value in ends.items()} | {"left": 5 - step * (chip == ROWS)}
            forged.write(chip, row, real=real, tensor=TENSOR, index=index + step * HELD[chip], **left)
            for number in range(HELD[chip]):
                put_vector(forged, chip, row, number, NINES)
        read(forged, index, nines(chip))
        return forged, f"{chip}: real is boolean"

    return named(make, f"g19_less_than_no_row_of_{SHORT[chip]}")


def g19_padding_serves(chip: str, number: int) -> Attack:
    """A vector under a name that has one."""

    def make() -> Forged:
        forged = digested(1, 1)
        row, index = padding_row(forged, chip), 8
        forged.write(chip, row, tensor=TENSOR, index=index - number, **{f"multiplicity{number}": 1})
        put_vector(forged, chip, row, number, NINES)
        read(forged, index, nines(chip))
        return forged, f"{chip}: padding serves nothing for vector {number}"

    return named(make, f"g19_padding_of_{SHORT[chip]}_serves_vector_{number}")


def g19_padding_changes_the_capacity(chip: str, element: int) -> Attack:
    """A row of padding makes another state of the one that a call begins with, so that anything has a digest of other numbers of rows."""

    def make() -> Forged:
        forged = digested(1, 1) if chip == BYTES else digested(1, 0)
        start, first = [DIGEST_TAG, 1, int(chip == BYTES), 0], path_of(forged)[0]
        row, other = padding_row(forged, chip), list(start)
        other[element - RATE] += 7
        cells = {name: forged.cell(*first, name) for name in ("tensor", "left", "index", *(["bytes_left"] if chip == BYTES else []))}
        cells |= {f"before{k}": start[k - RATE] for k in CAPACITY} | {f"after{k}": other[k - RATE] for k in CAPACITY}
        forged.write(chip, row, **cells)
        absorb_all(forged, other)
        return forged, f"{chip}: padding keeps element {element}"

    return named(make, f"g19_padding_of_{SHORT[chip]}_changes_element_{element}")


def g19_another_permutation(chip: str) -> Attack:
    """Other vectors, and what came out of the permutation before; nobody asks for one."""

    def make() -> Forged:
        forged = digested(1, 1)
        _, row = next(place for place in path_of(forged) if place[0] == chip)
        hold(forged, forged.cell(chip, row, "index"), dict(enumerate(NINES)))
        permute_all(forged, [other for other in HELD if other != chip])
        return forged, f"{chip}: permutation"

    return named(make, f"g19_another_permutation_of_{SHORT[chip]}")


# --- G19: which digest ---------------------------------------------------------------------------------------------------------------

ANOTHER = [5, 6, 7, 1 << 40]
"""A digest of nothing."""


def unsaid(forged: Forgery) -> None:
    """The last row does not say the digest."""
    forged.write(*path_of(forged)[-1], final=0)


def g19_a_digest_of_fewer_rows() -> Forged:
    """A row before the last one says it, and what follows is not digested."""
    forged = digested(2, 1)
    chip, row = path_of(forged)[-2]
    unsaid(forged)
    forged.write(chip, row, final=1)
    tell(forged, state_after(forged, chip, row)[:4])
    return forged, f"{ROWS}: the last row has one left"


def g19_padding_says_a_digest() -> Forged:
    forged = digested(1, 1)
    unsaid(forged)
    row = padding_row(forged, ROWS)
    forged.write(ROWS, row, final=1, tensor=TENSOR, left=1, **{f"after{k}": word for k, word in enumerate(ANOTHER)})
    tell(forged, ANOTHER)
    return forged, f"{ROWS}: padding says no digest"


def g19_a_digest_that_nobody_says() -> Forged:
    forged = digested(1, 1)
    unsaid(forged)
    tell(forged, ANOTHER)
    return forged, f"{CALL}: digest"


def g19_no_row_of_int16() -> Forged:
    """Bytes alone have no digest: the program says that there is no row of int16, and the call any digest."""
    forged = digesting(1, 1, exported=HELD[BYTES] + 2).forged()
    (place, last), row = path_of(forged), call_row(forged)
    forged.erase(*last)
    descriptor_word(forged, 0, 1, 0)
    forged.write(*place, left=0)
    forged.write(CALL, row, rows=0)
    end(forged, absorb(forged, [place], [DIGEST_TAG, 0, 1, 0]))
    tell(forged, ANOTHER)
    return forged, f"{CALL}: digest"


def g19_no_int16_of_a_digest(lane: int) -> Attack:
    """The digest in other limbs; the upper one of an element has what a second p does not leave for the others."""

    def make() -> Forged:
        forged = multiplied()
        limbs = limbs_of(forged)
        if lane % 4 == 3:
            first = lane - 3
            word = sum(limb << 16 * k for k, limb in enumerate(limbs[first : lane + 1])) + P
            assert word >= 1 << 64
            limbs[first : lane + 1] = [word & 0xFFFF, word >> 16 & 0xFFFF, word >> 32 & 0xFFFF, word >> 48]
        else:
            assert limbs[lane + 1]
            limbs[lane], limbs[lane + 1] = limbs[lane] + TWO_16, limbs[lane + 1] - 1
        tell_limbs(forged, call_row(forged), limbs)
        return forged, f"{CALL}: lane {lane} is an int16"

    return named(make, f"g19_no_int16_of_a_digest_{lane}")


# --- G19: calls ----------------------------------------------------------------------------------------------------------------------

WORDS = {0: "operation", 1: "rows", 2: "byte rows"}


def g19_another_word(number: int, value: int) -> Attack:
    """The run of one descriptor is given out for that of another."""

    def make() -> Forged:
        forged = digested(2, 2)
        descriptor_word(forged, 0, number, value)
        return forged, f"{CALL}: {WORDS[number]}"

    return named(make, f"g19_{WORDS[number].replace(' ', '_')}_{value}")


def g19_another_instruction() -> Forged:
    forged = digested()
    forged.program(forged.cell(CALL, 0, "pc"), imm=1)
    return forged, f"{CALL}: instruction"


def g19_an_operand_of_its_own(name: str) -> Attack:
    """The call reads in a register that it does not need what it leaves there: what nobody wrote."""

    def make() -> Forged:
        forged = digested()
        apart(forged, CALL, 0, name)
        forged.write(CALL, 0, **{name: NOBODY_WROTE})
        return forged, f"{CALL}: {name} is later"

    return named(make, f"g19_{name}_of_its_own")


def g19_a_call_of_its_own() -> Forged:
    """The program makes another system call."""
    forged = digested()
    written = apart(forged, CALL, 0, "a7")
    row = forged.row("add_immediate", t=written - opcodes.TIME_STEP + 1)
    imm = (calls.WRITE.number - forged.cell("add_immediate", row, "v1")) % TWO_32
    forged.program(forged.cell("add_immediate", row, "pc"), imm=imm)
    forged.write("add_immediate", row, imm=imm, vd=calls.WRITE.number, vd_low=calls.WRITE.number)
    forged.pass_on(A7, written, calls.WRITE.number)
    return forged, f"{CALL}: a7 is later"


def g19_a_descriptor_that_is_named_later() -> Forged:
    """The address that the program loads after the call, where the descriptor says more rows."""
    shape, own = (2, 1), id_of(1)
    steps = [(Descriptor(DIGESTED, *shape), 0, 0)] * 2 + [(Descriptor(EXPORT, size(*shape), 8, 0, 0, 1), own, DATA)]
    named_later: list[Item] = [("la", "a0", RODATA)]
    forged = Program(steps, ram=[0] * (8 * size(*shape)), given=given(*shape) * 2, last=named_later).forged()
    descriptor_word(forged, 1, 1, 1)
    row = call_row(forged, own)
    time, before, address = (forged.cell(CALL, row, name) for name in ("t", "t_a0", "a0"))
    later = time + 3 * opcodes.TIME_STEP - 1  # of the second of two instructions
    assert address != RODATA
    consumes(forged, A0, later, own, time)
    consumes(forged, A0, time, address, before)
    forged.write(CALL, row, a0=RODATA, t_a0=later)
    return forged, f"{CALL}: a0 is later"


def consumes(forged: Forgery, register: int, time: int, value: int, previous: int) -> None:
    """Who consumes what was produced at a time consumes another value, of another time."""
    chip, row, pair = forged.consumer(register, time)
    assert pair.receive is not None
    for expr, cell in zip(pair.receive.values[1:], (value, previous), strict=True):
        forged.tables[chip].main[expr.index, row] = cell


# --- G19: rows without a call --------------------------------------------------------------------------------------------------------


def g19_padding_of_calls_serves(number: int) -> Attack:
    """A vector of the digest, but at the beginning."""

    def make() -> Forged:
        forged = digested(1, 1)
        row = idle_call(forged, TENSOR)
        put_vector(forged, CALL, row, number, NINES)
        forged.write(CALL, row, **{f"multiplicity{number}": 1})
        read(forged, number, NINES)
        return forged, f"{CALL}: padding has no multiplicity{number}"

    return named(make, f"g19_padding_of_calls_serves_vector_{number}")


def idle_call(forged: Forgery, identity: int) -> int:
    """A row that is no call, at the time of one with this id: it moves no access."""
    row, time = padding_row(forged, CALL), opcodes.TIME_STEP * identity
    forged.write(CALL, row, t=time, a0=identity, **{f"t_{name}": time for name in REGISTERS})
    return row


def exits(forged: Forgery, time: int, code: int) -> None:
    """Who reads what was written into a0 at a time reads a code, and the run ends with it."""
    forged.spread(A0, time, code)
    row = forged.row("ecall", exit=1)
    product = (code - 1) * (code - 2) * (code - 3)
    forged.write("ecall", row, result=code, descriptor=product + 6, next_pc=LAST_PC + code)
    forged.pass_on(A0, forged.cell("ecall", row, "t"), code)


def g19_padding_goes_back_in_time(name: str) -> Attack:
    """The other half of a circle: an instruction reads what the row produces, and the row consumes what that leaves. Nobody wrote it."""

    def make() -> Forged:
        run = digesting(1, 1, ending=[("mv", "a0", name), *EXIT]).executed()
        time = max(run_times(forgery(run), REGISTERS[name]))
        earlier = time - opcodes.TIME_STEP
        code = {"a7": 0, "a0": earlier // opcodes.TIME_STEP}.get(name, NOBODY_WROTE)
        forged = forgery(run, exit_code=code)
        reader = forged.row("add_immediate", t=time)
        forged.follow(REGISTERS[name], time, forged.cell("add_immediate", reader, "t1"))
        forged.write("add_immediate", reader, v1=code, t1=earlier, vd=code, vd_low=code)
        exits(forged, time + SLOT_RD, code)
        row = idle_call(forged, earlier // opcodes.TIME_STEP)
        forged.write(CALL, row, **{f"t_{name}": time}, **({name: code} if name in ("a1", "a2") else {}))
        return forged, f"{CALL}: {name} keeps its time unless live"

    return named(make, f"g19_padding_goes_back_in_time_{name}")


def run_times(forged: Forgery, register: int) -> list[int]:
    """When instructions moved this register to a0."""
    rows = range(forged.tables["add_immediate"].used)
    cells = ({name: forged.cell("add_immediate", row, name) for name in ("rs1", "rd", "imm", "t")} for row in rows)
    return [cell["t"] for cell in cells if (cell["rs1"], cell["rd"], cell["imm"]) == (register, A0, 0)]


def g19_padding_returns() -> Forged:
    """A row without a call leaves a quarter of the time in a0, where the count of a write to the journal was: nothing."""
    writes: list[Item] = [("li", "a0", calls.FD_JOURNAL), ("li", "a2", 0), ("li", "a7", calls.WRITE.number), ("ecall",)]
    run = digesting(1, 1, ending=[*writes, *EXIT]).executed()
    time = int(run.ecalls["t_a0"][-1])
    identity = time // opcodes.TIME_STEP
    forged = forgery(run, exit_code=identity)
    exits(forged, time, identity)
    row = idle_call(forged, identity)
    forged.write(CALL, row, a0=0)
    return forged, f"{CALL}: a0 keeps its value unless live"


ROW_LIES: tuple[Attack, ...] = (
    *map(g19_no_bytes, range(0, LANES * HELD[BYTES], 2)),
    *map(g19_no_int16, range(LANES * HELD[ROWS])),
    *(make(chip) for chip in HELD for make in (g19_less_than_no_row, g19_another_permutation)),
    *(g19_padding_serves(chip, number) for chip, count in HELD.items() for number in range(count)),
    g19_a_digest_of_fewer_rows,
    *(g19_padding_changes_the_capacity(chip, element) for chip in HELD for element in CAPACITY),
    g19_padding_says_a_digest,
)
CALL_LIES: tuple[Attack, ...] = (
    g19_a_digest_that_nobody_says,
    g19_no_row_of_int16,
    *map(g19_no_int16_of_a_digest, range(2 * LANES)),
    *(g19_another_word(0, value) for value in (IMPORT, DIGESTED + (1 << 8))),
    *(g19_another_word(number, value) for number in (1, 2) for value in (0, 1, 3, TWO_32 - 1)),
    g19_another_instruction,
    *map(g19_an_operand_of_its_own, ("a1", "a2")),
    g19_a_call_of_its_own,
    g19_a_descriptor_that_is_named_later,
    *map(g19_padding_of_calls_serves, range(2)),
    *map(g19_padding_goes_back_in_time, REGISTERS),
    g19_padding_returns,
)
