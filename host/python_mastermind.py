"""A game of Mastermind by post: every answer comes with a receipt, so nobody has to trust who keeps the code.

The host of guest_programs/python_mastermind, a guest in Python; uses the public names of zkvm only.
"""

from __future__ import annotations

import itertools
import secrets
from pathlib import Path

import zkvm

ELF = Path(__file__).resolve().parent.parent / "guest_programs" / "python_mastermind" / "python_mastermind.elf"
PEGS, COLOURS = 4, 6


class Keeper:
    """Keeps a secret code, and answers with receipts."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16) + bytes(secrets.randbelow(COLOURS) for _ in range(PEGS))

    def answer(self, guess: bytes) -> bytes:
        """A receipt: what it commits is the promise, the guess, black and white pegs."""
        return zkvm.prove(ELF, self._secret + guess, params="fast").receipt.to_bytes()


def score(code: bytes, guess: bytes) -> bytes:
    """Black and white pegs, as the player computes them for every code that is still possible."""
    black = sum(a == b for a, b in zip(code, guess, strict=True))
    common = sum(min(code.count(colour), guess.count(colour)) for colour in range(COLOURS))
    return bytes([black, common - black])


def main() -> None:
    """The player guesses a code that no answer rules out, until there are four black pegs."""
    keeper, image_id = Keeper(), zkvm.compute_image_id(ELF)
    possible = [bytes(code) for code in itertools.product(range(COLOURS), repeat=PEGS)]
    promise = b""
    guess = bytes([0, 0, 1, 1])
    while True:
        receipt = zkvm.Receipt.from_bytes(keeper.answer(guess))
        receipt.verify(image_id)
        promise = promise or receipt.journal[:32]
        assert (receipt.journal[:32], receipt.journal[32:36]) == (promise, guess)  # the same code as before, and this guess
        pegs = receipt.journal[36:]
        print(f"guess {' '.join(map(str, guess))}: {pegs[0]} black, {pegs[1]} white, proven")
        if pegs[0] == PEGS:
            break
        possible = [code for code in possible if score(code, guess) == pegs]
        guess = possible[0]


if __name__ == "__main__":
    main()
