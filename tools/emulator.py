"""Runs a guest under Unicorn (QEMU's RISC-V core): an opinion on what a guest does that shares no code with this project.

The system calls follow the guest ABI: read(0), write(1, 2, 3), brk, exit, exit_group, and 4096, the number of
instructions executed before it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import capstone
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import riscv_const as registers

MEMORY_TOP = 0x1000_0000
STACK_BYTES = 1 << 20
PAGE = 0x1000


@dataclass(slots=True)
class Result:
    """What a run did; ``mnemonics`` counts executed instructions by name."""

    exit_code: int | None = None
    journal: bytes = b""
    stdout: bytes = b""
    stderr: bytes = b""
    mnemonics: Counter[str] = field(default_factory=Counter)

    @property
    def cycles(self) -> int:
        """Executed instructions, the final ecall included."""
        return sum(self.mnemonics.values())


class Emulator:
    """One run of one ELF file."""

    def __init__(self, elf: Path | str, stdin: bytes, heap_bytes: int = 1 << 20) -> None:
        self.result = Result()
        self._stdin = stdin
        self._core = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        self._blocks: Counter[tuple[int, int]] = Counter()
        self._executed = 0
        self._load(Path(elf), heap_bytes)
        self._core.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        self._core.hook_add(unicorn.UC_HOOK_INTR, self._on_trap)

    def run(self) -> Result:
        """Runs to the exit call; raises ``unicorn.UcError`` or ``RuntimeError`` on anything else."""
        self._core.emu_start(self._entry, 0xFFFF_FFFC)
        if self.result.exit_code is None:
            raise RuntimeError("the guest stopped without an exit call")
        decoder = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32)
        for (address, size), count in self._blocks.items():
            code = bytes(self._core.mem_read(address, size))
            names = [name for _, _, name, _ in decoder.disasm_lite(code, address)]
            if len(names) * 4 != size:
                raise RuntimeError(f"undecodable instruction in the block at {address:#x}")
            for name in names:
                self.result.mnemonics[name] += count
        return self.result

    def _load(self, path: Path, heap_bytes: int) -> None:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            self._entry = int(elf["e_entry"])
            end = 0
            for segment in elf.iter_segments("PT_LOAD"):
                start, size = segment["p_vaddr"], segment["p_memsz"]
                first = start & -PAGE
                self._core.mem_map(first, -(-(start + size - first) // PAGE) * PAGE)
                self._core.mem_write(start, segment.data())
                end = max(end, start + size)
        self._heap_start = self._break = -(-end // 16) * 16
        self._heap_limit = self._heap_start + heap_bytes
        heap_page = -(-end // PAGE) * PAGE
        self._core.mem_map(heap_page, -(-heap_bytes // PAGE) * PAGE + PAGE)
        self._core.mem_map(MEMORY_TOP - STACK_BYTES, STACK_BYTES)
        self._core.reg_write(registers.UC_RISCV_REG_SP, MEMORY_TOP - 16)

    def _on_block(self, core: unicorn.Uc, address: int, size: int, _: object) -> None:
        self._blocks[address, size] += 1
        self._executed += size // 4

    def _on_trap(self, core: unicorn.Uc, number: int, _: object) -> None:
        if number != 8:
            raise RuntimeError(f"exception {number} at pc {core.reg_read(registers.UC_RISCV_REG_PC):#x}")
        call, *arguments = (
            core.reg_read(register)
            for register in (
                registers.UC_RISCV_REG_A7,
                registers.UC_RISCV_REG_A0,
                registers.UC_RISCV_REG_A1,
                registers.UC_RISCV_REG_A2,
            )
        )
        core.reg_write(registers.UC_RISCV_REG_A0, self._system_call(call, *arguments) & 0xFFFF_FFFF)

    def _system_call(self, call: int, a0: int, a1: int, a2: int) -> int:
        if call in (93, 94):
            self.result.exit_code = a0
            self._core.emu_stop()
            return a0
        if call == 63:
            return self._read(a1, a2) if a0 == 0 else -9
        if call == 64:
            return self._write(a0, a1, a2) if a0 in (1, 2, 3) else -9
        if call == 214:
            if self._heap_start <= a0 <= self._heap_limit:
                self._break = a0
            return self._break
        if call == 4096:
            return self._executed - 1  # the call ends its block
        return -38

    def _read(self, buffer: int, length: int) -> int:
        data, self._stdin = self._stdin[:length], self._stdin[length:]
        self._core.mem_write(buffer, data)
        return len(data)

    def _write(self, descriptor: int, buffer: int, length: int) -> int:
        data = bytes(self._core.mem_read(buffer, length))
        name = {1: "stdout", 2: "stderr", 3: "journal"}[descriptor]
        setattr(self.result, name, getattr(self.result, name) + data)
        return length


def emulate(elf: Path | str, stdin: bytes = b"") -> Result:
    """Runs ``elf`` with ``stdin`` as its private input."""
    return Emulator(elf, stdin).run()
