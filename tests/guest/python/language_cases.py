"""Constructs that guests in Python have: the language. Each function is one row of the table in docs/python-guests.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zkvm import guest
from zkvm.guest import commit, log, read, read_available

PRIMES = (2, 3, 5, 7, 11)
NESTED = ((1, 2), (3, np.uint8(4)), "text")
TABLE = np.arange(12, dtype=np.int16).reshape(3, 4) * 3 - 5
NAMES = {"unused": 1}


@dataclass(frozen=True)
class Point:
    """A record with a method and a property."""

    x: Any
    y: Any
    weight: Any = 2

    def moved(self, by: Any) -> Point:
        return Point(self.x + by, self.y + by, self.weight)

    @property
    def area(self) -> Any:
        return self.x * self.y


class Pair(NamedTuple):
    """A record that is a tuple too."""

    first: Any
    second: Any


ORIGIN = Point(np.int32(1), np.int32(2))


def make_scaler(factor: int) -> Callable[[Any], Any]:
    def scale(x: Any) -> Any:
        return x * factor

    return scale


triple = make_scaler(3)


def square(x: Any) -> Any:
    return x * x


def apply(function: Callable[[Any], Any], x: Any) -> Any:
    return function(x) + function(x + 1)


def factorial(n: int) -> int:
    return 1 if n < 2 else n * factorial(n - 1)


def gcd(a: np.uint32, b: np.uint32) -> np.uint32:
    while b != 0:
        a, b = b, a % b
    return a


def scaled(values: NDArray[np.int32], by: int = 2, *, plus: int = 1) -> NDArray[np.int32]:
    return values * by + plus


def loops() -> None:
    """`for` over `range`, arrays, tuples of numbers, `enumerate`, `zip`, `reversed`; `while`; `break`, `continue`, `else`

    `for i, (a, b) in enumerate(zip(x, y)):`
    """
    n = int(read(np.uint32) % 20)
    x = read(np.int32, 4)
    total = 0
    for i in range(n):
        total += i * i
    for i in range(n, -n, -3):
        total += i
    for i in range(0, n, 2):
        if i == 6:
            continue
        if i > 12:
            break
        total += i
    else:
        total += 1000
    for prime in PRIMES:
        total += prime
    for i, (a, b) in enumerate(x.reshape(2, 2)):
        total += i * int(a % 7) + int(b % 5)
    for i, value in enumerate(x, n - 3):
        total += i * int(value % 5)
    for i in reversed(range(3)):
        total = 2 * total % 100003 + i
    for value in reversed(x):
        total += int(value % 10)
    k = 0
    while k < 5:
        k += 1
        if k == n:
            break
    else:
        total -= 7
    while True:
        k += 3
        if k > 20:
            break
    commit((total, k))


def zips() -> None:
    """`zip` of arrays, and `enumerate(zip(...))`

    `for i, (a, b) in enumerate(zip(x, y)):`
    """
    x, y = read(np.int32, 5), read(np.uint8, 3)
    total = np.int64(0)
    for a, b in zip(x, y, strict=False):
        total += a * np.int64(b)
    for i, (a, b) in enumerate(zip(x[:3], y, strict=True)):
        total += i * a - b
    commit(total)


def branches() -> None:
    """`if`, `elif`, `else`, `a if c else b`, `pass`

    `sign = 1 if x > 0 else -1`
    """
    n = int(read(np.int32)) % 10
    if n < 3:
        kind = 1
    elif n < 6:
        kind = 2
    else:
        kind = 3
    if kind == 9:
        pass
    commit(kind)
    commit(n if n % 2 else -n)
    commit((1 if n > 3 else 2) + (10 if n > 5 else 20))
    values = read(np.int32, 3)
    chosen = values if n > 4 else values * 2
    commit(chosen)


def functions() -> None:
    """Functions with defaults and names of arguments, recursion, several results; of this and other modules

    `low, high = bounds(values, margin=2)`
    """
    x = read(np.int32, 3)
    commit(scaled(x))
    commit(scaled(x, 3, plus=5))
    commit(scaled(by=4, values=x))
    commit(factorial(10))
    commit(gcd(np.uint32(462), np.uint32(1071)))
    low, high = two_ends(x)
    commit((low, high))


def two_ends(values: Any) -> Any:
    return np.min(values), np.max(values)


def closures() -> None:
    """Closures over constants, functions as arguments

    `double = make_scaler(2)` outside, `double(x)` in the guest
    """
    x = int(read(np.int32)) % 1000
    commit(triple(x))
    commit(apply(square, x))
    commit(apply(triple, np.int16(x)))


def tuples() -> None:
    """Tuples: unpacking, `t[0]`, `t[i]`, slices, `+`, `len`, comparisons, as results and in variables

    `a, b = b, a + b`
    """
    n = int(read(np.int32)) % 100
    a, b = 1, n
    for _ in range(5):
        a, b = b, (a + b) % 1000
    t = (a, np.uint8(7), 2.5)
    commit(t)
    commit((t[0], t[-1], len(t)))
    commit(t[1:] + (n,))
    commit(PRIMES[n % 5])
    commit(NESTED[1][1])
    (c, d), e = (a, b), n
    commit(c + d + e)
    commit((a, b) < (b, a))
    commit((a, n) == (a, n))
    commit((1, 2) <= (1, n))
    x = read(np.int32, 2)
    p, q = x
    commit((q, p))
    arrays = (x, x * 2)
    arrays = (arrays[1], arrays[0])
    commit(arrays)
    commit(sum((a, b, n)))


def records() -> None:
    """Records: frozen dataclasses and NamedTuples, with methods, properties and `replace`

    `p = replace(p, x=p.x + 1)`
    """
    n = read(np.int32) % 100
    p = Point(n, n + 1)
    commit(p)
    commit(p.moved(3).area)
    p = replace(p, x=np.int32(9), weight=5)
    commit((p.x, p.y, p.weight))
    commit(ORIGIN.area)
    q = Pair(n, np.zeros(2, np.int8))
    commit(q)
    commit(q.first)
    first, second = q
    commit((second, first))
    commit(q._replace(first=np.int32(1)))


def constants() -> None:
    """Constants of the modules: numbers, tuples, records, and arrays, which are read-only data

    `WEIGHTS = np.load("weights.npy")` outside of functions
    """
    n = int(read(np.uint32) % 3)
    commit(TABLE[n])
    commit(TABLE[n, 1:3])
    commit(TABLE.T[n])
    commit(TABLE.sum())
    commit(TABLE)
    copy = TABLE.copy()
    copy[0, 0] = 77
    commit(copy)


def annotated() -> None:
    """Annotations of parameters and results are checked; those of variables are not looked at

    `def f(x: np.uint8, w: NDArray[np.int32]) -> np.int32:`
    """
    n: int = int(read(np.int32)) % 9
    commit(typed(n, 0.5, np.uint8(n)))


def typed(n: int, x: float, b: np.uint8) -> float:
    return n * x + float(b)


def input_and_output() -> None:
    """`guest.read(dtype)`, `read(dtype, shape)`, `read_available(n)`, `commit`, `log`, `cycles`

    `x = guest.read(np.float32, (28, 28))`
    """
    a, b = read(np.uint8), read(np.int64)
    c = read(np.float32, (2, 3))
    rest = read_available(10)
    commit((a, b, c))
    commit(len(rest))
    commit(rest)
    commit(7)
    commit(2.5)
    commit(True)
    commit((np.uint16(3), (1, False)))
    log("a is", a, "b is", int(b > 0), b > 0, -5, np.uint64(2**63))
    log()
    log('ü "quoted" \\ 100%')
    commit(guest.cycles() >= 0)


def hashes() -> None:
    """`guest.blake3(array)`, `poseidon2_hash(array)`, `poseidon2_compress(left, right)`

    `node = guest.poseidon2_compress(node, sibling)`
    """
    x = read(np.int32, 100)
    m = read(np.uint8, (5, 7))
    commit((guest.blake3(x), guest.blake3(m[1:, 2]), guest.blake3(m[1, 1:])))
    leaves = np.empty((2, 32), np.uint8)
    leaves[0], leaves[1] = guest.poseidon2_hash(x), guest.poseidon2_hash(m)
    commit(guest.poseidon2_compress(leaves[0], leaves[1]))
    commit(guest.poseidon2_hash(m[::2]))


def assertions() -> None:
    """`assert`, `raise`, `guest.panic`: the message has the line, the exit code is 1

    `assert n <= 1000, "too many"`
    """
    n = int(read(np.uint16))
    assert n >= 0, "never"
    if n < 0:
        raise ValueError("never")
    elif n < -1:
        guest.panic("never")
    commit(checked(n))


def checked(n: int) -> int:
    if n >= 0:
        return n
    raise ValueError("negative")
