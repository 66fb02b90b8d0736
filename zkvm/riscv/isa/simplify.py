"""RV32IM words -> rows of the program table: the machine's own, smaller instruction set.

What a row means is said at :data:`zkvm.riscv.records.PROGRAM_ROW`. The rules, all applied when a program is loaded:

- ``lui``, ``auipc`` become ``ADDI`` from x0; ``fence`` becomes ``ADDI`` from x0 to the sink;
- ``slli`` by s >= 1 becomes ``MULI`` by 2^s, ``srli`` ``MULHUI`` and ``srai`` ``MULHSUI`` by 2^(32 - s); by 0, ``ADDI`` 0;
- branch and jump targets and link values become constants; writes to x0 go to the sink; ``ebreak`` becomes ``TRAP``;
- a word that is not RV32IM has no row: reaching it is unprovable.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.riscv.isa import decode, opcodes
from zkvm.riscv.isa.rv32im import ENCODINGS, Encoding, Format
from zkvm.riscv.records import PROGRAM_ROW

MASK32 = 0xFFFF_FFFF

OPERATIONS: dict[str, int] = {name.lower(): operation for operation, name in opcodes.NAMES.items()}
OPERATIONS |= {"lui": opcodes.ADDI, "auipc": opcodes.ADDI, "fence": opcodes.ADDI, "ebreak": opcodes.TRAP}
OPERATIONS |= {"slli": opcodes.MULI, "srli": opcodes.MULHUI, "srai": opcodes.MULHSUI}
"""Mnemonic -> operation (for shifts by a constant: by s >= 1)."""


def simplify(pcs: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[Any]:
    """Program rows of the RV32IM words among ``words``.

    Args:
        pcs: (n,) int64 byte addresses, ascending multiples of 4.
        words: (n,) int64 in [0, 2^32).

    Returns:
        (m,) PROGRAM_ROW, m <= n, ascending pc.
    """
    rows = np.zeros(len(words), PROGRAM_ROW)
    rows["pc"] = pcs
    for encoding in ENCODINGS:
        index = np.flatnonzero((words & encoding.mask) == encoding.match)
        if index.size:
            fields = _fields(encoding, pcs[index], words[index])
            rows["op"][index] = OPERATIONS[encoding.name]
            for name, value in fields.items():
                rows[name][index] = value
    decoded: NDArray[Any] = rows[rows["op"] != 0]
    return decoded


def _destination(words: NDArray[np.int64]) -> NDArray[np.int64]:
    number = decode.rd(words)
    return np.where(number == 0, opcodes.SINK, opcodes.REGISTER_BASE + number)


def _source(number: NDArray[np.int64]) -> NDArray[np.int64]:
    return opcodes.REGISTER_BASE + number


def _fields(encoding: Encoding, pcs: NDArray[np.int64], words: NDArray[np.int64]) -> dict[str, Any]:
    """Values of the row's fields other than pc and op; ``op`` only where it is not OPERATIONS[name]."""
    match encoding.format:
        case Format.R:
            return {"rd": _destination(words), "rs1": _source(decode.rs1(words)), "rs2": _source(decode.rs2(words))}
        case Format.I | Format.LOAD:
            return {"rd": _destination(words), "rs1": _source(decode.rs1(words)), "imm": decode.imm_i(words) & MASK32}
        case Format.JALR:
            fields = {"rd": _destination(words), "rs1": _source(decode.rs1(words)), "imm": decode.imm_i(words) & MASK32}
            return fields | {"rs2": pcs + 4}
        case Format.SHIFT:
            return _shift_fields(encoding.name, words)
        case Format.S:
            return {"rs1": _source(decode.rs1(words)), "rs2": _source(decode.rs2(words)), "imm": decode.imm_s(words) & MASK32}
        case Format.B:
            target = (pcs + decode.imm_b(words)) & MASK32
            return {"rs1": _source(decode.rs1(words)), "rs2": _source(decode.rs2(words)), "imm": target}
        case Format.U:
            base = pcs if encoding.name == "auipc" else 0
            return {"rd": _destination(words), "rs1": opcodes.REGISTER_BASE, "imm": (decode.imm_u(words) + base) & MASK32}
        case Format.J:
            return {"rd": _destination(words), "rs1": pcs + 4, "imm": (pcs + decode.imm_j(words)) & MASK32}
        case Format.NONE:
            return {"rd": opcodes.SINK, "rs1": opcodes.REGISTER_BASE} if encoding.name == "fence" else {}


def _shift_fields(name: str, words: NDArray[np.int64]) -> dict[str, Any]:
    """A shift by s >= 1 is a multiplication; by 0 it is ``ADDI`` 0."""
    amount = decode.rs2(words)
    power = np.int64(1) << (amount if name == "slli" else 32 - amount)
    return {
        "op": np.where(amount == 0, opcodes.ADDI, OPERATIONS[name]),
        "rd": _destination(words),
        "rs1": _source(decode.rs1(words)),
        "imm": np.where(amount == 0, 0, power),
    }
