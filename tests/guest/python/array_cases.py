"""Constructs that guests in Python have: arrays. Each function is one row of the table in docs/python-guests.md."""

from __future__ import annotations

import numpy as np

from zkvm.guest import commit, read

KERNEL = np.array([[1, -2, 1], [2, 5, -3]], np.int32)


def making() -> None:
    """`np.zeros ones empty full arange array` and `*_like`, of any shape and type

    `counts = np.zeros((n, 256), np.uint32)`
    """
    n = int(read(np.uint32) % 5) + 1
    commit(np.zeros(n, np.int32))
    commit(np.zeros((n, 2)))
    commit(np.ones((2, n), np.uint8))
    commit(np.full((n, 2), -3, np.int16))
    commit(np.full(n, 2.5))
    commit(np.full(2, n))
    commit(np.arange(n))
    commit(np.arange(1, 2 * n, 3, dtype=np.uint8))
    commit(np.array([1, 2, n]))
    commit(np.array([[1, 2], [3, n]], np.uint16))
    commit(np.array([1.5, n / 2]))
    commit(np.array((n > 2, True)))
    x = read(np.int32, (2, 2))
    commit((np.zeros_like(x), np.ones_like(x), np.full_like(x, 9)))
    y = np.empty_like(x)
    y[:] = 4
    commit(y)
    commit(np.array(x, np.int64))
    y.fill(7)
    commit(y)


def elements() -> None:
    """`a[i]`, `a[i, j]`, negative and numpy indices; `a[i] = x`, `a[i] += x`, swaps

    `a[i], a[j] = a[j], a[i]`
    """
    a, m = read(np.int32, 6), read(np.uint8, (3, 4))
    i = int(a[0]) % 6
    commit((a[i], a[-1], a[i - 6], m[1, 2], m[-1, -1]))
    commit(a[np.uint8(3)] + a[np.int64(2)])
    a[i], a[0] = a[0], a[i]
    a[1] = 5
    a[2] += 7
    a[3] *= a[4]
    a[-2] -= 1
    m[0, 1] = np.int32(300)
    m[1, i % 4] ^= 0xFF
    m[2, 0] = 3.9
    commit((a, m))


def slices() -> None:
    """Slices are views: `a[1:]`, `a[::-1]`, `m[i]`, `m[:, j]`, `m[1:3, ::2]`, `a[None]`, `a[..., 0]`

    `row = image[y, x : x + 8]`
    """
    a, m = read(np.int32, 8), read(np.int16, (4, 5))
    t = read(np.uint8, (2, 3, 4))
    n = int(a[0]) % 4
    commit((a[1:], a[:-2], a[n:7], a[::2], a[::-1], a[6:1:-2], a[-3:]))
    commit((m[n], m[:, 2], m[1:3], m[1:3, ::2], m[:, ::-1], m[::-1, 1:4], m[..., 0]))
    commit((t[1], t[:, 1], t[0, 1:], t[..., 2], t[1, :, 3], t[0, 2]))
    commit((a[None], a[:, None] * a[None, 2:4]))
    commit(a[5:2])
    commit(a[100:])
    view = m[1]
    view[0] = 99
    m[2, 1:3] = 7
    m[:, 4] = a[:4]
    m[3] = m[0] * 2
    commit(m)
    commit((m.T, m.T[2], m.T.copy()))


def assignments() -> None:
    """`a[1:4] = x`, `a[:] = b`, `m[i] = (x, y)`, `m[mask] = 0`, in-place operators, overlapping sources

    `a[1:] = a[:-1]`
    """
    a, b = read(np.int32, 6), read(np.int32, 6)
    pairs = np.zeros((3, 2), np.uint8)
    pairs[0], pairs[1:, 1] = (a[0], 255), (1, a[1])
    pairs[2, ::-1] = pairs[2, 1], pairs[0, 1]
    commit(pairs)
    a[1:] = a[:-1]
    commit(a)
    a[::-1][:3] = a[:3]
    commit(a)
    b += a
    b *= 3
    b[2:4] -= 100
    commit(b)
    a[a < 0] = 0
    a[a > 10**6] += 5
    commit(a)
    places = np.array([4, 0, 2])
    a[places] = 17
    commit(a)
    a[places] = b[:3]
    commit(a)
    small = np.zeros(6, np.uint8)
    small[:] = b
    small[2] = 250
    small += 10
    commit(small)
    m = np.zeros((2, 6), np.int64)
    m[:] = b
    m[1] //= 7
    m[0] <<= 2
    commit(m)


