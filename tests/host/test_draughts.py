"""The draughts bot: its moves are those of the game, counted and compared, and its engine's move is the best of a full search."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import zkvm
from host import draughts
from host.draughts import BLACK, EMPTY, KING, MAN, WHITE, Position
from tests.host.test_guests import CHALLENGE, SALT, journal_of, refusal
from zkvm import guest

NETWORK = draughts.load_network()
WEIGHTS = b"".join(part.tobytes() for part in NETWORK)


def perft(board: draughts.Cells, side: int, depth: int) -> int:
    """How many lines of so many moves there are."""
    moves = np.zeros((draughts.MOST, draughts.LONGEST), np.int8)
    count = draughts.moves_of(board, side, moves)
    if depth == 1:
        return count
    total = 0
    for k in range(count):
        after = board.copy()
        draughts.play(after, moves[k])
        total += perft(after, 1 - side, depth - 1)
    return total


@guest.program
def lines() -> None:
    """Lines of so many moves from a position."""
    depth, side = int(guest.read(np.uint32)), int(guest.read(np.uint32))
    guest.commit(perft(draughts.board_of(guest.read(np.uint8, draughts.SQUARES)), side, depth))


KNOWN = (7, 49, 302, 1469, 7361, 36768, 179740)
"""Lines from the first position: M. Fierz, checker-board.blogspot.com, February 2009; A. Bik, talkchess.com, topic 27814,
May 2009. Both went on; ``tools/train_draughts.py --perft 11`` gives their 85,242,128 too."""


@pytest.mark.parametrize("depth", range(1, 8))
def test_lines_of_the_first_position_are_those_that_others_counted(depth: int) -> None:
    stdin = np.array([depth, BLACK], np.uint32).tobytes() + Position().board[draughts.CELL].tobytes()
    assert int.from_bytes(zkvm.execute(lines, stdin, max_cycles=10**9).journal, "little") == KNOWN[depth - 1]


Grid = dict[tuple[int, int], tuple[int, bool]]
"""Side and whether it is a king, by row and column."""


def place_of(square: int) -> tuple[int, int]:
    """Row and column of a square, 1 to 32."""
    row, k = divmod(square - 1, 4)
    return row, 2 * k + (row + 1) % 2


SQUARE = {place_of(square): square for square in range(1, 33)}


def grid_of(board: draughts.Cells) -> Grid:
    found = {}
    for square, piece in enumerate(board[draughts.CELL], 1):
        if piece != EMPTY:
            found[place_of(square)] = (int(piece - 1) % 2, bool(piece >= KING))
    return found


def chains(grid: Grid, at: tuple[int, int], side: int, king: bool) -> list[list[int]]:
    """All ways on of a piece that captures."""
    found = []
    for down in (1, -1) if king else ((1,) if side == BLACK else (-1,)):
        for right in (1, -1):
            over, to = (at[0] + down, at[1] + right), (at[0] + 2 * down, at[1] + 2 * right)
            if over in grid and grid[over][0] != side and to in SQUARE and to not in grid:
                left = {place: piece for place, piece in grid.items() if place != over}
                ends = not king and to[0] == (7 if side == BLACK else 0)
                more = [] if ends else chains(left, to, side, king)
                found += [[SQUARE[to], *rest] for rest in more or [[]]]
    return found


def legal(grid: Grid, side: int) -> set[tuple[int, ...]]:
    """The moves of a side as squares, from the rules."""
    jumped: set[tuple[int, ...]] = set()
    stepped: set[tuple[int, ...]] = set()
    for at, (owner, king) in grid.items():
        if owner != side:
            continue
        others = {place: piece for place, piece in grid.items() if place != at}
        jumped |= {(SQUARE[at], *rest) for rest in chains(others, at, side, king)}
        for down in (1, -1) if king else ((1,) if side == BLACK else (-1,)):
            stepped |= {
                (SQUARE[at], SQUARE[to]) for to in ((at[0] + down, at[1] + 1), (at[0] + down, at[1] - 1)) if to in SQUARE and to not in grid
            }
    return jumped or stepped


def some_board(rng: np.random.Generator) -> draughts.Cells:
    """Some pieces anywhere, but no men on their last row."""
    squares = np.zeros(draughts.SQUARES, np.uint8)
    for square in rng.choice(draughts.SQUARES, rng.integers(2, 22), replace=False):
        side = rng.integers(2)
        man = rng.random() < 0.5 and not (square >= 28 if side == BLACK else square < 4)
        squares[square] = (MAN if man else KING) + side
    return draughts.board_of(squares)


def listed(board: draughts.Cells, side: int) -> list[tuple[int, ...]]:
    moves = np.zeros((draughts.MOST, draughts.LONGEST), np.int8)
    count = draughts.moves_of(board, side, moves)
    return [tuple(int(square) for square in draughts.squares_of(move) if square) for move in moves[:count]]


def test_moves_are_those_of_the_rules() -> None:
    """Also of kings, which the lines from the first position are too short for."""
    rng, lengths = np.random.default_rng(1), set()
    for _ in range(400):
        board, side = some_board(rng), int(rng.integers(2))
        before, found = board.copy(), listed(board, side)
        assert sorted(found) == sorted(legal(grid_of(board), side))
        assert np.array_equal(board, before)
        lengths |= {len(move) for move in found}
    assert lengths >= {2, 3, 4}


def pieces(**named: str) -> draughts.Cells:
    """A board from texts such as ``b="1 2", W="30"``; capitals are kings."""
    squares = np.zeros(draughts.SQUARES, np.uint8)
    for name, places in named.items():
        for square in places.split():
            squares[int(square) - 1] = {"b": MAN + BLACK, "w": MAN + WHITE, "B": KING + BLACK, "W": KING + WHITE}[name]
    return draughts.board_of(squares)


@pytest.mark.parametrize(
    ("board", "side", "moves"),
    [
        (pieces(b="9 1", w="14"), BLACK, [(9, 18)]),
        (pieces(b="9", w="14 23"), BLACK, [(9, 18, 27)]),
        (pieces(b="9", w="14 22 23"), BLACK, [(9, 18, 25), (9, 18, 27)]),
        (pieces(b="22", w="26 27"), BLACK, [(22, 31)]),
        (pieces(B="22", w="26 27"), BLACK, [(22, 31, 24)]),
        (pieces(W="15", b="18 19 26 27"), WHITE, [(15, 22, 31, 24, 15), (15, 24, 31, 22, 15)]),
        (pieces(w="15", b="19"), WHITE, [(15, 11), (15, 10)]),
        (pieces(b="28", w="32"), BLACK, []),
    ],
    ids=["forced", "to the end", "either way", "a new king stops", "a king goes on", "a circle", "not backwards", "no move"],
)
def test_rules(board: draughts.Cells, side: int, moves: list[tuple[int, ...]]) -> None:
    assert listed(board, side) == moves


def test_a_man_is_crowned_and_what_it_leapt_over_is_gone() -> None:
    board = pieces(b="22", w="26 27")
    moves = np.zeros((draughts.MOST, draughts.LONGEST), np.int8)
    draughts.play(board, moves[draughts.moves_of(board, BLACK, moves) - 1])
    assert np.array_equal(board, pieces(B="31", w="27"))


def stdin_of(board: draughts.Cells, number: int) -> bytes:
    return CHALLENGE + Position(board, number).to_bytes() + SALT + WEIGHTS


def worth(board: draughts.Cells, side: int, depth: int) -> int:
    """The position's value for who is to move: all lines, no cuts, the network as a product with the whole board."""
    moves = listed(board, side)
    if depth <= 0 and not any(move for move in moves if abs(place_of(move[0])[0] - place_of(move[1])[0]) == 2):
        squares = board[draughts.CELL] if side == BLACK else board[draughts.CELL][::-1]
        kinds = (MAN + side, KING + side, MAN + 1 - side, KING + 1 - side)
        seen = np.concatenate([squares == kind for kind in kinds]).astype(np.int64)
        return int(np.maximum(seen @ NETWORK.first + NETWORK.bias, 0) @ NETWORK.output)
    return max((-worth(after(board, move), 1 - side, depth - 1) for move in moves), default=draughts.LOST + draughts.DEPTH - depth)


