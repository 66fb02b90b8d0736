"""Proves that somebody knows a solution of a public Sudoku, without showing it.

Input: the puzzle (81 bytes, 0 where nothing is given), the solution (81 bytes). Journal: the puzzle.
"""

import numpy as np

from zkvm import guest

SIZE, BOX = 9, 3
ALL_DIGITS = (1 << (SIZE + 1)) - 2


def has_all_digits(cells: np.ndarray) -> bool:
    """Whether each digit from 1 to 9 is in a row, column or box."""
    seen = 0
    for line in cells:
        for cell in line:
            assert cell <= SIZE, "no digit"
            seen |= 1 << int(cell)
    return seen == ALL_DIGITS


def main() -> None:
    """What is proven."""
    puzzle = guest.read(np.uint8, (SIZE, SIZE))
    solution = guest.read(np.uint8, (SIZE, SIZE))
    assert np.all((puzzle == 0) | (puzzle == solution)), "the solution is of another puzzle"
    for i in range(SIZE):
        y, x = BOX * (i // BOX), BOX * (i % BOX)
        assert has_all_digits(solution[i : i + 1]), "a row lacks a digit"
        assert has_all_digits(solution[:, i : i + 1]), "a column lacks a digit"
        assert has_all_digits(solution[y : y + BOX, x : x + BOX]), "a box lacks a digit"
    guest.commit(puzzle)