def shapes() -> None:
    """`shape size ndim T dtype`, `len`, `reshape ravel flatten transpose copy astype fill`, `np.concatenate`, `np.flip`

    `flat = image.reshape(-1)`
    """
    m = read(np.int32, (3, 4))
    commit((m.shape, m.size, m.ndim, len(m), m.nbytes, m.itemsize))
    commit((m.reshape(2, 6), m.reshape(-1), m.reshape((4, -1)), np.reshape(m, (2, 2, 3))))
    commit((m.ravel(), m[1:].ravel(), m.flatten(), m.T.flatten(), m.T.copy().reshape(2, 6)))
    commit((m.transpose(), np.transpose(m.reshape(2, 3, 2), (1, 0, 2))))
    commit((m.astype(np.uint8), m.astype(np.int64), m.astype(np.float32), (m > 0).astype(np.int8)))
    commit((m / 3).astype(np.int32))
    copy = m.copy()
    copy[0, 0] = 1
    commit((copy[0, 0], m[0, 0]))
    commit(np.concatenate((m, m[:1], m[::-1])))
    commit(np.concatenate((m, m[:, :2]), axis=1))
    commit(np.concatenate((m[0], np.zeros(2, np.int64))))
    commit((np.flip(m), np.flip(m[0])))
    commit(np.zeros(3, m.dtype))


def together() -> None:
    """`np.stack vstack hstack roll repeat tile expand_dims swapaxes flip flipud fliplr eye shape size ndim`

    `rows = np.stack((left, right), axis=1)`
    """
    m, a = read(np.int32, (2, 3)), read(np.int32, 5)
    n = int(a[0] % 9) - 4
    commit((np.stack((m, m + 1)), np.stack((a, a, -a), axis=1), np.stack((m, m), axis=2), np.stack((m, m), axis=-2)))
    commit((np.vstack((m, m[1:])), np.vstack((a, a)), np.hstack((m, m[:, :1])), np.hstack((a, a[1:3]))))
    commit((np.roll(a, n), np.roll(a, 1), np.roll(a[:0], 3), np.repeat(a, 3), np.tile(a, 2), np.repeat(m.ravel()[::2], 2)))
    commit((np.expand_dims(a, 0), np.expand_dims(m, -1), m.swapaxes(0, 1), np.swapaxes(m[None], 0, 2)))
    commit((np.flip(m, axis=1), np.flip(m, 0), np.flipud(m), np.fliplr(m)))
    commit((np.eye(3), np.eye(2, dtype=np.int8), np.shape(m), np.size(m), np.ndim(m), np.ndim(n)))
    commit(np.expand_dims(a, 1) * m[0])


