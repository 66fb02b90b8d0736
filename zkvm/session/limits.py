"""What a proof, or a check of the tables, may take: looked at while the guest runs, so that no run goes on that can end in neither.

A proof takes many times the memory of the run's records: a guest that never ends would be stopped by its cycles long after its proof has
become impossible. So between slices the heights are worked out for what has been executed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import LimitError, RunTooLong
from zkvm.riscv.isa import opcodes
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution, Image
from zkvm.session import memory
from zkvm.session.bound import with_room
from zkvm.session.memory import gib
from zkvm.session.resources import no_collection
from zkvm.stark.protocol.params import Parameters
from zkvm.stark.protocol.shape import MAIN_TREE, ProofShape, TableShape
from zkvm.stark.tables import Padding, heights_for, planned_heights

if TYPE_CHECKING:
    from zkvm.riscv.vm.state import MachineState
    from zkvm.stark.air.machine import ChipCode

SLICE = 1 << 20
"""Records between two looks."""
CHECK_FACTOR = 10
"""Bytes that a check takes, at most, for each byte of main columns: it sorts the tuples of every bus."""
WORD_BYTES = 8


@dataclass(slots=True)
class TableLimits:
    """Whether the tables of a run can be proven, or checked, here.

    Attributes:
        image: the program.
        chosen: parameters of the proof.
        pad_to: heights that are asked for, see :func:`zkvm.stark.tables.heights_for`.
        threads: workers of the proof; 0: the tables are only checked.
        max_memory: bytes that it may take; None: what this process can have.
        max_journal: most bytes of a receipt's journal.
        used: (2, 256) instructions so far, by origin of the loaded word (1: ROM) and operation.
        counted: records that are in it.
        tables: of the proof whose memory was predicted last.
    """

    image: Image
    chosen: Parameters
    pad_to: Padding
    threads: int
    max_memory: int | None
    max_journal: int
    used: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, 256), np.int64))
    counted: int = 0
    tables: tuple[TableShape, ...] = ()

    def look(self, state: MachineState) -> None:
        """Stop a run that cannot be proven any more; called between slices and calls.

        Raises:
            LimitError: it cannot.
        """
        from zkvm.riscv.kernels import interpreter as kernel
        from zkvm.riscv.vm.state import symbol_at

        self.check_journal(int(state.registers[opcodes.JOURNAL_POINTER - opcodes.REGISTER_BASE]))
        steps = state.steps[self.counted : int(state.counters[kernel.STEPS])]
        if len(steps) < SLICE:
            return
        self.counted += len(steps)
        self.used += _operations(self.image, steps)
        refreshes = int(state.counters[kernel.REFRESHES])
        so_far = f"the guest has not ended after {state.cycles} cycles, in {symbol_at(state.image, state.pc)}"
        try:
            heights = heights_for(
                machine(), _rows(self.used, refreshes), self.image, self.chosen.exempt, self.pad_to, split_price=self.chosen.split_price
            )
        except LimitError as error:
            raise RunTooLong(f"{so_far}, and can no longer be proven: {error}, or run it without a proof (--execute-only)") from error
        self._check_heights(heights, (steps.itemsize * self.counted, refreshes * state.refreshes.itemsize), so_far)

    def check(self, execution: Execution) -> int:
        """The same for a run that has ended.

        Returns:
            Bytes that are yet to be taken, at most.

        Raises:
            LimitError: its journal is too long for a receipt, a table would be, or there is not enough memory.
        """
        self.check_journal(len(execution.journal))
        with no_collection():  # the constraints of all tables are derived
            return self._check(execution)

    def _check(self, execution: Execution) -> int:
        try:
            heights = planned_heights(
                machine(), execution, self.image, self.chosen.exempt, self.pad_to, split_price=self.chosen.split_price
            )
        except LimitError as error:
            raise RunTooLong(str(error)) from error
        records = [execution.steps, execution.refreshes, execution.ecalls, execution.reads, execution.writes]
        records += [execution.permuted, execution.permutations, execution.blake3_calls]
        sizes = [array.nbytes for array in records] + [call.nbytes for call in execution.tensor_calls]
        if not isinstance(self.pad_to, int):  # whether a run is cut tells as little as heights do
            sizes = [with_room(size) for size in sizes]
        return self._check_heights(heights, sizes, f"the guest ran for {execution.cycles} cycles")

    def codes(self) -> list[ChipCode]:
        """What is derived from the chips of these tables."""
        return [table.code for table in self.tables]

    def check_journal(self, length: int) -> None:
        """Whether a receipt holds a journal of this length.

        Raises:
            LimitError: it does not.
        """
        if length > self.max_journal:
            raise LimitError(f"the journal has {length} bytes; a receipt holds at most {self.max_journal}: write a hash of it instead")

    def _check_heights(self, heights: tuple[int, ...], records: Iterable[int], done: str) -> int:
        """Whether tables of these heights fit into memory beside so many bytes of records: bytes that are yet to be taken.

        Raises:
            LimitError: they do not.
        """
        shape = ProofShape(machine(), self.chosen, tuple(height.bit_length() - 1 if height else 0 for height in heights))
        self.tables = shape.tables
        fresh, whole = self._needed(shape, sum(records))
        work = f"proving that with parameters {self.chosen.name!r}" if self.threads else "checking that"
        if self.max_memory is not None and whole > self.max_memory:
            limit = f"more than the limit of {gib(self.max_memory)}"
            raise RunTooLong(f"{done}; {work} takes about {gib(whole)}, {limit}: raise --max-memory, or {self._advice()}")
        if self.max_memory is None and fresh > (free := _free_bytes(fresh)):
            there = free + whole - fresh
            override = "; --max-memory allows more (the prediction is an upper bound)" if self.threads else ""
            raise RunTooLong(f"{done}; {work} takes about {gib(whole)}, and there are {gib(there)} for it: {self._advice()}{override}")
        return fresh

    def _needed(self, shape: ProofShape, records: int) -> tuple[int, int]:
        """Bytes that are yet to be taken; and with those of the process and the records, which are there."""
        from zkvm.stark.prover.memory import LATER_BYTES, predicted_bytes, process_bytes

        if not self.threads:
            tables = sum(table.code.widths[MAIN_TREE] * table.height for table in shape.tables)
            fresh = CHECK_FACTOR * WORD_BYTES * tables
            return fresh, fresh + records + process_bytes()
        whole = predicted_bytes(shape, records, process_bytes(), self.threads)
        return predicted_bytes(shape, 0, LATER_BYTES, self.threads), whole

    def _advice(self) -> str:
        if not self.threads:
            return "check a shorter run: a smaller input, or --max-cycles"
        smaller = "" if self.chosen.name == "fast" else "choose --params fast, "
        return f"{smaller}prove a shorter run (a smaller input or program), or run it without a proof (--execute-only)"


def _operations(image: Image, steps: NDArray[Any]) -> NDArray[np.int64]:
    """How many of the steps have each operation, (2, 256) by origin of the loaded word."""
    by_row = np.bincount(2 * steps["row"].astype(np.int64) + steps["rom"], minlength=2 * len(image.program))
    counts = np.zeros((2, 256), np.int64)
    for rom in (0, 1):
        np.add.at(counts[rom], image.program["op"].astype(np.int64), by_row[rom::2])
    return counts


def _rows(used: NDArray[np.int64], refreshes: int) -> dict[str, int]:
    """Rows that every chip has at least, after so many instructions and refreshes."""
    from zkvm.session.profiling import serving_chips

    chips, _ = serving_chips()
    rows = {chip.name: 0 for chip in machine().chips if chip.first is None} | {"refresh": refreshes}
    for name in dict.fromkeys(chips.ravel().tolist()):
        if name:
            rows[name] = int(used[chips == name].sum())
    return rows


def _free_bytes(wanted: int) -> int:
    """Memory that can still be taken. If it is less than wanted, kept pages of earlier proofs are given back first: they are free too."""
    from zkvm.stark.prover.memory import give_back_freed_pages

    if memory.available_bytes() < wanted:
        give_back_freed_pages()
    return memory.available_bytes()
