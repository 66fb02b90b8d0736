"""Functions of numpy about order, and of Python about integers, written as guests are: see ``library.py``."""

from __future__ import annotations

# Parameters and results have the types of the call.
# mypy: ignore-errors
# ruff: noqa: D103
import numpy as np


def sort_in_place(a):
    """Merges of runs: stable; NaN last, as numpy has it."""
    count = len(a)
    width = 12
    for start in range(0, count, width):
        for i in range(start + 1, min(start + width, count)):
            value = a[i]
            at = i
            while at > start and (value < a[at - 1] or (a[at - 1] != a[at - 1] and value == value)):
                a[at] = a[at - 1]
                at -= 1
            a[at] = value
    if count > width:
        other = np.empty(count, a.dtype)
        source, target = a, other
        while width < count:
            for start in range(0, count, 2 * width):
                middle, end = min(start + width, count), min(start + 2 * width, count)
                left, right = start, middle
                for at in range(start, end):
                    take_right = left >= middle
                    if not take_right and right < end:
                        x, y = source[left], source[right]
                        take_right = y < x or (x != x and y == y)
                    if take_right:
                        target[at] = source[right]
                        right += 1
                    else:
                        target[at] = source[left]
                        left += 1
            source, target = target, source
            width *= 2
        if not (width == 12):
            copy_over(source, a)


def copy_over(source, target):
    for i in range(len(target)):
        target[i] = source[i]


def order_of(a):
    """The places of the elements in their sorted order; equal ones stay in theirs."""
    count = len(a)
    order = np.empty(count, np.int32)
    other = np.empty(count, np.int32)
    for i in range(count):
        order[i] = np.int32(i)
    source, target = order, other
    width = 1
    while width < count:
        for start in range(0, count, 2 * width):
            middle, end = min(start + width, count), min(start + 2 * width, count)
            left, right = start, middle
            for at in range(start, end):
                take_right = left >= middle
                if not take_right and right < end:
                    x, y = a[source[left]], a[source[right]]
                    take_right = y < x or (x != x and y == y)
                if take_right:
                    target[at] = source[right]
                    right += 1
                else:
                    target[at] = source[left]
                    left += 1
        source, target = target, source
        width *= 2
    return source.astype(np.int64)


def place_left(a, value):
    low, high = 0, len(a)
    while low < high:
        middle = (low + high) // 2
        if a[middle] < value:
            low = middle + 1
        else:
            high = middle
    return np.int64(low)


def place_right(a, value):
    low, high = 0, len(a)
    while low < high:
        middle = (low + high) // 2
        if value < a[middle]:
            high = middle
        else:
            low = middle + 1
    return np.int64(low)


def unique_sorted(a):
    """Of a sorted copy."""
    count = 0
    for i in range(len(a)):
        if i == 0 or a[i] != a[i - 1]:
            a[count] = a[i]
            count += 1
    return a[:count].copy()


def greatest_divisor(a, b):
    while b != 0:
        a, b = b, a % b
    return abs(a)


def whole_root(n):
    """The greatest integer whose square is at most n; 46340 is that of the greatest int."""
    if n < 0:
        raise ValueError("isqrt() argument must be nonnegative")
    low, high = 0, 46341
    while high - low > 1:
        middle = (low + high) // 2
        if middle * middle <= n:
            low = middle
        else:
            high = middle
    return low


def length_in_bits(n):
    count, rest = 0, abs(n)
    while rest != 0:
        rest >>= 1
        count += 1
    return count


def ones_in_bits(n):
    count, rest = 0, abs(n)
    while rest != 0:
        rest &= rest - 1
        count += 1
    return count
