"""What ends a guest in Python: each function raises under CPython, and the guest panics with the same error on the same line."""

from __future__ import annotations

from typing import Any

import numpy as np

from zkvm.guest import commit, panic, poseidon2_compress, read

TABLE = np.arange(6, dtype=np.int32).reshape(2, 3)


def number() -> int:
    """7, which no translator knows."""
    return int(read(np.int32))


def index_beyond() -> None:
    """Index"""
    a = read(np.int32, 3)
    i = number()
    commit(a[0])
    commit(a[i])


def index_below() -> None:
    """Index"""
    a = np.zeros(3, np.uint8)
    a[1 - number()] = 5
    commit(a)


def index_of_second_axis() -> None:
    """Index"""
    m = np.zeros((9, 3), np.int64)
    commit(m[number(), 3])


def index_of_constant() -> None:
    """Index"""
    commit(TABLE[1, number()])


def index_of_wide_type() -> None:
    """Index"""
    a = np.zeros(9, np.int32)
    commit(a[np.uint32(number()) - np.uint32(8)])


def index_of_row() -> None:
    """Index"""
    m = np.zeros((3, 3), np.int64)
    commit(m[number()])


def index_in_call() -> None:
    """Index"""
    commit(last_but(np.zeros(4, np.int16), number()))


def last_but(a: Any, n: int) -> Any:
    return a[-n]


def index_of_tuple() -> None:
    """Index"""
    primes = (2, 3, 5)
    commit(primes[number()])


def division() -> None:
    """Division"""
    commit(100 // (number() - 7))


def modulo() -> None:
    """Division"""
    commit(100 % (number() - 7))


def float_division() -> None:
    """Division"""
    commit(2.5 / (number() - 7.0))


def shift() -> None:
    """Shift"""
    commit(1 << (number() - 8))


def fit() -> None:
    """Conversion"""
    commit(np.uint8(number() + 250))


def fit_of_operand() -> None:
    """Conversion"""
    commit(np.int8(3) + number() * 100)


def fit_of_element() -> None:
    """Conversion"""
    a = np.zeros(2, np.uint8)
    a[0] = number() - 8
    commit(a)


def shapes() -> None:
    """Shapes"""
    a, b = np.zeros(number(), np.int32), np.zeros(5, np.int32)
    commit(a + b)


def reshape() -> None:
    """Shapes"""
    commit(np.zeros(number(), np.int32).reshape(2, -1))


def assignment() -> None:
    """Shapes"""
    a = np.zeros(5, np.int32)
    a[1:] = np.zeros(number(), np.int32)
    commit(a)


def unpack() -> None:
    """Shapes"""
    a, b = np.zeros(number(), np.int32)
    commit((a, b))


def negative_length() -> None:
    """Shapes"""
    commit(np.zeros(number() - 8, np.int32))


def empty_minimum() -> None:
    """Empty"""
    commit(np.zeros(number(), np.int32)[7:].min())


def empty_argmax() -> None:
    """Empty"""
    commit(np.argmax(np.zeros(number() - 7, np.int32)))


def product() -> None:
    """Shapes"""
    commit(TABLE @ np.zeros(number(), np.int32))


def zero_step() -> None:
    """Range"""
    for i in range(0, 10, number() - 7):
        commit(i)


def failed_assertion() -> None:
    """Assertion"""
    n = number()
    assert n > 7, "n is too small, 100%"


def bare_assertion() -> None:
    """Assertion"""
    assert number() == 0


def raised() -> None:
    """Raise"""
    if number() == 7:
        raise ValueError('seven: "7"')


def raised_without_text() -> None:
    """Raise"""
    if number() == 7:
        raise KeyError


def panicked() -> None:
    """Panic"""
    if number() == 7:
        panic("gave up")


def end_of_input() -> None:
    """Input"""
    number()
    commit(read(np.int64, 600))


def no_digest() -> None:
    """Hash"""
    commit(poseidon2_compress(np.full(32, number() + 248, np.uint8), np.zeros(32, np.uint8)))


def power() -> None:
    """Power"""
    commit(np.int32(2) ** np.int32(number() - 8))


def mask() -> None:
    """Shapes"""
    a = np.zeros(number(), np.int32)
    commit(a[np.zeros(3, np.bool_)])
