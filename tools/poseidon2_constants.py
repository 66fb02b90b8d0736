"""Prints the table of round constants in ``zkvm/riscv/isa/poseidon2.py``, from the public rule that makes them.

The rule is that of the Poseidon paper (https://eprint.iacr.org/2019/458, appendix E): a linear feedback register of 80 bits, seeded with
the parameters of the permutation, whose output is shrunk by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from zkvm.riscv.isa.poseidon2 import HALF_ROUNDS, INNER_ROUNDS, WIDTH
from zkvm.stark.field.goldilocks import P

TAPS = (0, 13, 23, 38, 51, 62)
IDLE = 160
"""Steps before the first bit is taken."""
SEED = ((1, 2), (0, 4), (P.bit_length(), 12), (WIDTH, 12), (2 * HALF_ROUNDS, 10), (INNER_ROUNDS, 10), ((1 << 30) - 1, 30))
"""Kind of field, kind of S-box, bits of an element, width, both numbers of rounds, ones: each a number and its bits, the highest first."""
PER_LINE = 7


def _stepped() -> Iterator[int]:
    """The bits that the register takes in, one a step."""
    register = [number >> (width - 1 - k) & 1 for number, width in SEED for k in range(width)]
    while True:
        new = sum(register[tap] for tap in TAPS) % 2
        register = [*register[1:], new]
        yield new


def _shrunk() -> Iterator[int]:
    """Of two bits each, the second, where the first is 1."""
    bits = _stepped()
    for _ in range(IDLE):
        next(bits)
    while True:
        taken, bit = next(bits), next(bits)
        if taken:
            yield bit


def constants() -> list[int]:
    """The round constants in the order of their use: those of outer rounds for each element, those of inner rounds one each."""
    bits, result = _shrunk(), list[int]()
    while len(result) < 2 * HALF_ROUNDS * WIDTH + INNER_ROUNDS:
        number = int("".join(str(next(bits)) for _ in range(P.bit_length())), 2)
        if number < P:
            result.append(number)
    return result


if __name__ == "__main__":
    words = [f"{number:016x}" for number in constants()]
    for start in range(0, len(words), PER_LINE):
        print(f'    "{"".join(words[start : start + PER_LINE])}"')
