"""Functions of numpy, written as guests are: translated for the types that they are called with.

Arrays that come in are dense and have one axis, unless it is said otherwise.
"""

from __future__ import annotations

# Parameters and results have the types of the call.
# mypy: ignore-errors
# ruff: noqa: D103
import numpy as np


def add_up(a, zero):
    total = zero
    for i in range(len(a)):
        total += a[i]
    return total


def count_true(a):
    total = 0
    for i in range(len(a)):
        if a[i]:
            total += 1
    return np.int64(total)


def pairwise(a, start, count):
    """A sum of floats in numpy's order: eight sums side by side below 128 elements, halves above."""
    if count < 8:
        total = a[start]
        for i in range(1, count):
            total += a[start + i]
        return total
    if count <= 128:
        r0, r1, r2, r3 = a[start], a[start + 1], a[start + 2], a[start + 3]
        r4, r5, r6, r7 = a[start + 4], a[start + 5], a[start + 6], a[start + 7]
        whole = count - count % 8
        for i in range(8, whole, 8):
            at = start + i
            r0 += a[at]
            r1 += a[at + 1]
            r2 += a[at + 2]
            r3 += a[at + 3]
            r4 += a[at + 4]
            r5 += a[at + 5]
            r6 += a[at + 6]
            r7 += a[at + 7]
        total = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
        for i in range(whole, count):
            total += a[start + i]
        return total
    half = count // 2
    half -= half % 8
    return pairwise(a, start, half) + pairwise(a, start + half, count - half)


def add_up_floats(a, zero):
    if len(a) == 0:
        return zero
    return pairwise(a, 0, len(a))


def multiply_up(a, one):
    product = one
    for i in range(len(a)):
        product *= a[i]
    return product


def cumulate(a, out):
    if len(a) > 0:
        out[0] = a[0]
        for i in range(1, len(a)):
            out[i] = out[i - 1] + a[i]


def smallest(a):
    if len(a) == 0:
        raise ValueError("zero-size array to reduction operation minimum which has no identity")
    best = a[0]
    for i in range(1, len(a)):
        value = a[i]
        if value < best or value != value:
            best = value
    return best


def largest(a):
    if len(a) == 0:
        raise ValueError("zero-size array to reduction operation maximum which has no identity")
    best = a[0]
    for i in range(1, len(a)):
        value = a[i]
        if value > best or value != value:
            best = value
    return best


def place_of_smallest(a):
    if len(a) == 0:
        raise ValueError("attempt to get argmin of an empty sequence")
    best, place = a[0], 0
    for i in range(1, len(a)):
        value = a[i]
        if best != best:
            break
        if value < best or value != value:
            best, place = value, i
    return np.int64(place)


def place_of_largest(a):
    if len(a) == 0:
        raise ValueError("attempt to get argmax of an empty sequence")
    best, place = a[0], 0
    for i in range(1, len(a)):
        value = a[i]
        if best != best:
            break
        if value > best or value != value:
            best, place = value, i
    return np.int64(place)


def any_of(a):
    for i in range(len(a)):
        if a[i]:
            return True
    return False


def all_of(a):
    for i in range(len(a)):
        if not a[i]:
            return False
    return True


def along_axis(a, out, operate):
    """A reduction of the middle of three axes; ``out`` has the two others. Elements of the last axis are side by side."""
    line = np.empty(a.shape[1], a.dtype)
    for i in range(a.shape[0]):
        for j in range(a.shape[2]):
            for k in range(a.shape[1]):
                line[k] = a[i, k, j]
            out[i, j] = operate(line)


def add_along_axis(a, out):
    for i in range(a.shape[0]):
        for j in range(a.shape[2]):
            total = out[i, j]
            for k in range(a.shape[1]):
                total += a[i, k, j]
            out[i, j] = total


def add_floats_along_axis(a, out):
    if a.shape[2] == 1:
        for i in range(a.shape[0]):
            if a.shape[1] > 0:
                out[i, 0] = pairwise(a[i, :, 0].copy(), 0, a.shape[1])
    else:
        for i in range(a.shape[0]):
            for j in range(a.shape[2]):
                if a.shape[1] > 0:
                    total = a[i, 0, j]
                    for k in range(1, a.shape[1]):
                        total += a[i, k, j]
                    out[i, j] = total


def dot_vectors(a, b, zero):
    if len(a) != len(b):
        raise ValueError("shapes are not aligned")
    total = zero
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


def dot_matrices(a, b, out):
    """Dense arrays of two axes."""
    if a.shape[1] != b.shape[0]:
        raise ValueError("shapes are not aligned")
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = out[i, j]
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            out[i, j] = total


def compress(a, flags):
    if len(a) != len(flags):
        raise IndexError("boolean index did not match indexed array")
    out = np.empty(int(count_true(flags)), a.dtype)
    at = 0
    for i in range(len(a)):
        if flags[i]:
            out[at] = a[i]
            at += 1
    return out


def take_rows(a, places, out):
    """Rows of an array of two axes, by their numbers."""
    for i in range(len(places)):
        row = places[i]
        for j in range(a.shape[1]):
            out[i, j] = a[row, j]


def put_flags(a, flags, value):
    if len(a) != len(flags):
        raise IndexError("boolean index did not match indexed array")
    for i in range(len(a)):
        if flags[i]:
            a[i] = value


def put_flags_from(a, flags, values):
    if len(a) != len(flags):
        raise IndexError("boolean index did not match indexed array")
    at = 0
    for i in range(len(a)):
        if flags[i]:
            if at >= len(values):
                raise ValueError("fewer values than flags")
            a[i] = values[at]
            at += 1
    if at != len(values):
        raise ValueError("more values than flags")


def put_indices(a, places, value):
    for i in range(len(places)):
        a[places[i]] = value


def put_indices_from(a, places, values):
    if len(places) != len(values):
        raise ValueError("as many values as indices are needed")
    for i in range(len(places)):
        a[places[i]] = values[i]


def flat_places(a):
    out = np.empty(int(count_nonzero(a)), np.int64)
    at = 0
    for i in range(len(a)):
        if a[i]:
            out[at] = i
            at += 1
    return out


def count_nonzero(a):
    total = 0
    for i in range(len(a)):
        if a[i]:
            total += 1
    return np.int64(total)


def count_values(a, length):
    top = length
    for i in range(len(a)):
        value = int(a[i])
        if value < 0:
            raise ValueError("'list' argument must have no negative elements")
        top = max(top, value + 1)
    out = np.zeros(top, np.int64)
    for i in range(len(a)):
        out[a[i]] += 1
    return out


def equal_arrays(a, b):
    if len(a) != len(b):
        return False
    for i in range(len(a)):
        if a[i] != b[i]:
            return False
    return True


def spread(a, zero, count):
    """The mean of the squares of what floats are off their mean, as numpy computes it; ``count`` is their number as a float."""
    off = a - add_up_floats(a, zero) / count
    return add_up_floats(off * off, zero) / count
