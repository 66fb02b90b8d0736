"""Game bot: every move of a Connect Four bot comes from the engine that its author registered, and its network stays secret.

The engine is a search of three plies with a small evaluation network, kept up to date move by move. The arena has the engine's image ID
and the digest of the network, and plays the game itself: a receipt is for one game and one line of moves, so none fits another position.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zkvm
from zkvm import guest

COLUMNS, ROWS = 7, 6
CELLS = COLUMNS * ROWS
HEIGHT = ROWS + 1
"""Bits of a column in a board of 64: the last one is never set, so lines of four do not run from one column into the next."""
ORDER = (3, 2, 4, 1, 5, 0, 6)
"""In which moves are tried; of equal ones the first is played."""
DEPTH = 3
HIDDEN = 32
WON = 1 << 24
NOTHING = -(1 << 30)
DIGEST = 32
WEIGHTS = Path(__file__).with_suffix(".json")
JOURNAL = np.dtype([("game", np.uint8, DIGEST), ("network", np.uint8, DIGEST), ("line", np.uint8, 4 + CELLS), ("move", "<i4")])


def won(stones: np.uint64) -> bool:
    """Whether four stones stand in a row."""
    for step in (1, HEIGHT - 1, HEIGHT, HEIGHT + 1):
        pairs = stones & (stones >> np.uint64(step))
        if pairs & (pairs >> np.uint64(2 * step)) != 0:
            return True
    return False


@dataclass(frozen=True)
class Network:
    """The evaluation: one hidden layer over the stones on the board."""

    first: NDArray[np.int16]
    """Of one's own stones by cell, then of the other's."""
    bias: NDArray[np.int16]
    output: NDArray[np.int16]


@dataclass(frozen=True)
class Table:
    """What the search changes on its way down and up."""

    heights: NDArray[np.int32]
    """Stones in each column."""
    sums: NDArray[np.int32]
    """By ply: the hidden layer's sums, as who is to move sees the board, and as the other one does."""
    best: NDArray[np.int32]
    """By ply: the best column so far."""


def evaluation(sums: NDArray[np.int32], stone: NDArray[np.int16], network: Network) -> int:
    """The network's value for who is to move after a stone, from the sums before it."""
    total = np.int32(0)
    for before, weight, factor in zip(sums, stone, network.output, strict=True):
        total += max(before + weight, np.int32(0)) * factor
    return int(total)


def place(sums: NDArray[np.int32], ply: int, cell: int, network: Network) -> None:
    """The sums after a stone was set at a ply: who is to move next sees a stone of the other's."""
    sums[ply + 1, 0] = sums[ply, 1] + network.first[CELLS + cell]
    sums[ply + 1, 1] = sums[ply, 0] + network.first[cell]


def value_of(own: np.uint64, other: np.uint64, ply: int, alpha: int, beta: int, table: Table, network: Network) -> int:
    """Alpha-beta search: what the position is worth to who is to move, as far as that lies between alpha and beta."""
    best = NOTHING
    for column in ORDER:
        height = int(table.heights[column])
        if height == ROWS:
            continue
        stone, cell = np.uint64(1) << np.uint64(HEIGHT * column + height), ROWS * column + height
        if won(own | stone):
            value = WON - ply
        elif ply + 1 == DEPTH:
            value = -evaluation(table.sums[ply, 1], network.first[CELLS + cell], network)
        else:
            place(table.sums, ply, cell, network)
            table.heights[column] += 1
            value = -value_of(other, own | stone, ply + 1, -beta, -max(alpha, best), table, network)
            table.heights[column] -= 1
        if value > best:
            best = value
            table.best[ply] = column
        if best >= beta:
            break
    return 0 if best == NOTHING else best  # nobody wins on a full board


def next_move(moves: NDArray[np.uint8], network: Network) -> int:
    """The engine's answer to a game so far; panics if that is no game, or is over."""
    table = Table(np.zeros(COLUMNS, np.int32), np.zeros((DEPTH + 1, 2, HIDDEN), np.int32), np.full(DEPTH, -1, np.int32))
    table.sums[0] = network.bias
    own, other = np.uint64(0), np.uint64(0)
    for move in moves:
        column = int(move)
        assert column < COLUMNS, "a column that is none"
        assert table.heights[column] < ROWS, "a column that is full"
        height = int(table.heights[column])
        stone = np.uint64(1) << np.uint64(HEIGHT * column + height)
        assert not won(own | stone), "the game is over"
        place(table.sums, 0, ROWS * column + height, network)
        table.sums[0] = table.sums[1]
        table.heights[column] += 1
        own, other = other, own | stone
    assert len(moves) < CELLS, "the board is full"
    value_of(own, other, 0, NOTHING, -NOTHING, table, network)
    return int(table.best[0])


