"""A game of Mastermind by post: proves that the answer to a guess is right for the secret code that was promised.

Input: salt (16 bytes), code (4 bytes), guess (4 bytes); colours are 0 to 5.
Journal: the promise, which is the BLAKE3 hash of salt and code (32 bytes), guess (4 bytes), black and white pegs (a byte each).
"""

import numpy as np

from zkvm import guest

PEGS, COLOURS = 4, 6


def answer(code: np.ndarray, attempt: np.ndarray) -> tuple[np.int64, np.int64]:
    """How many pegs are right, and how many more have a right colour in a wrong place."""
    black = np.count_nonzero(code == attempt)
    common = np.minimum(np.bincount(code, minlength=COLOURS), np.bincount(attempt, minlength=COLOURS))
    return black, common.sum() - black


def main() -> None:
    """What is proven."""
    salt = guest.read(np.uint8, 16)
    code = guest.read(np.uint8, PEGS)
    attempt = guest.read(np.uint8, PEGS)
    assert np.all(code < COLOURS), "no colour"
    assert np.all(attempt < COLOURS), "no colour"
    black, white = answer(code, attempt)
    guest.commit((guest.blake3(np.concatenate((salt, code))), attempt, np.uint8(black), np.uint8(white)))
