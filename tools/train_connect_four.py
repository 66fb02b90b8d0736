"""Trains the evaluation network of ``host/connect_four.py`` and writes ``host/connect_four.json``.

The data are games of two players who win where they can in one move, stop the other where he could, and else play anything; a position's
target is how such games went on from it, over several tries. Needs scikit-learn (the ``dev`` extra); takes half a minute.
``--play`` trains nothing: the engine plays 60 games against itself with a network of zeros.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPRegressor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it also runs as a plain script

import zkvm
from host import connect_four as game

GAMES, TRIES = 200_000, 16
SEED = 1
SCALE_FIRST, SCALE_OUTPUT = 64, 64
"""Integers that stand for 1."""


Boards = NDArray[np.uint64]


def won(stones: Boards) -> NDArray[np.bool_]:
    """Which boards have four in a row."""
    found = np.zeros(len(stones), bool)
    for step in (1, game.HEIGHT - 1, game.HEIGHT, game.HEIGHT + 1):
        pairs = stones & (stones >> np.uint64(step))
        found |= (pairs & (pairs >> np.uint64(2 * step))) != 0
    return found


def stones_of(both: Boards) -> tuple[Boards, NDArray[np.bool_]]:
    """The stone that would be set in each column, and whether it can be: (games, columns)."""
    shifts = np.arange(game.COLUMNS, dtype=np.uint64) * np.uint64(game.HEIGHT)
    bottoms, full = np.uint64(1) << shifts, np.uint64((1 << game.ROWS) - 1) << shifts
    stones = (both[:, None] + bottoms) & ~both[:, None] & full
    return stones, stones != 0


def step(own: Boards, other: Boards, rng: np.random.Generator) -> Boards:
    """The stones that players set: one that wins, else one that stops the other, else any."""
    stones, legal = stones_of(own | other)
    wish = rng.random(legal.shape)
    wish += 4 * np.stack([won(own | stones[:, k]) for k in range(game.COLUMNS)], 1)
    wish += 2 * np.stack([won(other | stones[:, k]) for k in range(game.COLUMNS)], 1)
    chosen: Boards = stones[np.arange(len(own)), np.argmax(np.where(legal, wish, -1), 1)]
    return chosen


def outcomes(own: Boards, other: Boards, rng: np.random.Generator) -> NDArray[np.float64]:
    """How games go on: 1 if who is to move at first wins, -1 if he loses, 0 if nobody does."""
    result, running, sign = np.zeros(len(own)), np.arange(len(own)), 1.0
    own, other = own.copy(), other.copy()
    while len(running):
        stone = step(own, other, rng)
        own |= stone
        wins = won(own) & (stone != 0)
        result[running[wins]] = sign
        going = ~wins & (stone != 0)
        own, other, running, sign = other[going], own[going], running[going], -sign
    return result


def positions(rng: np.random.Generator) -> tuple[Boards, Boards]:
    """A position of each of some games, in which nobody has won."""
    own, other = np.zeros(GAMES, np.uint64), np.zeros(GAMES, np.uint64)
    left = rng.integers(2, 30, GAMES)
    going = np.ones(GAMES, bool)
    while (now := going & (left > 0)).any():
        stone = step(own[now], other[now], rng)
        own[now], other[now] = other[now], own[now] | stone
        going[now] &= ~won(other[now]) & (stone != 0)
        left -= 1
    return own[going], other[going]


def features(own: Boards, other: Boards) -> NDArray[np.float64]:
    """Stones by cell: one's own, then the other's."""
    bits = np.array([game.HEIGHT * column + row for column in range(game.COLUMNS) for row in range(game.ROWS)], np.uint64)
    return np.concatenate([(boards[:, None] >> bits) & np.uint64(1) for boards in (own, other)], 1).astype(np.float64)


def trained() -> dict[str, Any]:
    """The network in integers."""
    rng = np.random.default_rng(SEED)
    own, other = positions(rng)
    targets = np.mean([outcomes(own, other, rng) for _ in range(TRIES)], 0)
    mirrored = [np.concatenate([part.reshape(-1, game.COLUMNS, game.ROWS)[:, ::-1].reshape(len(part), -1)
                                for part in np.split(features(own, other), 2, 1)], 1)]  # fmt: skip
    data, wanted = np.concatenate([features(own, other), *mirrored]), np.concatenate([targets, targets])
    model = MLPRegressor(
        hidden_layer_sizes=(game.HIDDEN,),
        random_state=SEED,
        max_iter=40,
        batch_size=1000,
        learning_rate_init=3e-3,
        early_stopping=True,
        alpha=1e-5,
    ).fit(data, wanted)
    print(f"{len(data)} positions, variance explained {model.score(data, wanted):.2f}")
    return {
        "first": np.rint(model.coefs_[0] * SCALE_FIRST).astype(int).tolist(),
        "bias": np.rint(model.intercepts_[0] * SCALE_FIRST).astype(int).tolist(),
        "output": np.rint(model.coefs_[1][:, 0] * SCALE_OUTPUT).astype(int).tolist(),
    }


def answer(network: Any, moves: list[int]) -> int:
    """The engine's move, by its guest."""
    parts = b"".join(part.tobytes() for part in (network.first, network.bias, network.output))
    journal = zkvm.execute(game.engine, bytes(game.DIGEST) + game.line_of(moves) + bytes(game.DIGEST) + parts).journal
    return int(np.frombuffer(journal, game.JOURNAL)[0]["move"])


def winner(players: tuple[Any, Any], moves: list[int]) -> int:
    """Who wins from a position: 0 or 1, or -1 for nobody."""
    boards, heights = [0, 0], [0] * game.COLUMNS
    for number in range(game.CELLS):
        if number == len(moves):
            moves.append(answer(players[number % 2], moves))
        column = moves[number]
        boards[number % 2] |= 1 << (game.HEIGHT * column + heights[column])
        heights[column] += 1
        if game.won(np.uint64(boards[number % 2])):
            return number % 2
    return -1


def play() -> None:
    """Random openings of four moves, each played from both sides."""
    network, rng = game.load_network(), np.random.default_rng(5)
    nothing = game.Network(*(part * np.int16(0) for part in (network.first, network.bias, network.output)))
    won, lost = 0, 0
    for _ in range(30):
        opening = [int(column) for column in rng.integers(0, game.COLUMNS, 4)]
        first, second = winner((network, nothing), [*opening]), winner((nothing, network), [*opening])
        won += (first == 0) + (second == 1)
        lost += (first == 1) + (second == 0)
    print(f"60 games: {won} won, {lost} lost")


def main() -> None:
    """Train and write, or play."""
    if sys.argv[1:] == ["--play"]:
        play()
    else:
        game.WEIGHTS.write_text(json.dumps(trained(), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
