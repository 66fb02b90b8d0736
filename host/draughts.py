"""Game bot: every move of a draughts bot comes from the engine that its author registered, and its network stays secret.

The game is English draughts (checkers, 8 x 8). The engine looks some moves ahead, goes on while somebody has to capture, and asks a small
network what the end is worth. The arena has the engine's image ID and the digest of the network, and keeps the board itself: a receipt is
for one position of one game.

``python host/draughts.py 11-15 9-14`` plays these moves for Black; squares are numbered 1 to 32, as players do.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import zkvm
from zkvm import guest

SQUARES = 32
BLACK, WHITE = 0, 1
"""Black begins, and moves to higher squares."""
EMPTY, MAN, KING, OUTSIDE = 0, 1, 3, 5
"""What a cell holds; a side's man and king are these numbers plus the side."""
CELL = np.array([5 + square + square // 8 for square in range(SQUARES)], np.uint8)
"""Where a board has the squares: after every second row of four comes a cell outside, so that steps are the same everywhere."""
STEPS = (4, 5, -4, -5)
"""To the neighbours of a cell: down, which is where black men go, and up."""
CELLS = 45
LAST_ROWS = (36, 8)
"""A black man becomes a king from here on, a white one up to here."""
MOST, LONGEST = 64, 13
"""Room for the moves of a position, and for the cells of a move: who captures all twelve lands twelve times. Running out is a panic."""
DEPTH = 2
"""Moves that the engine looks ahead."""
HIDDEN = 8
LOST = -(1 << 30)
DIGEST = 32
WEIGHTS = Path(__file__).with_suffix(".json")
JOURNAL = np.dtype(
    [("game", np.uint8, DIGEST), ("network", np.uint8, DIGEST), ("position", np.uint8, 4 + SQUARES), ("move", np.uint8, LONGEST)]
)
Cells = NDArray[np.int8]


class Network(NamedTuple):
    """The evaluation: one hidden layer over the pieces on the board."""

    first: NDArray[np.int16]
    """Of one's own men by square, one's own kings, the other's men, his kings; White turns the board first."""
    bias: NDArray[np.int16]
    output: NDArray[np.int16]


def crowned(piece: int, cell: int) -> int:
    """What a piece is once it stands on a cell."""
    if piece == MAN + BLACK and cell >= LAST_ROWS[BLACK]:
        return KING + BLACK
    if piece == MAN + WHITE and cell <= LAST_ROWS[WHITE]:
        return KING + WHITE
    return piece


def jumps(board: Cells, piece: int, path: Cells, length: int, moves: Cells, count: int) -> int:
    """Add all captures that begin with a path, whose piece is off the board, to the moves; how many there are then."""
    cell, enemy, ends = int(path[length - 1]), (piece & 1) + 1, True
    if crowned(piece, cell) == piece:  # a man that becomes a king stops
        for k in range(2 if piece == MAN + WHITE else 0, 2 if piece == MAN + BLACK else 4):
            over, to = cell + STEPS[k], cell + 2 * STEPS[k]
            taken = board[over]
            if (taken == enemy or taken == enemy + 2) and board[to] == EMPTY:
                board[over], path[length], ends = EMPTY, to, False
                count = jumps(board, piece, path, length + 1, moves, count)
                board[over] = taken
    if ends and length > 1:
        moves[count] = 0
        moves[count, :length] = path[:length]
        count += 1
    return count


def captures_of(board: Cells, side: int, moves: Cells) -> int:
    """Write a side's captures, each the cells of its way and zeros, and return how many."""
    count, path = 0, np.zeros(LONGEST, np.int8)
    for place in CELL:
        cell = int(place)
        piece = int(board[cell])
        if piece == MAN + side or piece == KING + side:
            board[cell], path[0] = EMPTY, cell
            count = jumps(board, piece, path, 1, moves, count)
            board[cell] = piece
    return count


def steps_of(board: Cells, side: int, moves: Cells) -> int:
    """The same of the other moves, which are allowed if there is no capture."""
    count = 0
    for place in CELL:
        cell = int(place)
        piece = int(board[cell])
        if piece == MAN + side or piece == KING + side:
            for k in range(2 if piece == MAN + WHITE else 0, 2 if piece == MAN + BLACK else 4):
                if board[cell + STEPS[k]] == EMPTY:
                    moves[count] = 0
                    moves[count, 0], moves[count, 1] = cell, cell + STEPS[k]
                    count += 1
    return count


def moves_of(board: Cells, side: int, moves: Cells) -> int:
    """All moves that a side may choose from."""
    count = captures_of(board, side, moves)
    return count if count > 0 else steps_of(board, side, moves)


def play(board: Cells, move: Cells) -> None:
    """Make a move."""
    cell = int(move[0])
    piece = int(board[cell])
    board[cell] = EMPTY
    for place in move[1:]:
        if place == 0:
            break
        if abs(int(place) - cell) > STEPS[1]:
            board[(cell + int(place)) >> 1] = EMPTY
        cell = int(place)
    board[cell] = crowned(piece, cell)


def evaluation(board: Cells, side: int, network: Network) -> int:
    """The network's value of a position for who is to move."""
    sums = network.bias.astype(np.int32)
    for square in range(SQUARES):
        piece = int(board[CELL[square]])
        if piece != EMPTY:
            kind = int(piece >= KING) + 2 * ((piece + 1 + side) & 1)
            sums += network.first[SQUARES * kind + (square if side == BLACK else SQUARES - 1 - square)]
    total = np.int32(0)
    for value, factor in zip(sums, network.output):  # noqa: B905
        total += max(value, np.int32(0)) * factor
    return int(total)


def value_of(board: Cells, side: int, ply: int, alpha: int, beta: int, network: Network) -> int:
    """Alpha-beta search: what a position is worth to who is to move, as far as that lies between alpha and beta."""
    moves = np.empty((MOST, LONGEST), np.int8)
    count = captures_of(board, side, moves)
    if count == 0 and ply >= DEPTH:
        return evaluation(board, side, network)
    if count == 0:
        count = steps_of(board, side, moves)
    best = LOST + ply  # who has no move has lost
    for k in range(count):
        after = board.copy()
        play(after, moves[k])
        best = max(best, -value_of(after, 1 - side, ply + 1, -beta, -max(alpha, best), network))
        if best >= beta:
            break
    return best


def best_move(board: Cells, side: int, network: Network) -> Any:
    """The engine's move, the first of the best; panics if there is none."""
    moves = np.empty((MOST, LONGEST), np.int8)
    count = moves_of(board, side, moves)
    assert count > 0, "the game is over"
    chosen, best = 0, LOST
    for k in range(count):
        after = board.copy()
        play(after, moves[k])
        value = -value_of(after, 1 - side, 1, LOST, -best, network)
        if value > best:
            chosen, best = k, value
    return moves[chosen]


def digest_of(salt: NDArray[np.uint8], network: Network) -> Any:
    """What is registered of a network."""
    parts = (salt, guest.blake3(network.first), guest.blake3(network.bias), guest.blake3(network.output))
    return guest.blake3(np.concatenate(parts))


def board_of(squares: NDArray[np.uint8]) -> Cells:
    """A board from what is on its squares."""
    board = np.full(CELLS, OUTSIDE, np.int8)
    for square in range(SQUARES):
        assert squares[square] < OUTSIDE, "a piece that is none"
        board[CELL[square]] = squares[square]
    return board


def squares_of(move: Cells) -> NDArray[np.uint8]:
    """A move's squares, 1 to 32, and zeros."""
    squares = np.zeros(LONGEST, np.uint8)
    for k in range(LONGEST):
        for square in range(SQUARES):
            if move[k] == CELL[square]:
                squares[k] = square + 1
    return squares


@guest.program
def engine() -> None:
    """What is proven. Private: salt and network. Public: game, number of moves so far, board, the network's digest, the engine's move."""
    game = guest.read(np.uint8, DIGEST)
    number = guest.read(np.uint32)
    squares = guest.read(np.uint8, SQUARES)
    salt = guest.read(np.uint8, DIGEST)
    network = Network(guest.read(np.int16, (4 * SQUARES, HIDDEN)), guest.read(np.int16, HIDDEN), guest.read(np.int16, HIDDEN))
    guest.commit((game, digest_of(salt, network)))
    guest.commit((number, squares))
    guest.commit(squares_of(best_move(board_of(squares), int(number & np.uint32(1)), network)))


@dataclass(frozen=True)
class Position:
    """A board, and how many moves were made: Black is to move after an even number."""

    board: Cells = field(default_factory=lambda: board_of(np.repeat([MAN + BLACK, EMPTY, MAN + WHITE], [12, 8, 12]).astype(np.uint8)))
    number: int = 0

    def to_bytes(self) -> bytes:
        """As the engine reads it, and the journal shows it."""
        return np.uint32(self.number).tobytes() + self.board[CELL].tobytes()

    def after(self, text: str) -> Position:
        """The position after a move, such as ``11-15`` or ``15x22x29``.

        Raises:
            ValueError: there is no such move here.
        """
        board, moves = self.board.copy(), np.zeros((MOST, LONGEST), np.int8)
        known = {text_of(squares_of(move)): move for move in moves[: moves_of(board, self.number % 2, moves)]}
        if text not in known:
            raise ValueError(f"{text} is no move here; these are: {', '.join(known) or 'none, the game is over'}")
        play(board, known[text])
        return Position(board, self.number + 1)

    def __str__(self) -> str:
        signs = iter(np.array(list(".bwBW"))[self.board[CELL]])
        return "\n".join("  " + "".join(f"  {next(signs)} " if row % 2 == 0 else f"{next(signs)}   " for _ in range(4)) for row in range(8))


def text_of(squares: NDArray[np.uint8]) -> str:
    """A move as players write it."""
    places = [int(square) for square in squares if square]
    return ("x" if abs(places[0] - places[1]) > 5 else "-").join(map(str, places))


@dataclass(frozen=True)
class Bot:
    """What the author holds: the network, and the salt of its digest."""

    network: Network
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(DIGEST))

    @property
    def digest(self) -> bytes:
        """What the author registers."""
        return bytes(digest_of(np.frombuffer(self.salt, np.uint8), self.network).tobytes())

    def move(self, game: bytes, position: Position) -> bytes:
        """The receipt for the next move of a game."""
        network = b"".join(array.tobytes() for array in self.network)
        return zkvm.prove(engine, game + position.to_bytes() + self.salt + network, pad_to="program").receipt.to_bytes()


class Refused(Exception):
    """The move does not count."""


@dataclass
class Arena:
    """Keeps the board of one game. Has the engine's image ID and the digest of the network."""

    image_id: str
    network: bytes
    game: bytes = field(default_factory=lambda: secrets.token_bytes(DIGEST))
    position: Position = field(default_factory=Position)

    def accept(self, sent: bytes) -> str:
        """Play the bot's move.

        Raises:
            zkvm.VerificationError: no valid receipt of the engine.
            Refused: of another game or position, or with another network.
        """
        receipt = zkvm.Receipt.from_bytes(sent)
        receipt.verify(self.image_id)
        said = np.frombuffer(receipt.journal, JOURNAL)[0]
        if said["game"].tobytes() != self.game:
            raise Refused("the move was made in another game")
        if said["network"].tobytes() != self.network:
            raise Refused("this is not the network that was registered")
        if said["position"].tobytes() != self.position.to_bytes():
            raise Refused("the move was made in another position")
        move = text_of(said["move"])
        self.position = self.position.after(move)
        return move


def load_network() -> Network:
    """The network that ``tools/train_draughts.py`` trained."""
    parts = json.loads(WEIGHTS.read_text())
    return Network(*(np.array(parts[name], np.int16) for name in Network._fields))


def main() -> None:
    """Some moves of a game against the moves of the command line, and what is refused."""
    bot = Bot(load_network())
    arena = Arena(zkvm.compute_image_id(engine), bot.digest)
    sent, before = b"", arena.position
    for answer in sys.argv[1:] or ["11-15", "9-14"]:
        try:
            before = arena.position = arena.position.after(answer)
        except ValueError as error:
            raise SystemExit(str(error)) from None
        sent = bot.move(arena.game, arena.position)
        print(f"you play {answer}, the bot plays {arena.accept(sent)}: {len(sent)} bytes")
    print(arena.position)

    other = Bot(bot.network._replace(output=bot.network.output[::-1].copy()))
    arena.position = Position(before.board, before.number + 2)  # the same board, later
    attacks = {
        "the receipt of an earlier move": sent,
        "a move for another position": bot.move(arena.game, Position(number=arena.position.number)),
        "a move of another game": bot.move(secrets.token_bytes(DIGEST), arena.position),
        "a network that was not registered": other.move(arena.game, arena.position),
    }
    for name, given in attacks.items():
        try:
            arena.accept(given)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
