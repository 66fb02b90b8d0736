"""Readable twins of the tape kernel and of the quotient's division: the same results in plain numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air import operations as ops
from zkvm.stark.air.tape import Tape
from zkvm.stark.field import extension
from zkvm.stark.field import goldilocks as gl

U64 = NDArray[np.uint64]


def run_tape(tape: Tape, params: Sequence[int], main: U64, pre: U64, bus: U64, following: U64, powers: U64 | None) -> U64:
    """Interpret a tape, an operation at a time on all rows.

    Args:
        tape: the tape.
        params: the runtime constants.
        main: (w, m) main columns.
        pre: (v, m) preprocessed columns.
        bus: (b, m) bus columns.
        following: (b, m) bus columns at the next row.
        powers: (k, 3) challenge powers of an accumulating tape, else None.

    Returns:
        (outputs, m), or (9, m) sums by group.
    """
    rows = main.shape[1]
    pool = tape.pool(params)
    registers = np.zeros((tape.registers, rows), np.uint64)
    out = np.zeros((tape.outputs if powers is None else 9, rows), np.uint64)
    sources = {ops.OP_MAIN: main, ops.OP_PRE: pre, ops.OP_BUS: bus, ops.OP_NEXT: following}
    binary = {ops.OP_ADD: gl.add, ops.OP_SUB: gl.sub, ops.OP_MUL: gl.mul}
    code = tape.code.tolist()
    for step, (operation, a, b, target, a1, a2, b1, b2, target1, target2) in enumerate(code):
        terms = [(row[1], row[2]) for row in code[step + 1 : step + 1 + a]] if operation in (ops.OP_ACC, ops.OP_EXT_SUM) else []
        if operation in sources:
            registers[target] = sources[operation][a]
        elif operation in binary:
            registers[target] = binary[operation](registers[a], registers[b])
        elif operation == ops.OP_ADDK:
            registers[target] = gl.add(registers[a], pool[b])
        elif operation == ops.OP_MULK:
            registers[target] = gl.mul(registers[a], pool[b])
        elif operation == ops.OP_RSUBK:
            registers[target] = gl.sub(pool[b], registers[a])
        elif operation == ops.OP_FILL:
            registers[target] = pool[a]
        elif operation == ops.OP_SUBMULK:
            registers[target] = gl.sub(registers[target], gl.mul(registers[a], pool[b]))
        elif operation == ops.OP_COPY:
            registers[target] = registers[a]
        elif operation == ops.OP_EXT_MUL:
            product = extension.mul(registers[[a, a1, a2]].T, registers[[b, b1, b2]].T)
            registers[[target, target1, target2]] = product.T
        elif operation == ops.OP_EXT_SUM:
            total = np.repeat(pool[b : b + 3, None], rows, axis=1)
            for register, factor in terms:
                total = gl.add(total, gl.mul(pool[factor : factor + 3, None], registers[register]))
            registers[[target, target1, target2]] = total
        elif operation == ops.OP_OUT:
            out[target] = registers[a]
        elif operation == ops.OP_ACC:
            assert powers is not None, "an accumulating tape needs challenge powers"
            for register, number in terms:
                product = gl.mul(powers[number, :, None], registers[register])
                out[3 * b : 3 * b + 3] = gl.add(out[3 * b : 3 * b + 3], product)
    return out


def combine_groups(sums: U64, inverses: U64) -> U64:
    """Sums (9, m) of the three groups times their inverse vanishing polynomials (3, m), added: (3, m)."""
    terms = [gl.mul(sums[3 * group : 3 * group + 3], inverses[group]) for group in range(3)]
    return gl.add(gl.add(terms[0], terms[1]), terms[2])
