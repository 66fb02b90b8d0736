"""Constructs that guests in Python have: numbers. Each function is one row of the table in docs/python-guests.md."""

from __future__ import annotations

import math

import numpy as np

from zkvm.guest import commit, read

LIMIT = 40
MASK = 0xFFFFFFFF
SCALE = 2.5


def ints() -> None:
    """`int`: `+ - * // % ** << >> & | ^ ~`, exact within 32 bits

    `total = n * n // 3 - n % 7`
    """
    n, m = int(read(np.int32)) % 1000, int(read(np.int32)) % 1000 - 500
    commit(n + m * 7 - (n - m))
    commit(n // 7 + m // 7 + m // -7)
    commit(n % 7 + m % 7 + (m - 3) % -7)
    commit(n**2 + 3**4)
    commit(np.int64(2**40 - 1 + 5 * 2**39) + (0xFFFFFFFF & 0xF0F) - 2**62 // 2**60)
    commit((n << 3) + (m >> 2) + (m << 1))
    commit((n & 0xFF) | (m & 12) ^ ~n)
    commit(-m)
    commit(+n)
    commit(abs(m) + max(n, m, 3) - min(n, m))
    commit(divmod(m, 7))
    commit((n in (1, 2, m), m not in (n, 3), n.bit_length(), m.bit_count(), math.gcd(n, m), math.isqrt(n * n + n), round(n)))


def floats() -> None:
    """`float`: `+ - * / // %`, comparisons, `x ** 2`

    `mean = total / n`
    """
    n, m = int(read(np.int32)) % 1000, int(read(np.int32)) % 1000 - 500
    x, y = n / 7, m * 0.25
    commit(x + y * SCALE - 1)
    commit(x // 3 + y // -3.0)
    commit(x % 3 + y % -3.5)
    commit(x**2 / (y * y + 1.0))
    commit(-y)
    commit(abs(y))
    commit(x > y)
    commit(int(x))
    commit(int(y))
    commit(float(n) / 3.0)
    commit(max(x, y, 1e-3))
    commit(1e300 * 1e10 - 5e-324)
    commit((round(x), round(y), round(y * 2)))


def truth_values() -> None:
    """`bool`: `and or not`, comparisons in chains, `& | ^` of truth values

    `if 0 <= n < 10 and not done:`
    """
    n, m = int(read(np.int32)) % 100, int(read(np.int32)) % 100
    commit(n < m)
    commit(0 <= n < 50 <= m + 50 < 1000)
    commit(n > 3 and m > 3 or n == m)
    commit(not n > 3)
    commit((n > 50) & (m > 50) | (n > m) ^ True)
    commit(bool(n) == (n != 0))
    commit(int(n > m) + 1)
    commit(n == m if n else m > 1)
    done = False
    while not done:
        n -= 7
        done = n < 0 or n == m
    commit(n)


def numpy_integers() -> None:
    """`np.int8` to `np.uint64`: all operators, wrapping as numpy does

    `h = (h ^ x) * np.uint32(16777619)`
    """
    a, b = read(np.int32), read(np.int32)
    u, v = read(np.uint32), read(np.uint32)
    commit(a + b)
    commit(a * b - a)
    commit(u * v + u)
    commit(np.uint8(u) + np.uint8(v))
    commit(np.int8(a) * np.int8(b))
    commit(np.int16(a) - np.int16(b) * np.int16(3))
    commit(np.uint16(u) * np.uint16(v))
    commit(np.int64(a) * np.int64(b) + np.int64(u))
    commit(np.uint64(u) * np.uint64(v) * np.uint64(0x9E3779B97F4A7C15))
    commit(a // np.int32(7) + a % np.int32(-13))
    commit(np.int64(a) // np.int64(-7))
    commit(u // np.uint32(10) + u % np.uint32(10))
    commit((u << np.uint32(5)) ^ (u >> np.uint32(7)))
    commit(a >> np.int32(3))
    commit(np.uint8(u) << np.uint8(9))
    commit(np.int8(a) >> np.int8(20))
    commit(~u & v | u)
    commit(-a)
    commit(~np.int8(a))
    commit(-np.uint8(u))
    commit(np.uint32(3) ** np.uint32(u % np.uint32(9)))
    commit(abs(np.int16(a)))


def promotion() -> None:
    """numpy's promotion: `int` and `float` take the type of the numpy scalar beside them

    `np.uint8(200) + 100` is `np.uint8(44)`
    """
    a, u = read(np.int32), read(np.uint32)
    n = int(a) % 50
    commit(np.uint8(u) + 100)
    commit(np.uint8(u) * n)
    commit(np.int8(a) + np.int32(u % 1000))
    commit(np.uint8(u) + np.int8(a))
    commit(np.uint32(u) + np.int32(a))
    commit(np.float32(a) * 0.1)
    commit(np.float32(a) * np.float64(0.1))
    commit(np.float32(a) + n)
    commit(np.int16(a) * 1.5)
    commit(np.int16(a) / np.int16(7))
    commit(u & MASK)
    commit(n / 4 + np.float32(1))
    commit(np.int64(n) + 1)


def conversions() -> None:
    """`int(x) float(x) bool(x) np.int16(x) x.astype(np.int16)`

    `small = np.int8(x & 0x7F)`
    """
    a, u = read(np.int32), read(np.uint32)
    commit(np.int8(a))
    commit(np.uint16(a))
    commit(np.uint64(np.int64(a)))
    commit(np.int32(u))
    commit(np.float32(a))
    commit(np.float64(u))
    commit(np.float32(np.float64(a) / 3.0))
    commit(np.int32(np.float64(a) / 3.0))
    commit(np.uint8(np.float32(77.9)))
    commit(int(a))
    commit(float(a))
    commit(bool(a))
    commit(a.astype(np.int16))
    commit(np.uint8(255))
    commit(np.int64(2**40))


def comparisons_of_types() -> None:
    """Comparisons of integers of different types, by their values

    `np.int32(-1) < np.uint32(5)` is true
    """
    a, u = read(np.int32), read(np.uint32)
    commit(a < u)
    commit(u > a)
    commit(np.uint64(u) > np.int64(a))
    commit(np.int8(a) < np.uint64(u))
    commit(np.uint64(u) == np.int8(a))
    commit(np.int8(-1) < np.uint32(u))
    commit(np.uint8(u) < 300)
    commit(np.uint32(u) > -1)
    commit(np.uint8(u) == -5)
    commit(a == int(a))
    commit(np.float32(0.1) < 0.1)
    commit(np.float64(0.1) == 0.1)
    commit(a != u)
    commit(np.uint64(18446744073709551615) > -1)


def float32s() -> None:
    """`np.float32` and `np.float64`, bit by bit as numpy computes them

    `y = np.float32(x) * w + b`
    """
    a, b = np.float32(read(np.int32)) / np.float32(3), np.float32(read(np.int32)) / np.float32(1000)
    x, y = np.float64(a) * 1.1, np.float64(b) / 7.0
    commit((a + b, a - b, a * b))
    b = b if b != 0 else np.float32(0.25)
    commit((a // b, a % b, -a, abs(b), a / b))
    y = y if y != 0 else np.float64(0.75)
    commit((x + y, x - y, x * y, x / y))
    commit((x // y, x % y, y // 0.7, x % -0.3))
    commit((a < b, a == a, x >= y))
    commit(np.float64(1.0) / np.float64(0.0))
    commit(np.sqrt(np.abs(a)))
    commit(np.sqrt(np.abs(x)))
    commit((np.floor(x), np.ceil(x), np.trunc(x), np.rint(x), np.rint(a)))
    commit((np.rint(np.float64(2.5)), np.rint(np.float64(-0.4)), np.floor(a), np.ceil(b)))
    commit((np.maximum(a, b), np.minimum(x, y), np.isnan(x)))
    k = read(np.int32)
    commit((np.rint(k), np.rint(np.uint16(k)), np.rint(np.int64(k)), np.round(np.int8(k)), np.floor(np.uint8(k))))


def mathematics() -> None:
    """`math.sqrt math.floor math.ceil math.trunc`, `math.pi` and other constants

    `side = math.floor(math.sqrt(area))`
    """
    n = int(read(np.int32)) % 10000
    commit(math.floor(math.sqrt(n)))
    commit(math.ceil(n / 7))
    commit(math.trunc(-n / 7))
    commit(n * math.pi + math.e)
    commit(math.sqrt(2.0))


def bit_tricks() -> None:
    """Hashes and generators of numbers: `np.uint32` and `np.uint64` with shifts

    `x ^= x << np.uint32(13)`
    """
    x = read(np.uint32)
    for _ in range(5):
        x ^= x << np.uint32(13)
        x ^= x >> np.uint32(17)
        x ^= x << np.uint32(5)
    commit(x)
    state = np.uint64(x)
    for _ in range(3):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        commit(np.uint32(state >> np.uint64(33)))
    h = np.uint32(2166136261)
    for k in range(LIMIT):
        h = (h ^ np.uint32(k)) * np.uint32(16777619)
    commit(h)
