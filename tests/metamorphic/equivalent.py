"""Pairs of programs that must compute the same: a random program, and one whose instructions are replaced by sequences of others."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.riscv.vm.programs import BASE, DUMPED, FREE, REGION, ProgramWriter
from zkvm.riscv.records import Image
from zkvm.riscv.vm.assemble import DATA, EXIT, Item, Operand, assemble

T1, T2, T3 = "x25", "x26", "x27"
"""Registers that only rewritten instructions use."""
SIGN = 0x8_0000
"""Upper immediate of 2^31."""
VISIBLE = tuple(number for number in DUMPED if f"x{number}" in FREE)
"""Registers whose final values are output: not those that hold code addresses or scratch."""


class PairWriter(ProgramWriter):
    """A random program without code addresses in its data, so that it may be rewritten; its items are kept."""

    def body(self) -> list[Item]:
        """The program's text."""
        rng = self.rng
        self.items += [("li", register, rng.getrandbits(32) if rng.random() < 0.5 else rng.randrange(-9, 9)) for register in FREE]
        self.items.append(("li", BASE, DATA + REGION // 2))
        self.functions = [self.label()]
        for _ in range(rng.randrange(3, 7)):
            rng.choice((self.straight, self.memory, self.loop, self.forward, self.backward, self.call))()
        self.items += ["end", ("li", BASE, DATA + REGION // 2)]
        self.items += [("sw", f"x{number}", BASE, 4 * number) for number in VISIBLE]
        self.items += [("li", "a0", 3), ("li", "a1", DATA), ("li", "a2", REGION), ("li", "a7", 64), "commit", ("ecall",)]
        self.items += [("li", "a0", 0), *EXIT]
        for name in self.functions:
            self.items.append(name)
            self.straight()
            self.items.append(("jalr", 0, "ra", 0))
        return [("lui", *item[1:]) if item[0] == "auipc" else item for item in self.items]


Rewrite = Callable[[Operand, Operand, Operand], list[Item]]

THREE: dict[str, Rewrite] = {
    "add": lambda d, a, b: [("sub", T1, 0, b), ("sub", d, a, T1)],
    "sub": lambda d, a, b: [("xori", T1, b, -1), ("addi", T1, T1, 1), ("add", d, a, T1)],
    "xor": lambda d, a, b: [("or", T1, a, b), ("and", T2, a, b), ("sub", d, T1, T2)],
    "or": lambda d, a, b: [("xor", T1, a, b), ("and", T2, a, b), ("add", d, T1, T2)],
    "and": lambda d, a, b: [("or", T1, a, b), ("xor", T2, a, b), ("sub", d, T1, T2)],
    "slt": lambda d, a, b: [("lui", T1, SIGN), ("xor", T2, a, T1), ("xor", T3, b, T1), ("sltu", d, T2, T3)],
    "sltu": lambda d, a, b: [("lui", T1, SIGN), ("xor", T2, a, T1), ("xor", T3, b, T1), ("slt", d, T2, T3)],
    "sll": lambda d, a, b: [("li", T1, 1), ("sll", T1, T1, b), ("mul", d, a, T1)],
    "srl": lambda d, a, b: [("li", T1, 1), ("sll", T1, T1, b), ("divu", d, a, T1)],
    "sra": lambda d, a, b: [("srai", T1, a, 31), ("xor", T2, a, T1), ("srl", T2, T2, b), ("xor", d, T2, T1)],
    "mul": lambda d, a, b: [("sub", T1, 0, a), ("mul", T2, T1, b), ("sub", d, 0, T2)],
    "mulh": lambda d, a, b: [("srai", T1, b, 31), ("and", T1, T1, a), ("mulhsu", T2, a, b), ("sub", d, T2, T1)],
    "mulhsu": lambda d, a, b: [("srai", T1, a, 31), ("and", T1, T1, b), ("mulhu", T2, a, b), ("sub", d, T2, T1)],
    "mulhu": lambda d, a, b: [("srai", T1, a, 31), ("and", T1, T1, b), ("mulhsu", T2, a, b), ("add", d, T2, T1)],
    "rem": lambda d, a, b: [("div", T1, a, b), ("mul", T1, T1, b), ("sub", d, a, T1)],
    "remu": lambda d, a, b: [("divu", T1, a, b), ("mul", T1, T1, b), ("sub", d, a, T1)],
}
"""Register instructions by others; the scratch registers are written before the destination, which may be an operand."""

IMMEDIATE = {
    "addi": "add", "slti": "slt", "sltiu": "sltu", "xori": "xor", "ori": "or", "andi": "and", "slli": "sll", "srli": "srl", "srai": "sra",
}  # fmt: skip
OPPOSITE = {"beq": "bne", "bne": "beq", "blt": "bge", "bge": "blt", "bltu": "bgeu", "bgeu": "bltu"}


def rewritten_access(name: str, register: Operand, base: Operand, offset: int) -> list[Item] | None:
    """A load or store by narrower ones."""
    match name:
        case "lw":
            return [("lhu", T1, base, offset), ("lh", T2, base, offset + 2), ("slli", T2, T2, 16), ("or", register, T1, T2)]
        case "lh" | "lhu":
            high = "lb" if name == "lh" else "lbu"
            return [("lbu", T1, base, offset), (high, T2, base, offset + 1), ("slli", T2, T2, 8), ("or", register, T1, T2)]
        case "lb":
            return [("lbu", T1, base, offset), ("slli", T1, T1, 24), ("srai", register, T1, 24)]
        case "lbu":
            return [("lb", T1, base, offset), ("andi", register, T1, 255)]
        case "sw":
            return [("srli", T1, register, 16), ("sh", register, base, offset), ("sh", T1, base, offset + 2)]
        case "sh":
            return [("srli", T1, register, 8), ("sb", register, base, offset), ("sb", T1, base, offset + 1)]
    return None


def rewrite(items: list[Item], seed: int) -> list[Item]:
    """Another program with the same effect on everything visible."""
    rng = random.Random(seed)
    result: list[Item] = []
    for number, item in enumerate(items):
        if isinstance(item, str) or rng.random() < 0.25:
            result.append(item)
            continue
        name, *rest = item
        replaced: list[Item] | None = None
        if name in THREE:
            replaced = THREE[str(name)](rest[0], rest[1], rest[2])
        elif name in IMMEDIATE and rest[0] not in (T1, T2, T3):
            replaced = [("li", T3, rest[2]), (IMMEDIATE[str(name)], rest[0], rest[1], T3)]
        elif name in OPPOSITE:
            skip = f"skip{number}"
            replaced = [(OPPOSITE[str(name)], rest[0], rest[1], skip), ("j", rest[2]), skip]
        elif len(rest) == 3 and isinstance(rest[2], int):
            replaced = rewritten_access(str(name), rest[0], rest[1], rest[2])
        result += [item] if replaced is None else replaced
        if rng.random() < 0.1:
            result.append((rng.choice(("mul", "sltu", "divu")), rng.choice((T1, T2, T3)), rng.choice(FREE), rng.choice(FREE)))
    return result


def pair(seed: int) -> tuple[Image, Image]:
    """A random program and its rewriting."""
    writer = PairWriter(seed)
    items = writer.body()
    content = bytes(writer.rng.getrandbits(8) for _ in range(REGION // 2))
    first = assemble(items, data=content, bss=REGION // 2)
    return first, assemble(rewrite(items, seed), data=content, bss=REGION // 2)
