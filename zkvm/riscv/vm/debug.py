"""Traps told to people: the place in the source, the instructions around it, the calls that led there, the guest's own last words."""

from __future__ import annotations

import numpy as np

from zkvm.errors import Frame, GuestTrap, LimitError
from zkvm.riscv.isa.disasm import disassemble
from zkvm.riscv.records import Image
from zkvm.riscv.vm.dwarf import DebugInformation, read_debug
from zkvm.riscv.vm.executor import execute
from zkvm.riscv.vm.profiler import Costs, Recorder
from zkvm.riscv.vm.state import MachineState, symbol_at

MAX_REPLAY = 1 << 26
"""Cycles up to which a run is repeated for its call stack: nobody should wait for a message."""
NEIGHBOURS = 3
"""Instructions shown before and after the one that trapped."""
FRAMES_SHOWN = 16
"""Lines of a call stack that a message has; of a longer one, the innermost and some of the outermost."""
OUTERMOST_SHOWN = 4
LONGEST_CYCLE = 8
"""Calls that a repeated part of a call stack has at most: functions that call one another."""
SAID_BYTES = 2000
"""Of the guest's standard error, what a trap's message shows: its end."""


def frames_at(image: Image, debug: DebugInformation, pc: int) -> list[Frame]:
    """The function that holds ``pc``, after those that are inlined there, innermost first."""
    file, line = debug.lines.place(pc)
    frames = []
    for call in debug.inlined.outwards(int(debug.inlined.find(np.array([pc], np.uint64))[0])):
        frames.append(Frame(call.function, pc, file, line, inlined=True))
        file, line = call.file, call.line
    return [*frames, Frame(symbol_at(image, pc), pc, file, line)]


def call_stack(image: Image, debug: DebugInformation, pc: int, recorder: Recorder) -> tuple[Frame, ...]:
    """The frames of a guest that is at ``pc``, innermost first."""
    calls = [call.return_pc - 4 for call in reversed(recorder.stack)]
    places = calls if calls[:1] == [pc] else [pc, *calls]  # a call that leads nowhere is where the guest is, and has been made
    known = {place: frames_at(image, debug, place) for place in set(places)}
    return tuple(frame for place in places for frame in known[place])


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
        trap: as the executor raised it.
        image: of the ELF file.
        file: the content of the ELF file.
        stdin: private input of the run.
        said: whether to repeat what the guest wrote to its standard error, because nobody has seen it yet.
    """
    debug = read_debug(file)
    what, _, *registers = str(trap).splitlines()
    repeated = replay(image, stdin, trap)
    here = Frame(symbol_at(image, trap.pc), trap.pc, *debug.lines.place(trap.pc))
    frames = call_stack(image, debug, trap.pc, repeated[0]) if repeated else tuple(frames_at(image, debug, trap.pc))
    text = [what, f"  at pc 0x{trap.pc:08x} <{here.function}>{_source(here)}, after {trap.cycle} cycles", *_neighbourhood(image, trap.pc)]
    text += registers
    if repeated:
        text += call_lines(frames)
    else:
        text.append(f"  no call stack: the run is longer than {MAX_REPLAY} cycles")
    if not debug.lines.names:
        text.append("  no source lines: build with debug information (zkvm build keeps it)")
    if said and repeated and repeated[1]:
        text.append("  the guest's last words:")
        text += [f"    {line}" for line in repeated[1][-SAID_BYTES:].decode("utf-8", "replace").splitlines()]
    result = GuestTrap(trap.kind, "\n".join(text), trap.pc, trap.cycle)
    result.frames = frames
    return result


def call_lines(frames: tuple[Frame, ...]) -> list[str]:
    """A call stack as text, what repeats written once. Innermost first, as ``frames``."""
    lines: list[tuple[str, int]] = []  # a line and the calls that it stands for
    at = 0
    while at < len(frames):
        length, times = _repetition(frames, at)
        for frame in frames[at : at + length]:
            lines.append((f"    0x{frame.pc:08x}  {frame.function}{' (inlined)' * frame.inlined}{_source(frame)}", 1))
        if times > 1:
            again = "this call" if length == 1 else f"these {length} calls"
            lines.append((f"    ... {again} {times - 1:,} times more", length * (times - 1)))
        at += length * times
    text = [line for line, _ in lines]
    if len(lines) > FRAMES_SHOWN:
        inner, outer = FRAMES_SHOWN - OUTERMOST_SHOWN, len(lines) - OUTERMOST_SHOWN
        text[inner:outer] = [f"    ... and {sum(calls for _, calls in lines[inner:outer]):,} more"]
    depth = f" of {len(frames):,} calls" if len(frames) > FRAMES_SHOWN else ""
    return [f"  call stack{depth}, innermost first:", *text]


def _repetition(frames: tuple[Frame, ...], at: int) -> tuple[int, int]:
    """How many calls from ``at`` on repeat, and how often in all; (1, 1) if writing that would save no line."""
    for length in range(1, LONGEST_CYCLE + 1):
        times = 1
        while frames[at + times * length : at + (times + 1) * length] == frames[at : at + length] != ():
            times += 1
        if length * (times - 1) > 1:
            return length, times
    return 1, 1


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
