"""What a run costs to prove, and where: by function, by source line, by call path. A cell is one committed element of one row.

Proving time and memory follow the committed cells. Each executed instruction costs a row of its chip; values that are not used for 2^16
time units cost a refresh row, the first touch of a zero-initialised word another, and calls a row for each word that they move. What is
left belongs to no instruction: constant tables, the program's own tables, and padding to powers of two.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import Frame, LimitError, UsageError
from zkvm.riscv.chips.blake3.mixing import MIXINGS, MixingChip
from zkvm.riscv.chips.blake3.words import PARTS, CompressedWordsChip
from zkvm.riscv.chips.poseidon2 import Poseidon2Chip
from zkvm.riscv.chips.tensor.channels import ScaledChannelsChip
from zkvm.riscv.chips.tensor.gathering import ElementsChip
from zkvm.riscv.chips.tensor.lanes import TensorChip
from zkvm.riscv.chips.tensor.uses import new_channels, new_elements
from zkvm.riscv.isa import opcodes
from zkvm.riscv.isa.calls import BY_NUMBER, PERMUTE
from zkvm.riscv.machine import machine
from zkvm.riscv.records import CHAIN_ROW, ECALL, PROGRAM_ROW, REFRESH, STEP, Execution, Image
from zkvm.session.memory import out_of_memory
from zkvm.session.prediction import Prediction, predict
from zkvm.session.resources import prove_extra
from zkvm.session.run import Elf, ExecutorEnv, Session, Sink, environment, read_elf, run_image, session_of
from zkvm.stark.protocol.params import DEFAULT_SECURITY, Parameters, parameters
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.tables import heights_for

if TYPE_CHECKING:
    from zkvm.riscv.vm.dwarf import DebugInformation
    from zkvm.riscv.vm.profiler import CallTree, Costs, Recorder

OTHER_CALL = 1 << 31
"""A call number that no chip serves."""
LIBRARY_FOLDERS = ("zkvm/", "toolchain/")
"""What paths of the SDK's sources and of the C library's begin with in line tables (zkvm/guest/toolchain.py maps them)."""


@dataclass(frozen=True, slots=True)
class FunctionCost:
    """What one function costs: itself, and (``total``) with what it calls."""

    name: str
    cycles: int
    cells: int
    total_cycles: int
    total_cells: int


@dataclass(frozen=True, slots=True)
class LineCost:
    """What one source line costs; a file '' means that the line is unknown. Cells of a system call count for the line outside the SDK that
    makes it, its cycle for the line of the instruction."""

    file: str
    line: int
    cycles: int
    cells: int


@dataclass(frozen=True, slots=True)
class ChipCost:
    """One chip's part.

    Attributes:
        name: of the chip.
        rows: that the run uses.
        height: of its tables together.
        columns: committed ones.
        near_boundary: whether an eighth fewer or more rows would show in the heights: a run on another input may then be told from this.
        by_call: whether its rows follow from the calls that a run makes (tensors, hashes), whatever the values: a run that makes the same
            calls has as many.
    """

    name: str
    rows: int
    height: int
    columns: int
    near_boundary: bool = False
    by_call: bool = False

    @property
    def cells(self) -> int:
        """Committed cells, padding included."""
        return self.height * self.columns


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the cost of a run lies.

    Attributes:
        session: the run.
        functions: of every function that ran, most cells first.
        lines: of every source line that ran, most cells first; empty without line information.
        chips: of every chip that is present, in machine order.
        paths: (functions outermost first, cycles, cells) of every call path, its own cost only.
        cells: all committed ones.
        charged_cells: those of instructions and calls; the rest is fixed tables and padding.
        prediction: of the proof; None if the run is too long for one.
        ending: the calls that the guest was in when it ended, innermost first, if its exit code is not 0.
    """

    session: Session
    functions: tuple[FunctionCost, ...]
    lines: tuple[LineCost, ...]
    chips: tuple[ChipCost, ...]
    paths: tuple[tuple[tuple[str, ...], int, int], ...]
    cells: int
    charged_cells: int
    prediction: Prediction | None
    ending: tuple[Frame, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold, call paths excepted."""
        return {
            "exit_code": self.session.exit_code,
            "journal": self.session.journal.hex(),
            "cycles": self.session.cycles,
            "cells": self.cells,
            "charged_cells": self.charged_cells,
            "functions": [asdict(entry) for entry in self.functions],
            "lines": [asdict(entry) for entry in self.lines],
            "chips": [asdict(entry) | {"cells": entry.cells} for entry in self.chips],
            "prediction": asdict(self.prediction) if self.prediction else None,
        }


@out_of_memory("execution")
def profile(
    elf: Elf,
    stdin: bytes | ExecutorEnv = b"",
    *,
    params: str = "balanced",
    security: int = DEFAULT_SECURITY,
    max_cycles: int | None = None,
    max_memory: int | None = None,
    threads: int | None = None,
    pad_to: int = 0,
    stdout: Sink | None = None,
    stderr: Sink | None = None,
) -> Profile:
    """Run a guest without proving and tell where its cost lies.

    Args:
        elf: the ELF file's content, or its path.
        stdin: the private input, the guest's fd 0; or a whole environment, which then has limits and outputs of its own.
        params: parameter set of the proof that is predicted: ``fast``, ``balanced`` or ``compact``.
        security: proven bits of the set: 100 or 128.
        max_cycles: instructions after which the guest is stopped; None: 2^28.
        max_memory: bytes that its pages and output may take; None: what this process can have.
        threads: workers of the proof that is predicted; None: as many as this process may use.
        pad_to: least height of that proof's tables: a power of two, or 0.
        stdout: called with what the guest writes to fd 1, as it does.
        stderr: called with what the guest writes to fd 2, as it does.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
        GuestTrap: the guest did something that cannot be proven.
        LimitError: a limit was reached.
        Cancelled: the environment asked for it.
        UsageError: unknown parameters or padding, options beside an environment, or the ``prove`` extra is missing.
    """
    with prove_extra():
        from zkvm.riscv.vm.debug import call_stack
        from zkvm.riscv.vm.dwarf import read_debug
        from zkvm.riscv.vm.profiler import Recorder
    chosen = parameters(params, security)
    if pad_to & (pad_to - 1):
        raise UsageError(f"padding to {pad_to} rows: a power of two is needed")
    file, image = read_elf(elf)
    debug = read_debug(file)
    recorder = Recorder(image, costs(), debug.inlined, partial(own_line, debug) if debug.lines.names else None)
    env = environment(stdin, max_cycles=max_cycles, max_memory=max_memory, stdout=stdout, stderr=stderr)
    execution = run_image(file, image, env, trace=True, runner=recorder.run)
    recorder.finish(execution)
    rows = used_rows(recorder, execution)
    try:
        heights = heights_for(machine(), rows, image, chosen.exempt, pad_to, split_price=chosen.split_price)
        shape = ProofShape(machine(), chosen, tuple(height.bit_length() - 1 if height else 0 for height in heights))
        prediction = predict(shape, threads)
    except LimitError:
        heights, prediction = (0,) * len(machine().chips), None
    chips = chip_costs(rows, heights, near_boundaries(rows, image, chosen, pad_to))
    return Profile(
        session=session_of(execution),
        functions=function_costs(recorder),
        lines=line_costs(recorder, debug),
        chips=chips,
        paths=call_paths(recorder.tree, recorder.names),
        cells=sum(chip.cells for chip in chips),
        charged_cells=int(recorder.row_cells.sum()),
        prediction=prediction,
        ending=call_stack(image, debug, recorder.last_pc, recorder) if execution.exit_code else (),
    )


def columns_of() -> dict[str, int]:
    """Committed base columns of each chip, main and bus."""
    return {code.chip.name: sum(code.widths[1:]) for code in machine().codes}


@cache
def serving_chips() -> tuple[NDArray[Any], dict[int, str]]:
    """Which chip gets a row: (2, 256) object array of names by origin of the loaded word (1: ROM) and operation, '' for none; and by
    call number, '' where it depends on more than the number. Asked of the chips themselves."""
    empty = _single()
    countable = [chip for chip in machine().chips if chip.first is None and not len(chip.preprocessed)]
    base = {chip.name: chip.rows(empty) for chip in countable}

    def server(execution: Execution) -> str:
        found = [chip.name for chip in countable if chip.rows(execution) > base[chip.name]]
        assert len(found) <= 1, found
        return found[0] if found else ""

    steps = np.full((2, 256), "", object)
    for operation in opcodes.NAMES:
        if operation < 256 and operation not in (opcodes.ECALL, opcodes.TRAP):
            for rom in (0, 1):
                steps[rom, operation] = server(_single(operation, rom))
    return steps, {number: server(_single(call=number)) for number in (*BY_NUMBER, OTHER_CALL)}


def _single(operation: int = 0, rom: int = 0, call: int | None = None) -> Execution:
    """An execution of one instruction, or none."""
    nothing = np.zeros(0, np.uint64)
    program, steps, ecalls = np.zeros(1, PROGRAM_ROW), np.zeros(int(operation > 0), STEP), np.zeros(int(call is not None), ECALL)
    program["op"], steps["rom"] = operation, rom
    ecalls["a7"] = call or 0
    image = Image(program, nothing, nothing, nothing, nothing, (), 0, 0, 0, 0, bytes)
    chain = np.zeros(0, CHAIN_ROW)
    none = (chain, chain, nothing, nothing, nothing, nothing, nothing)
    return Execution(image, 1, 0, b"", steps, np.zeros(0, REFRESH), ecalls, *none)


@cache
def costs() -> Costs:
    """Cells of a row of everything that costs one."""
    with prove_extra():
        from zkvm.riscv.vm.profiler import Costs
    columns, (steps, calls) = columns_of(), serving_chips()
    width = np.vectorize(lambda name: columns.get(name, 0), otypes=[np.int64])(steps)
    return Costs(
        steps=width,
        calls={number: columns.get(name, 0) + columns["poseidon2"] * (number == PERMUTE.number) for number, name in calls.items()},
        other_call=columns[calls[OTHER_CALL]],
        refresh=columns["refresh"],
        zero_word=columns["zero_init"],
        read_row=columns["read_rows"],
        write_row=columns["write_rows"],
        tensor=tensor_cells,
        compression=MIXINGS * columns[MixingChip.name] + PARTS * columns[CompressedWordsChip.name],
    )


def tensor_cells(execution: Execution) -> list[int]:
    """Cells of the rows of each tensor call, its own included. Elements that patterns read count for who reads them first."""
    columns = columns_of()
    chips = [chip for chip in machine().chips if isinstance(chip, TensorChip) and chip.first is None]
    cells = {call.ecall: sum(columns[chip.name] * chip.rows_of(call) for chip in chips) for call in execution.tensor_calls}
    for call in execution.tensor_calls:
        cells[call.ecall] += columns[Poseidon2Chip.name] * len(call.permuted[0])
    for call, rows in new_channels(execution):
        cells[call.ecall] += columns[ScaledChannelsChip.name] * rows
    for call, rows in new_elements(execution):
        cells[call.ecall] += columns[ElementsChip.name] * rows
    return list(cells.values())


def used_rows(recorder: Recorder, execution: Execution) -> dict[str, int]:
    """Used rows of every chip. Those that instructions and refreshes use were counted by the recorder: their records are gone."""
    steps, _ = serving_chips()
    rows = {chip.name: chip.rows(execution) for chip in machine().chips if chip.first is None}
    rows["refresh"] = recorder.refreshes
    for name in dict.fromkeys(steps.ravel().tolist()):
        if name:
            rows[name] = int(recorder.used[steps == name].sum())
    return rows


def near_boundaries(rows: dict[str, int], image: Image, chosen: Parameters, pad_to: int) -> frozenset[str]:
    """Chips whose tables would have other heights with an eighth fewer or more rows."""
    seen: list[tuple[int, ...]] = []
    for eighths in (7, 8, 9):
        try:
            seen.append(
                heights_for(
                    machine(),
                    {name: count * eighths // 8 for name, count in rows.items()},
                    image,
                    chosen.exempt,
                    pad_to,
                    split_price=chosen.split_price,
                )
            )
        except LimitError:
            seen.append((0,) * len(machine().chips))
    return frozenset(chip.first or chip.name for chip, *heights in zip(machine().chips, *seen, strict=True) if len(set(heights)) > 1)


def chip_costs(rows: dict[str, int], heights: tuple[int, ...], near: frozenset[str] = frozenset()) -> tuple[ChipCost, ...]:
    """Present chips in machine order; a second table counts for its chip."""
    columns = columns_of()
    both: dict[str, int] = {}
    for chip, height in zip(machine().chips, heights, strict=True):
        name = chip.first or chip.name
        both[name] = both.get(name, 0) + height
    calls = {chip.name for chip in machine().chips if chip.by_call}
    return tuple(ChipCost(name, rows[name], height, columns[name], name in near, name in calls) for name, height in both.items() if height)


def function_costs(recorder: Recorder) -> tuple[FunctionCost, ...]:
    """Cost of each function that ran; in a recursion its inner calls count once."""
    count = len(recorder.names)
    cycles = np.bincount(recorder.function, weights=recorder.row_cycles, minlength=count).astype(np.int64)
    cells = np.bincount(recorder.function, weights=recorder.row_cells, minlength=count).astype(np.int64)
    total_cycles, total_cells = [0] * count, [0] * count
    tree = recorder.tree
    for node in range(1, len(tree.parents)):
        seen, up = set(), node
        while up:
            seen.add(tree.functions[up])
            up = tree.parents[up]
        for function in seen:
            total_cycles[function] += tree.cycles[node]
            total_cells[function] += tree.cells[node]
    found = [
        FunctionCost(recorder.names[k], int(cycles[k]), int(cells[k]), total_cycles[k], total_cells[k])
        for k in range(count)
        if cycles[k] or total_cycles[k]
    ]
    return tuple(sorted(found, key=lambda entry: (-entry.cells, entry.name)))


def own_line(debug: DebugInformation, pc: int, scope: int) -> tuple[str, int] | None:
    """The line of the guest's own sources that an address, in this inlined call, comes from, be it by libraries'; None without one."""
    return next(((file, line) for file, line in debug.places(pc, scope) if file and not file.startswith(LIBRARY_FOLDERS)), None)


def line_costs(recorder: Recorder, debug: DebugInformation) -> tuple[LineCost, ...]:
    """Cost of each source line that ran; empty without line information."""
    names = debug.lines.names
    if not names:
        return ()
    pcs = recorder.image.program["pc"]
    files, numbers = debug.lines.find(pcs)
    cycles, cells = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    places = [(names[file] if file >= 0 else "", line) for file, line in zip(files.tolist(), numbers.tolist(), strict=True)]
    for row in np.flatnonzero(recorder.row_cycles).tolist():
        cycles[places[row]] += int(recorder.row_cycles[row])
        cells[places[row]] += int(recorder.row_cells[row])
    for (row, line_row), moved in recorder.call_cells.items():
        cells[places[row]] -= moved
        cells[own_line(debug, int(pcs[line_row]), int(recorder.scope[line_row])) or places[row]] += moved
    found = [LineCost(*place, cycles[place], cells[place]) for place in cells]
    return tuple(sorted(found, key=lambda entry: (-entry.cells, entry.file, entry.line)))


def call_paths(tree: CallTree, names: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], int, int], ...]:
    """Every call path with its own cost, in order of first call."""
    paths: list[tuple[str, ...]] = [()]
    for node in range(1, len(tree.parents)):
        paths.append((*paths[tree.parents[node]], names[tree.functions[node]]))
    return tuple((paths[node], tree.cycles[node], tree.cells[node]) for node in range(1, len(paths)) if tree.cycles[node])
