"""Constructs that guests in Python have: tensors. Each function is one row of the table in docs/python-guests.md."""

from __future__ import annotations

import numpy as np

from zkvm.guest import commit, read, tensors

RNG = np.random.default_rng(7)
WIDE = tensors.Linear(RNG.integers(-128, 128, (10, 12)), 1 / 64, RNG.integers(-900, 900, 10))
RELU = tensors.Linear(RNG.integers(-32768, 32768, (3, 10)), RNG.random(3) / 10, 5, low=0, high=20000)
UNCUT = tensors.Linear(np.eye(12, dtype=np.int8) * 4, 1 / 12, 1)
MATMUL = tensors.Matmul(1 / 6, bias=-4, high=9999)
REVERSED = tensors.Gather(np.arange(40).reshape(5, 8)[:, ::-1] - 1)
FLATTENED = tensors.Gather(np.arange(27))
WINDOWS = tensors.Gather([[4 * (y + i) + x + j for y in range(3) for x in range(3)] for i in range(2) for j in range(2)])
SUM = tensors.Sum(1 / 4, 4, 4)
DIFFERENCE = tensors.Sum(3 / 8, first=2, second=-2, bias=-7, low=-100, high=100)
PRODUCT = tensors.Product(1 / 300, bias=3)
QUARTERS = tensors.Function(np.arange(-32768, 32768) // 4)
PAIRS, FOURS = tensors.Maximum(2), tensors.Maximum(4)


def reading() -> None:
    """`tensors.read(shape)`, `tensors.load(array, shape)`, `t.numbers()`, `t.shape`: in, from an array, and out

    `x = tensors.read((784,))`
    """
    x, y = tensors.read((12, 11)), tensors.read(5)
    commit((x.shape, y.shape, x.numbers(), y.numbers()))
    a, b = read(np.int8, (4, 10)), read(np.int16, 9)
    u = read(np.uint8, (3, 16))
    commit((tensors.load(a, (4, 10)).numbers(), tensors.load(a, 40).numbers(), tensors.load(a[:, ::2], (20, 1)).numbers()))
    commit((tensors.load(b, (1, 9)).numbers(), tensors.load(u, (3, 16)).numbers(), tensors.load(u.T, (16, 3)).numbers()))


def layers() -> None:
    """`tensors.Linear(weights, scale, bias, low, high)`: products with a constant matrix, rescaled and cut; `tensors.cuts()`

    `DENSE = tensors.Linear(WEIGHTS, 1 / 512, BIAS, low=0)` outside, `y = DENSE(x)` in the guest
    """
    x = tensors.read((12, 9))
    y = WIDE(x)
    commit((tensors.cuts(), y.numbers()))
    z = RELU(y)
    commit((tensors.cuts(), z.shape, z.numbers()))
    flat = UNCUT(tensors.load(read(np.uint8, 12), 12))
    assert tensors.cuts() == (0, 0), "a value saturates"
    commit(flat.numbers())


def products_of_tensors() -> None:
    """`tensors.Matmul(scale, bias, low, high)`: `w.T @ x` of two tensors of the run

    `scores = tensors.Matmul(1 / 64)(queries, keys)`
    """
    queries, keys, one = tensors.read((6, 9)), tensors.read((6, 16)), tensors.read(6)
    commit((MATMUL(queries, keys).numbers(), tensors.cuts(), MATMUL(one, keys).numbers()))
    commit(MATMUL(keys, keys).shape)


def twice(x: tensors.Tensor) -> tensors.Tensor:
    return SUM(x, x)


def elementwise_calls() -> None:
    """`tensors.Sum`, `Product`, `Function`: two tensors of one shape, or every element

    `z = SUM(x, y)`
    """
    x, y = tensors.read((3, 9)), tensors.read((3, 9))
    commit((twice(x).numbers(), tensors.cuts()))
    commit((DIFFERENCE(x, y).numbers(), tensors.cuts()))
    commit((PRODUCT(x, y).numbers(), tensors.cuts()))
    commit(QUARTERS(SUM(x, y)).numbers())


def rearranging() -> None:
    """`tensors.Gather(places)`, `Maximum(channels)`: windows, pools, other shapes

    `pooled = tensors.Maximum(4)(WINDOWS(image))`
    """
    x = tensors.read((4, 10))
    commit((REVERSED(x).numbers(), PAIRS(x).numbers(), FOURS(x).numbers(), FLATTENED(x).numbers()))
    image = tensors.load(read(np.int8, (1, 16)), (1, 16))
    commit(FOURS(WINDOWS(image)).numbers())
