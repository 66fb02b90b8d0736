"""What debug information says about addresses: functions, source lines; and traps told to people.

Line tables are DWARF (version 5, section 6.2; earlier versions too), read by pyelftools. They are in no segment, so the image ID
does not depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray

from zkvm.errors import Frame, GuestTrap, LimitError
from zkvm.isa.disasm import disassemble
from zkvm.records import Image
from zkvm.vm.executor import execute
from zkvm.vm.image import LOWEST_ADDRESS
from zkvm.vm.profiler import Costs, Recorder
from zkvm.vm.state import MachineState, symbol_at

MAX_REPLAY = 1 << 26
"""Cycles up to which a run is repeated for its call stack: seconds."""
NEIGHBOURS = 3
"""Instructions shown before and after the one that trapped."""
FRAMES_SHOWN = 16
SAID_BYTES = 2000
"""Of the guest's standard error, what a trap's message shows: its end."""


@dataclass(frozen=True)
class LineTable:
    """Source lines by address.

    Attributes:
        starts: (k,) uint64 ascending. files: (k,) int64 index into names, -1 where nothing is known. lines: (k,) int64.
    """

    starts: NDArray[np.uint64]
    files: NDArray[np.int64]
    lines: NDArray[np.int64]
    names: tuple[str, ...]

    def find(self, addresses: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """File index (-1: unknown) and line of each address."""
        if not len(self.starts):
            return np.full(len(addresses), -1, np.int64), np.zeros(len(addresses), np.int64)
        place = np.searchsorted(self.starts, addresses, side="right") - 1
        known = place >= 0
        return np.where(known, self.files[place], -1), np.where(known, self.lines[place], 0)

    def place(self, pc: int) -> tuple[str, int]:
        """File and line of one address; ('', 0) if unknown."""
        file, line = (int(values[0]) for values in self.find(np.array([pc], np.uint64)))
        return (self.names[file], line) if file >= 0 else ("", 0)


def read_lines(file: bytes) -> LineTable:
    """The line table of an ELF file; empty if it has none, or one that cannot be read: nothing that is proven depends on it."""
    names: dict[str, int] = {}
    rows: list[tuple[int, int, int, int]] = []  # address, 0 for the end of a sequence, file, line
    try:
        elf = ELFFile(BytesIO(file))
        if elf.has_dwarf_info():
            dwarf = elf.get_dwarf_info()
            for unit in dwarf.iter_CUs():
                program = dwarf.line_program_for_CU(unit)
                if program is not None:
                    rows += _unit_rows(program, names)
    except Exception:  # pyelftools raises many kinds on malformed tables; a guest without line numbers is still a guest
        names, rows = {}, []
    rows.sort(key=lambda row: row[:2])
    last = {row[0]: row for row in rows}  # of several rows for one address the last says what runs there
    kept = [last[address] for address in sorted(last)]
    columns = np.array(kept, np.int64).reshape(-1, 4)
    return LineTable(columns[:, 0].astype(np.uint64), columns[:, 2], columns[:, 3], tuple(names))


def _unit_rows(program: Any, names: dict[str, int]) -> list[tuple[int, int, int, int]]:
    header = program.header
    first = 0 if header["version"] >= 5 else 1
    files: dict[int, int] = {}
    for number, entry in enumerate(header["file_entry"]):
        name = entry.name.decode("utf-8", "replace")
        folder = int(entry.dir_index) - first
        if 0 <= folder < len(header["include_directory"]) and not name.startswith("/"):
            directory = header["include_directory"][folder].decode("utf-8", "replace")
            name = f"{directory}/{name}" if directory not in ("", ".") else name
        files[number + first] = names.setdefault(name.removeprefix("./"), len(names))
    rows: list[tuple[int, int, int, int]] = []
    begin = 0
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.end_sequence:
            rows.append((int(state.address), 0, -1, 0))
            if rows[begin][0] < LOWEST_ADDRESS:  # a function that the linker dropped: its lines are left, at address 0
                del rows[begin:]
            begin = len(rows)
        elif state.line:  # line 0: made by the compiler, belongs to what is before it
            rows.append((int(state.address), 1, files.get(int(state.file), -1), int(state.line)))
    return rows


def call_stack(image: Image, lines: LineTable, pc: int, recorder: Recorder) -> tuple[Frame, ...]:
    """The frames of a guest that is at ``pc``, innermost first."""
    calls = [call.return_pc - 4 for call in reversed(recorder.stack)]
    places = calls if calls[:1] == [pc] else [pc, *calls]  # a call that leads nowhere is where the guest is, and has been made
    return tuple(Frame(symbol_at(image, place), place, *lines.place(place)) for place in places)


def replay(image: Image, stdin: bytes, trap: GuestTrap) -> tuple[Recorder, bytes] | None:
    """Run again to the trap: the shadow stack there, and the end of what the guest wrote to standard error. None if too long."""
    if trap.cycle > MAX_REPLAY:
        return None
    recorder, said = Recorder(image, Costs.nothing()), bytearray()
    state: list[MachineState] = []

    def watched(machine: MachineState, limit: int) -> int:
        state[:] = [machine]
        return recorder.run(machine, limit)

    try:
        execute(image, stdin, stderr=said.extend, runner=watched, max_cycles=trap.cycle + 1)
    except (GuestTrap, LimitError):
        recorder.look(state[0])
        recorder.arrive(state[0].row)
    return recorder, bytes(said)


def explain(trap: GuestTrap, image: Image, file: bytes, stdin: bytes, *, said: bool) -> GuestTrap:
    """A trap with its place in the source, the instructions around it, the registers, the calls, and the guest's own last words.

    Args:
        trap: as the executor raised it. file: the ELF file. stdin: of the run.
        said: whether to repeat what the guest wrote to its standard error, because nobody has seen it yet.
    """
    lines = read_lines(file)
    what, _, *registers = str(trap).splitlines()
    repeated = replay(image, stdin, trap)
    here = Frame(symbol_at(image, trap.pc), trap.pc, *lines.place(trap.pc))
    frames = call_stack(image, lines, trap.pc, repeated[0]) if repeated else (here,)
    text = [what, f"  at pc 0x{trap.pc:08x} <{here.function}>{_source(here)}, after {trap.cycle} cycles", *_neighbourhood(image, trap.pc)]
    text += registers
    if repeated:
        text.append("  call stack, innermost first:")
        text += [f"    0x{frame.pc:08x}  {frame.function}{_source(frame)}" for frame in frames[:FRAMES_SHOWN]]
        text += [f"    ... and {len(frames) - FRAMES_SHOWN} more"] if len(frames) > FRAMES_SHOWN else []
    else:
        text.append(f"  no call stack: the run is longer than {MAX_REPLAY} cycles")
    if not lines.names:
        text.append("  no source lines: build with debug information (zkvm build keeps it)")
    if said and repeated and repeated[1]:
        text.append("  the guest's last words:")
        text += [f"    {line}" for line in repeated[1][-SAID_BYTES:].decode("utf-8", "replace").splitlines()]
    result = GuestTrap(trap.kind, "\n".join(text), trap.pc, trap.cycle)
    result.frames = frames
    return result


def _source(frame: Frame) -> str:
    return f", {frame.file}:{frame.line}" if frame.file else ""


def _neighbourhood(image: Image, pc: int) -> list[str]:
    """The instructions around ``pc``."""
    wanted = np.arange(pc - 4 * NEIGHBOURS, pc + 4 * NEIGHBOURS + 4, 4, dtype=np.int64) & ~3
    place = np.searchsorted(image.rom_address, wanted.astype(np.uint64))
    text = []
    for address, position in zip(wanted.tolist(), place.tolist(), strict=True):
        if position < len(image.rom_address) and int(image.rom_address[position]) == address:
            mark = "->" if address == pc & ~3 else "  "
            text.append(f"    {mark} 0x{address:08x}  {disassemble(int(image.rom_value[position]), address)}")
    return text
