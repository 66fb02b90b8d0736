"""Trains the evaluation network of ``host/draughts.py`` by self-play and writes ``host/draughts.json``.

The engine's own functions, compiled by numba, play games against themselves, first with a network that counts men and kings, then with the
one that learnt from these games; a position's target is how its game ended, and what the sides had some moves later. Needs scikit-learn
(the ``dev`` extra); takes about a minute. ``--play`` trains nothing: the engine plays 400 games against itself with the network that
counts. ``--perft N`` counts lines of N moves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPRegressor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it also runs as a plain script

from host import draughts as game

GAMES, ROUNDS = 6000, 2
SEED = 1
OPENING = 6
"""Moves at random, before the players think."""
LAST = 160
"""Moves after which a game is a draw."""
AHEAD = 8
"""What the sides have so many recorded positions later counts as much as how the game ends."""
SCALE_FIRST, SCALE_OUTPUT = 64, 64
"""Integers that stand for 1."""
START = game.Position().board

# The engine as it is, compiled: numba finds the functions that a function calls under their names in the module.
for name in ("crowned", "jumps", "captures_of", "steps_of", "moves_of", "play", "evaluation", "value_of", "best_move"):
    setattr(game, name, numba.njit(getattr(game, name)))
moves_of, make, best_move = game.moves_of, game.play, game.best_move


@numba.njit()
def perft(board: game.Cells, side: int, depth: int) -> int:
    """How many lines of so many moves there are."""
    moves = np.zeros((game.MOST, game.LONGEST), np.int8)
    count = moves_of(board, side, moves)
    if depth == 1:
        return count
    total = 0
    for k in range(count):
        after = board.copy()
        make(after, moves[k])
        total += perft(after, 1 - side, depth - 1)
    return total


@numba.njit()
def played(players: Any, blunders: float, rng: np.random.Generator) -> Any:
    """A game after a random opening: boards of positions without captures, and who wins: 1 if Black, -1 if White, 0 if nobody."""
    board, boards, numbers = START.copy(), np.zeros((LAST, game.CELLS), np.int8), np.zeros(LAST, np.int64)
    moves, kept = np.zeros((game.MOST, game.LONGEST), np.int8), 0
    for number in range(LAST):
        side = number % 2
        count = moves_of(board, side, moves)
        if count == 0:
            return boards[:kept], numbers[:kept], 2 * side - 1
        at_random = number < OPENING or rng.random() < blunders
        if abs(moves[0, 0] - moves[0, 1]) <= game.STEPS[1]:
            boards[kept], numbers[kept] = board, number
            kept += 1
        make(board, moves[rng.integers(0, count)] if at_random else best_move(board, side, players[side]))
    return boards[:kept], numbers[:kept], 0


def counting() -> game.Network:
    """The network that counts: a man is 64, a king 96."""
    first = np.zeros((4, game.SQUARES, game.HIDDEN), np.int16)
    first[0, :, 0] = first[2, :, 1] = 64
    first[1, :, 0] = first[3, :, 1] = 96
    output = np.zeros(game.HIDDEN, np.int16)
    output[:2] = 64, -64
    return game.Network(first.reshape(-1, game.HIDDEN), np.zeros(game.HIDDEN, np.int16), output)


def features(boards: game.Cells, sides: NDArray[np.int64]) -> NDArray[np.float32]:
    """What stands where, as who is to move sees it."""
    squares = boards[:, game.CELL].astype(np.int64)
    squares = np.where(sides[:, None] == game.BLACK, squares, squares[:, ::-1])
    owner = (squares + 1 + sides[:, None]) % 2
    kinds = np.where(squares == game.EMPTY, -1, (squares >= game.KING) + 2 * owner)
    return np.concatenate([kinds == kind for kind in range(4)], axis=1).astype(np.float32)


def balance(boards: game.Cells) -> NDArray[np.float64]:
    """How much Black has more than White: a man is 1, a king 1.5."""
    worth = np.array([0, 1, -1, 1.5, -1.5])[boards[:, game.CELL]]
    return np.asarray(worth.sum(1), np.float64)


def learnt(teacher: game.Network, seeds: range) -> game.Network:
    """The network, in integers, that learns from a network's games against itself."""
    data, wanted = [], []
    for seed in seeds:
        boards, numbers, black = played((teacher, teacher), 0.1, np.random.default_rng(seed))
        sides = 1 - 2 * (numbers % 2)
        later = np.append(balance(boards), np.full(AHEAD, balance(boards[-1:])))[AHEAD:]
        data.append(features(boards, numbers % 2))
        wanted.append((black + later) * sides)
    inputs, targets = np.concatenate(data), np.concatenate(wanted).astype(np.float32)
    model = MLPRegressor(
        hidden_layer_sizes=(game.HIDDEN,), random_state=SEED, max_iter=12, batch_size=500, learning_rate_init=3e-3, alpha=1e-4
    ).fit(inputs, targets)
    print(f"{len(seeds)} games, {len(inputs)} positions, variance explained {model.score(inputs, targets):.2f}")
    first, output = model.coefs_
    parts = (first * SCALE_FIRST, model.intercepts_[0] * SCALE_FIRST, output[:, 0] * SCALE_OUTPUT)
    return game.Network(*(np.rint(part).astype(np.int16) for part in parts))


def compare(network: game.Network) -> None:
    """Each random opening is played from both sides."""
    results = [black * sign for seed in range(200)
               for sign, players in ((1, (network, counting())), (-1, (counting(), network)))
               for black in (played(players, 0.0, np.random.default_rng(seed))[2],)]  # fmt: skip
    print(f"{len(results)} games: {results.count(1)} won, {results.count(-1)} lost, {results.count(0)} drawn")


def main() -> None:
    """Train and write, play, or count."""
    if sys.argv[1:2] == ["--perft"]:
        print(perft(START, game.BLACK, int(sys.argv[2])))
    elif sys.argv[1:] == ["--play"]:
        compare(game.load_network())
    else:
        network = counting()
        for number in range(ROUNDS):
            network = learnt(network, range(number * GAMES, (number + 1) * GAMES))
        parts = {name: part.tolist() for name, part in network._asdict().items()}
        game.WEIGHTS.write_text(json.dumps(parts, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