def digest_of(salt: NDArray[np.uint8], network: Network) -> Any:
    """What is registered of a network."""
    parts = (salt, guest.blake3(network.first), guest.blake3(network.bias), guest.blake3(network.output))
    return guest.blake3(np.concatenate(parts))


@guest.program
def engine() -> None:
    """What is proven. Private: salt and network. Public: the game, its moves so far, the network's digest, the engine's move."""
    game = guest.read(np.uint8, DIGEST)
    count = int(guest.read(np.uint32))
    assert count < CELLS, "the board is full"
    moves = guest.read(np.uint8, CELLS)
    salt = guest.read(np.uint8, DIGEST)
    network = Network(guest.read(np.int16, (2 * CELLS, HIDDEN)), guest.read(np.int16, HIDDEN), guest.read(np.int16, HIDDEN))
    guest.commit((game, digest_of(salt, network)))
    guest.commit((count, moves))
    guest.commit(next_move(moves[:count], network))


def line_of(moves: list[int]) -> bytes:
    """Moves as the engine reads them, and the journal shows them: their number, and 42 bytes."""
    return np.uint32(len(moves)).tobytes() + bytes(moves).ljust(CELLS, b"\0")


@dataclass(frozen=True)
class Bot:
    """What the author holds: the network, and the salt of its digest."""

    network: Network
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(DIGEST))

    @property
    def digest(self) -> bytes:
        """What the author registers."""
        return bytes(digest_of(np.frombuffer(self.salt, np.uint8), self.network).tobytes())

    def move(self, game: bytes, moves: list[int]) -> bytes:
        """The receipt for the next move of a game."""
        network = b"".join(array.tobytes() for array in (self.network.first, self.network.bias, self.network.output))
        return zkvm.prove(engine, game + line_of(moves) + self.salt + network, pad_to="program").receipt.to_bytes()


class Refused(Exception):
    """The move does not count."""


@dataclass
class Arena:
    """Plays one game. Has the engine's image ID and the digest of the network, and knows the moves itself."""

    image_id: str
    network: bytes
    game: bytes = field(default_factory=lambda: secrets.token_bytes(DIGEST))
    moves: list[int] = field(default_factory=list)

    def accept(self, sent: bytes) -> int:
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
        if said["line"].tobytes() != line_of(self.moves):
            raise Refused("the move was made in another position")
        self.moves.append(int(said["move"]))
        return self.moves[-1]


def load_network() -> Network:
    """The network that ``tools/train_connect_four.py`` trained."""
    parts = json.loads(WEIGHTS.read_text())
    return Network(*(np.array(parts[name], np.int16) for name in ("first", "bias", "output")))


def draw(moves: list[int]) -> str:
    """The board as text."""
    columns: list[str] = [""] * COLUMNS
    for number, column in enumerate(moves):
        columns[column] += "xo"[number % 2]
    return "\n".join("  " + " ".join(column.ljust(ROWS, ".")[row] for column in columns) for row in reversed(range(ROWS)))


def main() -> None:
    """Some moves of a game against the columns of the command line, and what is refused."""
    answers = [int(argument) for argument in sys.argv[1:]] or [3, 2]
    bot = Bot(load_network())
    arena = Arena(zkvm.compute_image_id(engine), bot.digest)
    sent = b""
    for answer in answers:
        arena.moves.append(answer)
        sent = bot.move(arena.game, arena.moves)
        print(f"you play {answer}, the bot plays {arena.accept(sent)}: {len(sent)} bytes")
    print(draw(arena.moves))

    arena.moves.append(answers[-1])
    stronger = Bot(Network(bot.network.first, bot.network.bias, bot.network.output[::-1].copy()))
    attacks = {
        "the receipt of the move before": sent,
        "a move for another position": bot.move(arena.game, arena.moves[:-1]),
        "a move of another game": bot.move(secrets.token_bytes(DIGEST), arena.moves),
        "a network that was not registered": stronger.move(arena.game, arena.moves),
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
