"""Random programs, and Unicorn (QEMU's RISC-V core) as a second opinion on what a program does."""

from __future__ import annotations

import random

import numpy as np
import unicorn
from unicorn import riscv_const

from zkvm.riscv.records import Image
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, assemble

CORNERS = (0, 1, 2, 0xFFFF_FFFF, 0xFFFF_FFFE, 0x8000_0000, 0x8000_0001, 0x7FFF_FFFF, 31, 32, 33, 0xFFFF, 0x1_0000)
REGION = 4096
"""Bytes of data that a random program works on."""
BASE = "s0"
"""Register that points into the middle of the region."""
OUTER, INNER = "s1", "s2"
"""Loop counters."""
FREE = [f"x{number}" for number in (0, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 28, 29, 30, 31)]
"""Registers that random instructions may use, x0 among them."""
SCRATCH = "x24"
DUMPED = tuple(number for number in range(1, 32) if number not in (2, 3, 4))

REGISTER_OPS = (
    "add", "sub", "sll", "slt", "sltu", "xor", "srl", "sra", "or", "and", "mul", "mulh", "mulhsu", "mulhu", "div", "divu", "rem", "remu",
)  # fmt: skip
IMMEDIATE_OPS = ("addi", "slti", "sltiu", "xori", "ori", "andi")
SHIFT_OPS = ("slli", "srli", "srai")
BRANCHES = ("beq", "bne", "blt", "bge", "bltu", "bgeu")
LOAD_SIZES = {"lb": 1, "lh": 2, "lw": 4, "lbu": 1, "lhu": 2}
STORE_SIZES = {"sb": 1, "sh": 2, "sw": 4}


def random_word(rng: random.Random) -> int:
    """A 32-bit value, often a corner."""
    choice = rng.random()
    if choice < 0.5:
        return rng.choice(CORNERS)
    return rng.getrandbits(32) if choice < 0.8 else rng.randrange(-40, 40) & 0xFFFF_FFFF


class ProgramWriter:
    """Writes one random program that ends: straight code, memory, loops, branches forward and backward, calls."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.items: list[Item] = []
        self.functions: list[str] = []
        self._labels = 0

    def write(self) -> Image:
        """The program: it dumps its registers into the region, writes the region to the journal and exits with 0."""
        rng = self.rng
        self.items += [("li", register, random_word(rng)) for register in FREE]
        self.items.append(("li", BASE, DATA + REGION // 2))
        self.functions = [self.label() for _ in range(2)]
        for _ in range(rng.randrange(2, 7)):
            rng.choice((self.straight, self.memory, self.loop, self.forward, self.backward, self.call))()
        self.items += ["end", ("li", BASE, DATA + REGION // 2)]
        self.items += [("sw", f"x{number}", BASE, 4 * number) for number in DUMPED]
        self.items += [("li", "a0", 3), ("li", "a1", DATA), ("li", "a2", REGION), ("li", "a7", 64), "call", ("ecall",)]
        self.items += [("li", "a0", 0), *EXIT]
        for name in self.functions:
            self.items.append(name)
            self.straight()
            self.items.append(("jalr", 0, "ra", rng.choice((0, 1))))  # the lowest bit of the target is cleared
        content = bytes(rng.getrandbits(8) for _ in range(REGION // 2))
        return assemble(self.items, data=content, bss=REGION // 2)

    def label(self) -> str:
        self._labels += 1
        return f"label{self._labels}"

    def reg(self) -> str:
        return self.rng.choice(FREE)

    def straight(self) -> None:
        rng = self.rng
        for _ in range(rng.randrange(1, 12)):
            kind = rng.random()
            if kind < 0.5:
                self.items.append((rng.choice(REGISTER_OPS), self.reg(), self.reg(), self.reg()))
            elif kind < 0.7:
                self.items.append((rng.choice(IMMEDIATE_OPS), self.reg(), self.reg(), rng.randrange(-2048, 2048)))
            elif kind < 0.85:
                self.items.append((rng.choice(SHIFT_OPS), self.reg(), self.reg(), rng.randrange(32)))
            elif kind < 0.95:
                self.items.append((rng.choice(("lui", "auipc")), self.reg(), rng.getrandbits(20)))
            else:
                self.items.append(("fence",))

    def memory(self) -> None:
        rng = self.rng
        for _ in range(rng.randrange(1, 10)):
            sizes = rng.choice((LOAD_SIZES, STORE_SIZES))
            name = rng.choice(list(sizes))
            if rng.random() < 0.5:
                offset = rng.randrange(-2048, 2048) & -sizes[name]
                self.items.append((name, self.reg(), BASE, offset))
            else:
                low = rng.randrange(0, 4, sizes[name])
                self.items += [("andi", SCRATCH, self.reg(), 0x7F0), ("add", SCRATCH, SCRATCH, BASE)]
                self.items.append((name, self.reg(), SCRATCH, low - rng.choice((0, 1024, 2048))))

    def loop(self) -> None:
        start, inner, rng = self.label(), self.label(), self.rng
        self.items += [("li", OUTER, rng.randrange(1, 9)), start]
        self.straight()
        self.items += [("li", INNER, rng.randrange(1, 5)), inner]
        self.memory()
        self.items += [("addi", INNER, INNER, -1), ("bnez", INNER, inner)]
        self.items += [("addi", OUTER, OUTER, -1), ("blt", 0, OUTER, start)]

    def forward(self) -> None:
        skip = self.label()
        self.items.append((self.rng.choice(BRANCHES), self.reg(), self.reg(), skip))
        self.straight()
        self.items.append(skip)

    def backward(self) -> None:
        """A branch back that is taken at most once: the code before it is entered by a jump over it."""
        body, test, done = self.label(), self.label(), self.label()
        self.items += [("j", test), body]
        self.straight()
        self.items += [("j", done), test, (self.rng.choice(BRANCHES), self.reg(), self.reg(), body), done]

    def call(self) -> None:
        self.items.append(("call", self.rng.choice(self.functions)))


def random_program(seed: int) -> Image:
    """One random program; its journal is its whole final state."""
    return ProgramWriter(seed).write()


def label_address(image: Image, label: str) -> int:
    """Address of a label in the text."""
    return next(address for address, name in image.symbols if name == label)


def run_unicorn(image: Image, stop: int, start: int, length: int) -> bytes:
    """Run an image without system calls under Unicorn from its entry to ``stop``; then bytes [start, start + length)."""
    core = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    addresses = np.concatenate([image.rom_address, image.ram_address[:-37]])
    values = np.concatenate([image.rom_value, image.ram_value[:-37]])
    pages = addresses >> np.uint64(12)
    for page in sorted({*pages.tolist(), *range(start >> 12, (start + length + 4095) >> 12)}):
        core.mem_map(page << 12, 4096)
        content = np.zeros(1024, "<u4")
        content[(addresses[pages == page] // np.uint64(4)).astype(np.int64) % 1024] = values[pages == page]
        core.mem_write(page << 12, content.tobytes())
    core.reg_write(riscv_const.UC_RISCV_REG_SP, image.initial_sp)
    core.emu_start(image.entry, stop)
    if core.reg_read(riscv_const.UC_RISCV_REG_PC) != stop:
        raise RuntimeError("Unicorn stopped early")
    return bytes(core.mem_read(start, length))
