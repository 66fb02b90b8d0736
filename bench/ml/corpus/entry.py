"""What a corpus consists of: models that are made when they are asked for, with calibration samples and inputs that those do not hold."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.ml.adapter import Array

Columns = dict[str, Array]
"""Many samples: by the name of an input an array whose first axis counts them."""
CALIBRATION = 200


class Absent(Exception):
    """A model that cannot be made here: says why."""


@dataclass(frozen=True, slots=True)
class Made:
    """A model with its inputs.

    Attributes:
        model: the ONNX file.
        calibration: as many samples as a user would have; the first is the one of those who have one.
        inputs: others.
        scores: output whose largest element along the last axis is the model's answer, if no output says so itself.
        by_column: whether the columns of the outputs are quantities of their own, each with its own range.
    """

    model: bytes
    calibration: Columns
    inputs: Columns
    scores: str = ""
    by_column: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the corpus.

    Attributes:
        family: to which it belongs: a module of this package.
        name: within it.
        make: makes it with so many inputs.
    """

    family: str
    name: str
    make: Callable[[int], Made] = field(compare=False)

    @property
    def path(self) -> str:
        """What it is called."""
        return f"{self.family}/{self.name}"


def generator(name: str) -> np.random.Generator:
    """Random numbers that are always the same for a name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def more_rows(rows: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Rows of a table as it might go on: those given, then mixtures of them with a little noise where columns hold fractions.

    A mixture has each element from one row with probability 0.8, else from another one: so single columns keep their values, and whole
    rows stay near the data. Columns of whole numbers get no noise, and neither do missing values.

    Args:
        rows: real ones.
        count: how many are wanted.
        random: where they come from.
    """
    if len(rows) >= count:
        return rows[:count]
    missing = count - len(rows)
    first, second = (rows[random.integers(len(rows), size=missing)] for _ in range(2))
    mixed = np.where(random.random(first.shape) < 0.8, first, second)
    whole = np.array([bool((column[~np.isnan(column)] % 1 == 0).all()) for column in rows.T])
    noise = random.standard_normal(mixed.shape) * 0.05 * np.nanstd(rows, axis=0)
    noisy = np.clip(mixed + noise, np.nanmin(rows, axis=0), np.nanmax(rows, axis=0))
    return np.concatenate([rows, np.where(whole, mixed, noisy)])


def table(
    name: str, train: NDArray[np.float64], held_out: NDArray[np.float64], count: int, dtype: type = np.float32
) -> tuple[Array, Array]:
    """Calibration samples from rows that a model was fitted to, and inputs from others; each row is one sample of shape (1, columns)."""
    random = generator(name)
    chosen: list[Array] = [
        more_rows(rows, wanted, random).astype(dtype)[:, None, :] for rows, wanted in ((train, CALIBRATION), (held_out, count))
    ]
    return chosen[0], chosen[1]