def arithmetic() -> None:
    """Operators and broadcasting element by element

    `y = x * scale + bias[:, None]`
    """
    a, b = read(np.int32, 4), read(np.int32, 4)
    m, u = read(np.int16, (3, 4)), read(np.uint8, 4)
    commit((a + b, a - b, a * b, -a, ~a, abs(a)))
    commit((a // 7, a % 7, a // -3, a & 255, a | 1, a ^ b, a << 3, a >> 2))
    commit((a / 3, a / (b.astype(np.float64) + 0.5), a * 0.5, (a * 0.5) ** 2))
    commit((m + a, m * u, m * m[:, :1], m[0] + m.T[:, 1:2]))
    commit((u + 200, u * u, u + np.uint8(100), u.astype(np.float32) * 0.1))
    commit((a < b, a == a, (a > 0) & (b > 0), ~(a > 0), (a > 0) | (b > 0)))
    commit((2 - a, 100 // (u | 1), 1 / (u + 1.0)))
    high = a > b
    commit((a * high, u + high, a / 2 - high, a[0] - high[1], high * u[0], np.int64(3) ** high, a << high))
    commit((a**2, u**3))
    commit((np.add(a, b), np.multiply(u, 3), np.subtract(a, 1), np.bitwise_and(a, b), np.left_shift(u, 1)))
    commit((np.equal(a, b), np.less(a, b), np.logical_not(a > 0), np.logical_and(a, u), np.logical_or(a, u)))
    commit((np.not_equal(a, b), np.less_equal(a, b), np.greater(a, 0), np.greater_equal(a, 0)))
    commit((np.floor_divide(a, 7), np.mod(a, 7), np.remainder(a, -7), np.divide(a, 4), np.true_divide(u, 3)))
    commit((np.bitwise_or(a, b), np.bitwise_xor(a, 5), np.right_shift(a, 3), np.power(a, 2)))


def elementwise() -> None:
    """`np.minimum maximum clip where abs sign square sqrt floor ceil rint isnan`, and more of that kind

    `y = np.where(x > 0, x, x // 8)`
    """
    a, b = read(np.int32, 5), read(np.int32, 5)
    f = a.astype(np.float32) / np.float32(1000)
    commit((np.minimum(a, b), np.maximum(a, 0), np.clip(a, -100, 100), a.clip(0, 255)))
    commit((np.where(a > b, a, b), np.where(a > 0, 1.5, f), np.where(a > 0, a, 0)))
    commit((np.abs(a), np.absolute(f), np.sign(a), np.square(a), np.negative(a)))
    commit((np.sqrt(np.abs(f)), np.sqrt(np.abs(a)), np.floor(f), np.ceil(f), np.trunc(f), np.rint(f)))
    commit((np.maximum(f, 0), np.minimum(f, 0.5), np.abs(f), np.sign(f)))
    commit(np.isnan(np.sqrt(f)))
    commit(np.isnan(np.maximum(np.sqrt(f), 0)))
    commit((np.isfinite(np.sqrt(f)), np.isinf(f / np.float32(0)), np.invert(a), np.bitwise_not(a > 0), np.logical_xor(a, b > 0)))
    commit((np.round(f), np.around(f * 100), np.sqrt(a.astype(np.int16) & 0xFFF), np.sqrt(a.astype(np.uint16))))


def reductions() -> None:
    """`sum prod min max mean any all argmin argmax count_nonzero cumsum`, `axis=`, `keepdims=True`; integers add up in 64 bits

    `label = np.argmax(scores)`
    """
    a, m = read(np.int32, 9), read(np.int16, (3, 4))
    u = read(np.uint8, (2, 3, 4))
    commit((a.sum(), np.sum(m), u.sum(), np.sum(a > 0)))
    commit((m.sum(axis=0), m.sum(axis=1), u.sum(axis=1), np.sum(u, axis=-1)))
    commit((np.prod(m[0, :3]), a.min(), a.max(), np.min(m), np.max(u), np.amin(a), np.amax(m)))
    commit((m.min(axis=0), m.max(axis=1), np.max(u, axis=2)))
    commit((np.argmax(a), np.argmin(a), m.argmax(), m.argmax(axis=1), np.argmin(m, axis=0)))
    commit((np.mean(a), m.mean(), m.mean(axis=0), u.mean(axis=2)))
    commit((np.any(a > 0), np.all(a > 0), (a > 0).any(), np.count_nonzero(a > 0), np.count_nonzero(a)))
    commit((np.cumsum(a), m[0].cumsum(), np.cumsum(u[0, 0])))
    commit((np.diff(a), a.sum(dtype=np.int32)))
    commit((max(a), min(m[0]), any(a > 5), all(a != 0)))
    commit((np.any(m > 9, axis=1), (m > 9).all(axis=0), np.count_nonzero(u, axis=1)))
    commit(
        (m - m.mean(axis=1, keepdims=True), m.sum(axis=0, keepdims=True), np.max(a, axis=0, keepdims=True), u.min(axis=-1, keepdims=True))
    )
    commit(np.any(u > 200, axis=1, keepdims=True))
    wide = a.astype(np.int64) * np.int64(2**38 + 12345)
    commit((np.mean(wide), wide.reshape(3, 3).mean(axis=1), np.mean(wide.astype(np.uint64))))


def float_sums() -> None:
    """Sums, means, `var` and `std` of floats: as numpy's, bit by bit

    `np.mean(errors)`
    """
    x = read(np.int32, 300).astype(np.float32) / np.float32(977)
    commit((x[:5].sum(), x[:8].sum(), x[:77].sum(), x[:131].sum(), x.sum(), x.mean()))
    y = x.astype(np.float64) / 3
    commit((y.sum(), y[:100].mean(), y[:7].sum()))
    m = x.reshape(30, 10)
    commit((m.sum(axis=0), m.sum(axis=1), m.mean(axis=1), m.sum(axis=0).sum()))
    commit((np.var(x), np.std(x), y[:77].var(), y.std(), m[0].std(), np.var(read(np.uint8, 9))))
    commit((x.min(), x.max(), np.argmax(x), np.cumsum(x[:9]), np.prod(y[:5] / 1000)))


def products() -> None:
    """`@`, `np.dot matmul outer` of one and two axes

    `hidden = weights @ x + bias`
    """
    m, v = read(np.int32, (2, 3)), read(np.int32, 3)
    commit((KERNEL @ v, m @ m.T, v @ v, v @ m.T, np.dot(m, v), m.dot(v), np.matmul(KERNEL, KERNEL.T)))
    commit((np.outer(v, v[:2]), m.astype(np.int64) @ v))
    commit(m.astype(np.uint8) @ v.astype(np.uint8))


def ordering() -> None:
    """`np.sort argsort unique searchsorted`, `a.sort()`; sorts are stable

    `order = np.argsort(keys, kind="stable")`
    """
    a = read(np.int32, 40)
    m = read(np.uint8, (3, 20))
    commit((np.sort(a), np.sort(a[::-1]), np.sort(m)))
    commit((np.argsort(a, kind="stable"), np.argsort(m[0], kind="stable")))
    a.sort()
    commit(a)
    commit((np.unique(m), np.unique(a % 7)))
    commit((np.searchsorted(a, a[7]), np.searchsorted(a, 0, side="right")))
    f = np.sqrt(read(np.int32, 20).astype(np.float32))
    commit(np.where(np.isnan(np.sort(f)), np.float32(-1), np.sort(f)))
    last = m[:, 1]
    last.sort()
    commit(m)


def choosing() -> None:
    """`a[mask]`, `a[indices]`, both for rows too; `np.take flatnonzero bincount array_equal`, `x in a`

    `kept = values[values > limit]`
    """
    a, m = read(np.int32, 10), read(np.int16, (4, 3))
    commit((a[a > 0], m[m > 0], a[a > 2**30]))
    places = np.array([3, 0, -1, 3])
    commit((a[places], m[places], np.take(a, places)))
    commit((np.flatnonzero(a > 0), np.bincount(np.abs(a) % 6), np.bincount(np.abs(a) % 3, minlength=5)))
    commit((np.array_equal(a, a.copy()), np.array_equal(a, a[1:]), np.array_equal(a, -a)))
    order = np.argsort(a, kind="stable")
    commit(order[np.argsort(order, kind="stable")])
    commit((m[a[:4] > 0], m[m[:, 0] < 0], m[np.zeros(4, np.bool_)]))
    m[a[:4] > 0] = 7
    m[places] += 1
    commit(m)
    m[places] = m[::-1]
    commit(m)
    m[np.array([1, 2])] = a[:3]
    m[np.array([0])] = m[1:2]
    commit((m, 7 in m, a[3] in a, 3 not in a[:2]))


def memory() -> None:
    """Arrays live as long as something uses them: in variables, tuples, records, as views

    `best = candidate.copy()`
    """
    n = int(read(np.uint32) % 10) + 20
    total = np.int64(0)
    kept = np.zeros(3, np.int32)
    for i in range(n):
        block = np.full(1000, i, np.int32)
        if i % 7 == 3:
            kept = block[10:13]
        pair = (block, kept)
        total += pair[0].sum() + pair[1][0]
        block = pair[0][::100] * 2
        total += block[3]
    commit((total, kept))
