"""Random scripts of tensor calls, and parts of them; and layers at the edges of what there is."""

from __future__ import annotations

import random
from itertools import product

from tests.riscv.vm.tensor_programs import CONSTANTS, Script, Vectors, bounds
from zkvm.riscv.isa.tensors import (
    APPLY,
    CHANNEL_LANES,
    EXPORT,
    GATHER,
    LINEAR,
    LOAD,
    MAXIMUM,
    RELATIVE,
    SCALED,
    SECOND_OPERAND,
    Descriptor,
)  # fmt: skip

EDGES = (-(2**15), 2**15 - 1, 0, 1, -1)


def random_vectors(rng: random.Random, count: int, lanes: int = 8) -> Vectors:
    """Vectors of random or extreme elements; lanes behind the first so many are 0."""
    kind = rng.randrange(4)
    low, high = ((0, 0), (-(2**15), 2**15 - 1), (-(2**15), -(2**15)), (-9, 9))[kind]

    def element() -> int:
        return rng.randint(low, high) if kind else rng.choice(EDGES)

    return [[element() for _ in range(lanes)] + [0] * (8 - lanes) for _ in range(count)]


def random_channels(rng: random.Random, count: int, taps: int) -> list[tuple[int, int, int]]:
    """A list of channels whose limit is the largest, or a random one."""
    limit = min(2**31 - 1, rng.choice((2**32 // taps, rng.randrange(1, 2**32 // taps + 1))))
    powers = [2**k for k in range(31) if 2**k <= limit]
    out = []
    for _ in range(count):
        multiplier = rng.choice((limit, -limit, 0, rng.choice(powers), rng.randrange(-limit, limit + 1)))
        most = min(2**48 - 1, 2**61 // max(1, abs(multiplier)))
        out.append((rng.choice((0, most, -most, rng.randrange(-most, most + 1), rng.randrange(-8, 9))), multiplier, limit))
    return out


def random_bounds(rng: random.Random) -> int:
    return bounds(*sorted(rng.choice((-(2**15), 2**15 - 1, 0, rng.randrange(-(2**15), 2**15))) for _ in range(2)))


def random_layer(rng: random.Random, positions: int, channels: int, taps: int, scaled: bool | None = None) -> Script:
    """One layer of that shape, with strides and starts, its weights constants or a tensor, and its result in RAM. ``scaled``: whether its
    channels are with its weights."""
    scaled = bool(rng.randrange(2)) if scaled is None else scaled
    script, blocks, halves = Script(), -(-positions // 8), -(-channels // 8)
    x_gap, w_gap, x_start, w_start = (rng.choice((0, 0, 1, 5)) for _ in range(4))
    x = script.add_import(random_vectors(rng, x_start + blocks * (taps + x_gap)))
    script.add_constants(random_vectors(rng, rng.randrange(3)))
    w = random_vectors(rng, w_start)
    for half in range(halves):
        w += random_vectors(rng, taps, min(8, channels - 8 * half)) + random_vectors(rng, w_gap)
    own = 16 * len(w)
    w += random_vectors(rng, channels, CHANNEL_LANES) if scaled else []
    at, operand = 0, CONSTANTS
    if rng.randrange(2):
        operand = script.add_import(w)
    else:
        at = script.add_constants(w)
    script.add_channels(random_channels(rng, rng.randrange(3), 1))
    listed = at + own if scaled else script.add_channels(random_channels(rng, channels, taps))
    limit = rng.choice([2**k for k in range(15, 30) if taps * 2**k <= 2**32])
    words = (blocks, channels, taps, 16 * x_start, taps + x_gap, at + 16 * w_start, taps + w_gap, listed, random_bounds(rng))
    layer = script.add(Descriptor(SCALED, *words, limit) if scaled else Descriptor(LINEAR, *words), x, operand)
    script.ram = [rng.choice(EDGES) for _ in range(8 * blocks * channels + 16)]
    script.add(Descriptor(EXPORT, blocks, rng.choice((1, 8)), 0, 16 * rng.randrange(channels), channels), layer, ram=4)
    lanes = rng.choice((1, 8))
    loaded = script.add(Descriptor(LOAD, len(script.ram) // lanes, lanes))
    script.add(Descriptor(EXPORT, 2, 8, 0, 0, 1), loaded, ram=0)
    return script


def private_extremes(taps: int, limit: int) -> Script:
    """Layers whose channels in vectors are the corners of what those can be, with sums as large as they can be, cut to several bounds."""
    script, ends = Script(), (-(2**15), 2**15 - 1)
    channels = [[low, high, factor, *[0] * 5] for low, high, factor in product(ends, (*ends, 0), (*ends, 0, 1))]
    x = script.add_import([[*ends, 0, 1, -1, 2, -2, ends[0]]] * taps)
    halves = len(channels) // 8
    w = script.add_import([[*ends, 1, -1, 0, ends[0], ends[1], 3]] * (halves * taps) + channels)
    for edges in (ends, (0, ends[1]), (ends[0], ends[0]), (-1, 1)):
        words = (1, len(channels), taps, 0, taps, 0, taps, 16 * halves * taps, bounds(*edges), limit)
        script.add(Descriptor(SCALED, *words), x, w)
    return script


def random_function(rng: random.Random) -> list[int]:
    """65,536 entries."""
    kind = rng.randrange(3)
    return [(max(x, 0), -x - 1, (x * x >> 7) % 2**16 - 2**15)[kind] for x in range(-(2**15), 2**15)]


def random_differences(rng: random.Random) -> list[int]:
    """131,072 entries, for all differences of two int16; the last one is not asked for."""
    kind = rng.randrange(2)
    return [(max(x, -(2**15)) if x < 0 else min(x, 2**15 - 1), (x * 7 >> 1) % 2**16 - 2**15)[kind] for x in range(-(2**16) + 1, 2**16 + 1)]


def random_moves(rng: random.Random, size: int, functions: bool = True) -> Script:
    """Gathers from two tensors, maxima and functions of what they make, and results in RAM."""
    script = Script()
    x, y = (script.add_import(random_vectors(rng, count)) for count in (size, rng.randrange(1, 9)))
    counts = [len(script.imported[k]) for k in (0, 1)]
    rows = []
    for _ in range(rng.randrange(1, 20)):
        second = rng.randrange(2)
        places = [rng.choice((0, 1, 8 * counts[second], rng.randrange(8 * counts[second] + 1))) for _ in range(8)]
        rows.append([place + second * SECOND_OPERAND for place in places])
    script.add_pattern([[0] * 8] * rng.randrange(3))
    gathered = script.add(Descriptor(GATHER, len(rows), channel_list=script.add_pattern(rows)), x, y)
    taps, results, stride, step = rng.randrange(1, 6), rng.randrange(1, 5), rng.randrange(4), rng.randrange(3)
    needed = 1 + (results - 1) * stride + (taps - 1) * step
    more = [[rng.randrange(1, 8 * len(rows) + 1) for _ in range(8)] for _ in range(needed + 2)]
    long = script.add(Descriptor(GATHER, len(more), channel_list=script.add_pattern(more)), gathered, CONSTANTS)
    largest = script.add(Descriptor(MAXIMUM, results, 0, taps, 16 * rng.randrange(3), stride, 0, step), long)
    last = largest
    if functions:
        script.add_function([7] * 8 * rng.randrange(3))
        function = script.add_function(random_function(rng))
        last = script.add(Descriptor(APPLY, results, x_stride=1, channel_list=function), largest)
        script.add(Descriptor(APPLY, 3, x=16, x_stride=0, channel_list=function), long)
        script.add_function([11] * 8 * rng.randrange(3))
        differences = script.add_function(random_differences(rng))
        channels, start = rng.randrange(1, 4), rng.randrange(2)
        blocks = min(results, len(more) - start)
        script.add(Descriptor(RELATIVE, blocks, channels, 0, 0, 0, 16 * start, 0, differences), long, long)
        script.add(Descriptor(RELATIVE, 1, len(more) - start, 0, 16 * start, 1, 0, 0, differences), long, largest)
    script.ram = [0] * (8 * results + 16)
    script.add(Descriptor(EXPORT, results, 8, 0, 0, 1), last, ram=8)
    script.add(Descriptor(EXPORT, 1, 1, 0, 0, 1), gathered)
    return script