def after(board: draughts.Cells, move: tuple[int, ...]) -> draughts.Cells:
    """The board after a move, from the rules."""
    squares = board[draughts.CELL].astype(np.uint8)
    piece, squares[move[0] - 1] = squares[move[0] - 1], EMPTY
    for one, next_one in zip(move, move[1:], strict=False):
        (row, column), (to_row, to_column) = place_of(one), place_of(next_one)
        if abs(row - to_row) == 2:
            squares[SQUARE[(row + to_row) // 2, (column + to_column) // 2] - 1] = EMPTY
    last = place_of(move[-1])[0] == (7 if piece == MAN + BLACK else 0)
    squares[move[-1] - 1] = piece + KING - MAN if piece < KING and last else piece
    return draughts.board_of(squares)


MIDDLE = pieces(b="3 7 8 10 11 12 15", w="18 19 21 23 26 27 32", B="22")
POSITIONS = {
    "first": (Position().board, 0),
    "middle": (MIDDLE, 20),
    "middle of the other": (MIDDLE, 21),
    "kings": (pieces(B="1 15 6", W="32 27", w="21"), 31),
    "nearly lost": (pieces(b="28 4", w="32 27"), 44),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_the_engine_plays_the_best_move_of_a_full_search(name: str) -> None:
    board, number = POSITIONS[name]
    said = np.frombuffer(journal_of(draughts.engine, stdin_of(board, number)), draughts.JOURNAL)[0]
    values = {move: -worth(after(board, move), 1 - number % 2, draughts.DEPTH - 1) for move in listed(board, number % 2)}
    assert tuple(int(square) for square in said["move"] if square) == max(values, key=lambda move: values[move])
    assert len(set(values.values())) > 1 or len(values) == 1
    assert said["position"].tobytes() == Position(board, number).to_bytes()
    assert said["network"].tobytes() == draughts.Bot(NETWORK, SALT).digest
    assert said["game"].tobytes() == CHALLENGE


@pytest.mark.parametrize(
    ("board", "reason"),
    [
        (np.where(np.arange(draughts.CELLS) == 10, draughts.OUTSIDE, Position().board).astype(np.int8), "a piece that is none"),
        (pieces(b="28", w="32"), "the game is over"),
        (pieces(W="30"), "the game is over"),
    ],
)
def test_what_has_no_move(board: draughts.Cells, reason: str) -> None:
    assert refusal(draughts.engine, stdin_of(board, 8)) == reason


def test_a_position_knows_its_moves() -> None:
    first = Position()
    assert str(first.after("11-15").after("22-18").after("15x22")).splitlines()[4:6] == ["    .   .   .   . ", "  w   b   w   w   "]
    with pytest.raises(ValueError, match="9-18 is no move here; these are: 9-13, 9-14, 10-14"):
        first.after("9-18")
    with pytest.raises(ValueError, match="none, the game is over"):
        Position(pieces(W="30")).after("9-14")


def test_a_move_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["host/draughts.py", "1-2"])
    with pytest.raises(SystemExit, match="1-2 is no move here; these are: 9-13"):
        draughts.main()
