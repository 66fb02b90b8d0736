"""What the loader and the executor hand to the chips: the image and the records of one execution.

All addresses on the memory bus are byte addresses of aligned words (registers: see :mod:`zkvm.riscv.isa.opcodes`). Every
``*_prev`` time is the time of the last access of that address, 0 if there was none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa.tensors import Descriptor, TensorConstants

PROGRAM_ROW = np.dtype([(name, np.uint64) for name in ("pc", "op", "rd", "rs1", "rs2", "imm")])
"""One simplified instruction. Registers are memory-bus addresses; unused fields are 0; ``imm`` is in [0, 2^32).

Meaning by operation: ``ADD SUB SLT SLTU MUL* SLL SRL SRA AND OR XOR DIV* REM*``: rd, rs1, rs2.
``ADDI SLTI SLTIU ANDI ORI XORI``: rd, rs1, imm (sign-extended, two's complement). ``MULI MULHUI MULHSUI``: rd, rs1, imm = the power of two.
``LW LB LBU LH LHU``: rd, rs1, imm. ``SW SB SH``: rs1 (address), rs2 (value), imm.
``BEQ ..``: rs1, rs2, imm = target pc. ``JAL``: rd, rs1 = link value pc + 4, imm = target pc.
``JALR``: rd, rs1, rs2 = link value pc + 4, imm. ``ECALL``, ``TRAP``: nothing.
"""

STEP = np.dtype(
    [
        ("row", np.uint32),  # index into Image.program
        ("v1", np.uint32),  # value of rs1
        ("v2", np.uint32),  # value of rs2
        ("vd", np.uint32),  # value written to rd
        ("vd_prev", np.uint32),  # value of rd before
        ("address", np.uint32),  # loads and stores: the byte address, before alignment
        ("mem", np.uint32),  # loads and stores: the aligned word before the access
        ("rom", np.uint32),  # loads: 1 if the word is in ROM
        ("time", np.uint64),  # state time of the instruction
        ("t1", np.uint64),  # previous access of rs1
        ("t2", np.uint64),  # previous access of rs2
        ("td", np.uint64),  # previous access of rd
        ("tm", np.uint64),  # previous access of the memory word (RAM)
    ]
)
"""One executed instruction other than ``ecall``. Unused fields are 0. Previous times already account for refreshes."""

REFRESH = np.dtype([("address", np.uint64), ("value", np.uint32), ("t_prev", np.uint64), ("time", np.uint64)])
"""A value re-written at ``time`` because its next access would be 2^16 or more later than ``t_prev``."""

ECALL = np.dtype(
    [
        ("row", np.uint32),
        ("time", np.uint64),
        *[(name, np.uint32) for name in ("a7", "a0", "a1", "a2", "result")],
        *[(name, np.uint64) for name in ("t_a7", "t_a0", "t_a1", "t_a2")],
        ("count", np.uint32),  # read: bytes delivered; journal write: bytes written; else 0
        *[(name, np.uint32) for name in ("journal_pointer", "break_", "heap_start", "heap_limit")],  # before the call
        *[(name, np.uint64) for name in ("t_journal", "t_break", "t_heap_start", "t_heap_limit")],
    ]
)
"""One ecall. All its register accesses are at ``time`` (distinct addresses); exit and brk do not access a1 and a2, whose times are
then 0. VM registers a call does not touch are 0: ``journal_pointer`` is for write(3), the other three for brk. Times grow by 4 as
for any instruction."""

CHAIN_ROW = np.dtype(
    [
        ("time", np.uint64),  # the call's time; the word is accessed at time + 1
        ("address", np.uint32),  # byte address of the first byte of this row
        ("remaining", np.uint32),  # bytes still to move, this row's included
        ("count", np.uint32),  # bytes moved by this row, 1..4, all in one aligned word
        ("index", np.uint32),  # journal index of the first byte (write rows)
        ("old", np.uint32),  # the aligned word before
        ("new", np.uint32),  # the aligned word after (read rows); = old (write rows)
        ("t_prev", np.uint64),  # previous access of the word (RAM)
        ("rom", np.uint32),  # write rows: 1 if the word is in ROM
    ]
)
"""One aligned word moved by a read or a journal write."""

BLAKE3_CALL = np.dtype(
    [
        ("time", np.uint64),  # the call's time; its words are accessed at time + 1
        ("address", np.uint32),  # byte address of the first word
        ("words", np.uint32, (28,)),  # before the call; 28 and 16: zkvm.riscv.isa.calls, BLAKE3's specification
        ("final", np.uint32, (16,)),  # the state after the last round; word i of the result is final[i] ^ final[i + 8]
        ("t_prev", np.uint64, (28,)),  # previous accesses of the words
    ]
)
"""One compression."""

BOUNDARY_WORD = np.dtype(
    [
        ("address", np.uint64),  # memory-bus address, of a word or a register
        ("before", np.uint32),  # value when the segment began
        ("after", np.uint32),  # value when it ended
        ("gap", np.uint64),  # how many segments before this one the word was accessed last; the run begins before segment 1
        ("first", np.uint64),  # the time before its first access here
        ("last", np.uint64),  # time of its last access here
    ]
)
"""A word that a segment of a run accesses."""

TENSOR_WORD = np.dtype(
    [
        ("address", np.uint32),  # of an aligned word in RAM, accessed at the call's time + 1
        ("old", np.uint32),  # the word before
        ("new", np.uint32),  # the word after; = old if it is read
        ("t_prev", np.uint64),  # its previous access
    ]
)
"""One word that a tensor call or a permutation reads or writes."""


@dataclass(frozen=True, slots=True)
class TensorCall:
    """One tensor call. Its registers and its time are in its ECALL record.

    Attributes:
        ecall: index of that record in :attr:`Execution.ecalls`.
        id: one more than the number of instructions executed before the call; what a0 then holds.
        descriptor: the words that the operation reads, all others 0.
        vectors: (v, 8) int16, the tensor that the call makes; none for an operation that makes no tensor.
        x: what is read of the first operand: layers (blocks, taps, 8), EXPORT and DIGEST (vectors, 8), DEPTHWISE (blocks / 2, channels,
            windows, 3 rows, 3 vectors, 8), int16; else nothing.
        w: what is read of the second operand: layers (channels / 8 rounded up, taps, 8), DEPTHWISE (channels, windows, 2, 8), RELATIVE
            (v, 8), int16; else nothing.
        terms: COMBINE, MULTIPLY: (4, v, 8) int16, x, w, y, v of each element; else nothing.
        sums: (v, 8) int64, of each element the products' sum, before rescaling; none for an operation without products.
        cuts: (v, 2) uint8, how many elements of each vector were above the bounds, and below; none for an operation without products.
        permuted: DIGEST, DIGESTED: (2, n, 12) uint64, states before and after each permutation; else nothing.
        words: TENSOR_WORD, what is read or written in RAM, word i of the operation at place i.
        wide: whether a layer's whole fours of tiles are proven together: the prover's choice, which says nothing of the call.
    """

    ecall: int
    id: int
    descriptor: Descriptor
    vectors: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 8), np.int16))
    x: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 8), np.int16))
    w: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 8), np.int16))
    terms: NDArray[np.int16] = field(default_factory=lambda: np.zeros((4, 0, 8), np.int16))
    sums: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 8), np.int64))
    cuts: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 2), np.uint8))
    permuted: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((2, 0, 12), np.uint64))
    words: NDArray[Any] = field(default_factory=lambda: np.zeros(0, TENSOR_WORD))
    wide: bool = False

    @property
    def fours(self) -> tuple[int, int]:
        """How many times four tiles are proven together, along positions and along channels."""
        return self.descriptor.fours if self.wide else (0, 0)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = (self.vectors, self.x, self.w, self.terms, self.sums, self.cuts, self.permuted, self.words)
        return sum(array.nbytes for array in arrays)


def take_records(records: NDArray[Any], positions: NDArray[Any]) -> NDArray[Any]:
    """``records[positions]`` of a structured array, moved as plain 64-bit words.

    numpy's own indexing passes every record through a general routine; rows of words it moves as blocks.
    """
    words = records.dtype.itemsize // 8
    taken: NDArray[Any]
    if records.dtype.itemsize % 8 or not records.flags.c_contiguous:
        taken = records[positions]
    else:
        taken = np.take(records.view(np.uint64).reshape(-1, words), positions, axis=0).view(records.dtype).reshape(-1)
    return taken


@dataclass(frozen=True, slots=True)
class Image:
    """A program as the machine sees it: the part of a proof that is fixed before the run.

    Attributes:
        program: (p,) PROGRAM_ROW, ascending pc.
        ram_address: (r,) byte addresses of aligned words, ascending, the 37 registers last.
        ram_value: (r,) their initial values, below 2^32.
        rom_address: (m,) byte addresses of aligned words, ascending.
        rom_value: (m,) their values, below 2^32.
        gaps: sorted disjoint [start, end) ranges of zero-initialised words, in words (byte address / 4).
        entry: pc of the first instruction.
        initial_sp: initial x2.
        heap_start: lowest program break, where it is at first.
        heap_limit: highest program break.
        identify: computes :attr:`content_id`. Proving does not need it, and it takes as long as a large program is long.
        symbols: sorted (address, name) of functions, for messages and profiles; not part of the image ID.
        tensors: constants of tensor calls; None for a machine without these calls, to which they are read-only data.
    """

    program: NDArray[Any]
    ram_address: NDArray[np.uint64]
    ram_value: NDArray[np.uint64]
    rom_address: NDArray[np.uint64]
    rom_value: NDArray[np.uint64]
    gaps: tuple[tuple[int, int], ...]
    entry: int
    initial_sp: int
    heap_start: int
    heap_limit: int
    identify: Callable[[], bytes]
    symbols: tuple[tuple[int, str], ...] = ()
    tensors: TensorConstants | None = None

    @property
    def stack_floor(self) -> int:
        """Lowest byte address of the stack, which is the last gap. Between ``heap_limit`` and it is the guard."""
        return 4 * self.gaps[-1][0]

    @property
    def content_id(self) -> bytes:
        """BLAKE3 of segments and entry, 32 bytes; independent of the machine."""
        return self.identify()


Sorter = Callable[[NDArray[Any], NDArray[np.uint8]], tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Numpy twin :func:`sort_steps`, or its kernel."""
KEYS = 256
Permuter = Callable[[NDArray[np.uint64]], NDArray[np.uint64]]
"""Of states (n, 12) the columns of their rows (248, n): numpy twin :func:`zkvm.riscv.chips.poseidon2.permuted_columns`, or its kernel."""


def sort_steps(steps: NDArray[Any], keys: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort steps by the key of their program row, plus 1 if they load from ROM.

    Args:
        steps: (n,) STEP, whose ``rom`` is 0 or 1.
        keys: (rows,) of the program rows, even.

    Returns:
        order: (n,) positions of the sorted steps; those of equal keys in the order of execution.
        counts: (KEYS,) how many steps have each key.
    """
    own = keys[steps["row"]] | steps["rom"].astype(np.uint8)
    return np.argsort(own, kind="stable"), np.bincount(own, minlength=KEYS)


@dataclass(frozen=True)
class Execution:
    """Everything the chips need to fill their tables; times as in :mod:`zkvm.riscv.isa.opcodes`.

    Attributes:
        image: what ran.
        cycles: executed instructions.
        exit_code: a 32-bit word.
        journal: the public output.
        steps: (n,) STEP in execution order.
        refreshes: (f,) REFRESH.
        ecalls: (e,) ECALL in execution order, the exit last.
        reads: CHAIN_ROW of the words that reads move, call by call.
        writes: CHAIN_ROW of the words that journal writes move, call by call.
        ram_last: (r,) final values of ``image.ram_address``; the initial ones if untouched.
        ram_last_time: (r,) times of their last accesses, 0 if untouched.
        zero_address: (z,) touched zero-initialised words: ascending *word* indices.
        zero_last: (z,) their final values.
        zero_last_time: (z,) times of their last accesses.
        tensor_calls: in execution order.
        permuted: (c, 24) TENSOR_WORD, the words of each call of permute, in execution order.
        permutations: (n, 12) states below p that Poseidon2 is asked to permute, in any order, as often as they are asked for.
        blake3_calls: BLAKE3_CALL in execution order.
        number: of a segment of a run, from 1 on; 0: the run is whole. A segment has what happened in it: its own journal bytes, its own
            records; ``cycles`` counts from the run's begin to its end, and what is said of memory at the run's end is empty.
        boundary: (b,) BOUNDARY_WORD, of a segment the words that it accesses, ascending addresses; previous times of first accesses are
            those in ``first``.
        states: of a segment (pc, time) where it begins and where it ends; after an exit (LAST_PC + code, LAST_TIME).
        stdout: what the guest wrote to fd 1.
        stderr: what the guest wrote to fd 2.
        seconds: of the execution, under ``execute``.
        sorter: how :meth:`steps_of` sorts.
        permuter: how the chip of permutations permutes: its own way, or its kernel.
    """

    image: Image
    cycles: int
    exit_code: int
    journal: bytes
    steps: NDArray[Any]
    refreshes: NDArray[Any]
    ecalls: NDArray[Any]
    reads: NDArray[Any]
    writes: NDArray[Any]
    ram_last: NDArray[np.uint64]
    ram_last_time: NDArray[np.uint64]
    zero_address: NDArray[np.uint64]
    zero_last: NDArray[np.uint64]
    zero_last_time: NDArray[np.uint64]
    tensor_calls: tuple[TensorCall, ...] = ()
    permuted: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 24), TENSOR_WORD))
    permutations: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 12), np.uint64))
    blake3_calls: NDArray[Any] = field(default_factory=lambda: np.zeros(0, BLAKE3_CALL))
    number: int = 0
    boundary: NDArray[Any] = field(default_factory=lambda: np.zeros(0, BOUNDARY_WORD))
    states: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: dict[str, float] = field(default_factory=dict)
    sorter: Sorter = field(default=sort_steps, compare=False, repr=False)
    permuter: Permuter | None = field(default=None, compare=False, repr=False)

    @cached_property
    def _steps_by_key(self) -> dict[int, NDArray[np.int64]]:
        """Steps of one operation, by twice its number; those that load from ROM by one more."""
        order, counts = self.sorter(self.steps, 2 * self.image.program["op"].astype(np.uint8))
        ends = np.cumsum(counts)
        return {key: order[ends[key] - counts[key] : ends[key]] for key in np.flatnonzero(counts).tolist()}

    @cached_property
    def _positions(self) -> dict[tuple[tuple[int, ...], bool | None], NDArray[np.int64]]:
        return {}

    def steps_of(self, operations: tuple[int, ...], rom: bool | None = None) -> NDArray[np.int64]:
        """Positions in ``steps`` of the instructions that are one of the operations, ascending: (k,) int64. Found once.

        Args:
            operations: their numbers.
            rom: only those that load from ROM, or only the others; None: both.
        """
        if (operations, rom) not in self._positions:
            keys = [2 * number + int(place) for number in operations for place in ((False, True) if rom is None else (rom,))]
            found = [self._steps_by_key[key] for key in keys if key in self._steps_by_key]
            several = np.sort(np.concatenate([np.zeros(0, np.int64), *found]), kind="stable") if len(found) != 1 else found[0]
            self._positions[operations, rom] = several
        return self._positions[operations, rom]


@dataclass(frozen=True, slots=True)
class LastMemory:
    """Where every word stands after a run in segments: what the proof of its memory is about.

    Attributes:
        image: what ran.
        ram_last: (r,) final values of ``image.ram_address``.
        ram_segment: (r,) numbers of the segments that accessed them last, 0 if none did.
        zero_address: (z,) touched zero-initialised words: ascending *word* indices.
        zero_last: (z,) their final values.
        zero_segment: (z,) numbers of the segments that accessed them last.
    """

    image: Image
    ram_last: NDArray[np.uint64]
    ram_segment: NDArray[np.uint64]
    zero_address: NDArray[np.uint64]
    zero_last: NDArray[np.uint64]
    zero_segment: NDArray[np.uint64]
