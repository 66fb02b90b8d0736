"""Proves that a Sudoku has a solution that the prover knows, and verifies the receipt as a stranger would.

The host of guest_programs/sudoku, a guest in Python; uses the public names of zkvm only.
"""

from __future__ import annotations

from pathlib import Path

import zkvm

GUEST = Path(__file__).resolve().parent.parent / "guest_programs" / "sudoku" / "sudoku.elf"
PUZZLE = "530070000600195000098000060800060003400803001700020006060000280000419005000080079"
SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"


def main() -> None:
    """A private solution in, a public puzzle out."""
    puzzle = bytes(map(int, PUZZLE))
    info = zkvm.prove(GUEST, puzzle + bytes(map(int, SOLUTION)))

    # The verifier knows the image ID (from the ELF that it trusts) and gets the receipt, not the solution.
    receipt = zkvm.Receipt.from_bytes(info.receipt.to_bytes())
    receipt.verify(zkvm.compute_image_id(GUEST))
    assert receipt.journal == puzzle
    for start in range(0, len(puzzle), 9):
        print("  " + " ".join(str(digit) if digit else "." for digit in receipt.journal[start : start + 9]))
    print(f"proven: somebody knows a solution ({info.cycles} cycles, {info.seconds['total']:.1f} s)")


if __name__ == "__main__":
    main()
