"""The tables of a run in segments, to be changed, and everything that refuses them: each proof by itself, and the joint buses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from tests.forge import Forgery
from zkvm.riscv.header import ImageHeader, joint_closings, journal_closing, memory_closings, preprocessed_chips
from zkvm.riscv.isa.opcodes import REGISTER_BASE
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.records import Image
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.cuts import SegmentedRun
from zkvm.stark.air.check import check_joint
from zkvm.stark.air.evaluate import evaluate_columns
from zkvm.stark.air.expression import straighten
from zkvm.stark.air.table import Closing
from zkvm.stark.protocol.params import EXEMPT_MAX
from zkvm.stark.tables import build_tables

S0, S1, S2, S3, T0, T1, T2 = (REGISTER_BASE + number for number in (8, 9, 18, 19, 5, 6, 7))


@dataclass(slots=True)
class Composite:
    """The proofs of a run: memory, then its segments, and what the verifier puts on the joint buses."""

    memory: Forgery
    segments: list[Forgery]
    joint: tuple[Closing, ...]

    def __getitem__(self, number: int) -> Forgery:
        """The memory (0), or a segment."""
        return self.segments[number - 1] if number else self.memory

    def word(self, number: int, address: int) -> int:
        """The boundary's row of a word in a segment."""
        return self[number].row("boundary", address=address, real=1)

    def refusals(self) -> set[str]:
        """Labels of what refuses a proof, after its number, and joint buses that do not balance."""
        proofs = dict(enumerate([self.memory, *self.segments]))
        found = {f"{number} {label}" for number, proof in proofs.items() for label in proof.refusals()}
        tables = [(number, list(proof.tables.values())) for number, proof in proofs.items()]
        return found | {failure.where for failure in check_joint(tables, self.joint)}

    def relink(self) -> None:
        """Let every word's rows name the segment before that has it, and memory the last one: what an attacker would."""
        last: dict[int, tuple[int, int]] = {}
        for number, proof in enumerate(self.segments, 1):
            for row in range(proof.tables["boundary"].used):
                if proof.cell("boundary", row, "real"):
                    address = proof.cell("boundary", row, "address")
                    proof.write("boundary", row, gap=number - last.get(address, (0, 0))[0])
                    last[address] = number, proof.cell("boundary", row, "after")
        memory = self.memory
        places = [("ram_image", row, memory.cell("ram_image", row, "address")) for row in range(memory.tables["ram_image"].used)]
        zeros = memory.tables["zero_init"].used
        places += [("zero_init", row, 4 * memory.cell("zero_init", row, "word")) for row in range(zeros) if memory["zero_init.real"][row]]
        for chip, row, address in places:
            initial = memory.cell(chip, row, "value") if chip == "ram_image" else 0
            segment, value = last.get(address, (0, initial))
            memory.write(chip, row, last_segment=segment, last=value)

    def claim(self, exit_code: int = 0) -> None:
        """Let the verifier expect as many segments as there are, and this exit code."""
        image = self.memory.image
        self.joint = joint_closings(header_of(image, self.memory), len(self.segments), exit_code)


def header_of(image: Image, memory: Forgery) -> ImageHeader:
    """A header without roots, which are no part of what is checked here."""
    heights = tuple(memory.tables[name].height if name in memory.tables else 0 for name in preprocessed_chips())
    return ImageHeader(image.entry, image.initial_sp, image.gaps, heights, ())


def tables_of(run: SegmentedRun, cut: int, first: int = 0, part: bytes | None = None) -> Forgery:
    """The tables of the run's next segment; the journal's index where it begins, and its bytes there if they are not those of the run."""
    execution = run.segment(cut)
    tables = {table.chip.name: table for table in build_tables(segment_machine(), execution, run.image, EXEMPT_MAX)}
    return Forgery(run.image, tables, (journal_closing(execution.journal if part is None else part, first),))


def memory_of(run: SegmentedRun) -> Forgery:
    """The tables of the memory of a run that has ended."""
    tables = {table.chip.name: table for table in build_tables(memory_machine(), run.last_memory(), run.image, EXEMPT_MAX)}
    memory = Forgery(run.image, tables, ())
    memory.closings = memory_closings(header_of(run.image, memory))
    return memory


def composite(image: Image, cuts: Iterable[int], stdin: bytes = b"", exit_code: int = 0) -> Composite:
    """The honest tables of a run that is cut after so many instructions."""
    run = SegmentedRun(image, stdin)
    segments: list[Forgery] = []
    for cut in [*cuts, 1 << 24]:
        if not run.ended:
            segments.append(tables_of(run, cut, sum(len(own.closings[0].values) for own in segments)))
    result = Composite(memory_of(run), segments, ())
    result.claim(exit_code)
    return result


PROGRAM: tuple[Item, ...] = (
    ("la", "s0", "data"), ("la", "s1", "bss"), ("li", "t0", 5), ("sw", "t0", "s0", 0), ("sw", "t0", "s1", 8),
    ("li", "t1", 7), ("addi", "t1", "t1", 2), ("li", "s2", 20),
    ("li", "s2", 21), ("lw", "t2", "s1", 8), ("add", "t2", "t2", "t0"), ("sw", "t2", "s1", 8), ("li", "t1", 3),
    ("li", "s3", 4), ("lw", "t0", "s0", 0), ("addi", "t0", "t0", 1), ("sw", "t0", "s0", 4),
    ("li", "a7", 64), ("li", "a0", 3), ("mv", "a1", "s0"), ("li", "a2", 8), ("ecall",),
    ("lw", "t2", "s1", 8), ("sw", "t2", "s0", 0), ("li", "a0", 3), ("ecall",), ("li", "a0", 0), *EXIT,
)  # fmt: skip
"""Memory, registers and journal that go over cuts: a line a segment, after the first two."""
CUTS = (10, 15, 24)


@cache
def _honest(cuts: tuple[int, ...]) -> Composite:
    return composite(assemble(list(PROGRAM), data=bytes(range(16)), bss=64), cuts)


def honest(cuts: tuple[int, ...] = CUTS) -> Composite:
    """The honest tables of the program, to be changed."""
    known = _honest(cuts)
    return Composite(copied(known.memory), [copied(own) for own in known.segments], known.joint)


def copied(forged: Forgery) -> Forgery:
    """The same tables, to be changed on their own."""
    tables = {name: replace(table, main=table.main.copy(), pre=table.pre.copy()) for name, table in forged.tables.items()}
    return Forgery(forged.image, tables, forged.closings)


def idle_segment(pc: int) -> Forgery:
    """A segment of the program's run in which nothing happens, at this pc and time 0."""
    run = SegmentedRun(assemble(list(PROGRAM), data=bytes(range(16)), bss=64))
    execution = run.segment(1)
    nothing = replace(execution, steps=execution.steps[:0], boundary=execution.boundary[:0], states=((pc, 0), (pc, 0)))
    tables = {table.chip.name: table for table in build_tables(segment_machine(), nothing, run.image, EXEMPT_MAX)}
    return Forgery(run.image, tables, (journal_closing(b""),))


def times(forged: Forgery, address: int) -> list[int]:
    """All times at which an address is produced on the segment's memory bus, the boundary's first."""
    row = forged.row("boundary", address=address, real=1)
    found = [forged.cell("boundary", row, "first")]
    while found[-1] != forged.cell("boundary", row, "last"):
        chip, own, pair = forged.consumer(address, found[-1])
        assert pair.send is not None
        table = forged.tables[chip]
        code = straighten([pair.send.values[2]])
        found.append(int(evaluate_columns(code, table.main[:, [own]], table.pre[:, [own]])[0][0]))
    return found
