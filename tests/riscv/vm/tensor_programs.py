"""Scripts of tensor calls: what they mean, in plain integers; as programs; and as input of a guest that runs any script in C."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from zkvm.riscv.isa import calls
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, LINEAR, LOAD, Descriptor
from zkvm.riscv.records import Execution, Image
from zkvm.riscv.vm.assemble import EXIT, Item, assemble_words
from zkvm.riscv.vm.image import Program, build_image
from zkvm.riscv.vm.segment import Segment

TEXT, RODATA, VECTORS, CHANNELS, DATA = 0x1_0000, 0x40_0000, 0x50_0000, 0x60_0000, 0x80_0000
DESCRIPTOR_BYTES = 64
HANDLE_BYTES = 1 << 10
"""Where a program keeps the handles of its tensors, before the words that its calls read and write."""
RAM = DATA + HANDLE_BYTES

Vectors = list[list[int]]
CONSTANTS = -1
"""As an operand: the constant vectors."""


@dataclass(frozen=True)
class Step:
    """One call. Operands are places of earlier steps, or CONSTANTS; ``ram`` is a byte offset."""

    descriptor: Descriptor
    first: int = CONSTANTS
    second: int = CONSTANTS
    ram: int = 0


@dataclass
class Script:
    """Calls and what they read."""

    steps: list[Step] = field(default_factory=list)
    vectors: Vectors = field(default_factory=list)
    channels: list[tuple[int, int, int]] = field(default_factory=list)
    ram: list[int] = field(default_factory=list)
    imported: list[Vectors] = field(default_factory=list)

    def add(self, descriptor: Descriptor, first: int = CONSTANTS, second: int = CONSTANTS, ram: int = 0) -> int:
        """Append a step; its place."""
        self.steps.append(Step(descriptor, first, second, ram))
        return len(self.steps) - 1

    def add_import(self, vectors: Vectors) -> int:
        """Append an import of these vectors."""
        self.imported.append(vectors)
        return self.add(Descriptor(IMPORT, len(vectors)))

    def add_constants(self, vectors: Vectors) -> int:
        """Append constant vectors; the address of the first."""
        self.vectors += vectors
        return VECTORS + 16 * (len(self.vectors) - len(vectors))

    def add_channels(self, channels: list[tuple[int, int, int]]) -> int:
        """Append channels (bias, multiplier, limit); the address of the first."""
        self.channels += channels
        return CHANNELS + 16 * (len(self.channels) - len(channels))

    @property
    def stdin(self) -> bytes:
        """The private input that the imports read."""
        return b"".join(map(vector_bytes, self.imported))


def bounds(low: int, high: int) -> int:
    return low + 2**15 + 2**16 * (high + 2**15)


def vector_bytes(vectors: Vectors) -> bytes:
    return b"".join(struct.pack("<8h", *vector) for vector in vectors)


def channel_bytes(channels: Sequence[tuple[int, int, int]]) -> bytes:
    return b"".join(struct.pack("<qiI", *channel) for channel in channels)


def meaning(script: Script) -> tuple[list[Vectors], list[int]]:
    """The tensor that each step makes, empty for an export, and the words of RAM after all."""
    made: list[Vectors] = []
    ram, imported = list(script.ram), iter(script.imported)

    def read(operand: int, start: int, vector: int) -> list[int]:
        assert start % 16 == 0
        if operand == CONSTANTS:
            return script.vectors[(start - VECTORS) // 16 + vector]
        return made[operand][start // 16 + vector]

    for step in script.steps:
        d, result = step.descriptor, Vectors()
        if d.operation == IMPORT:
            result = next(imported)
        elif d.operation == LOAD:
            for v in range(d.blocks):
                words = ram[step.ram // 4 + v * d.channels :][: d.channels]
                result.append(words + [0] * (8 - d.channels))
        elif d.operation == EXPORT:
            for v in range(d.blocks):
                for lane in range(d.channels):
                    ram[step.ram // 4 + v * d.channels + lane] = read(step.first, d.x, v * d.x_stride)[lane]
        else:
            assert d.operation == LINEAR
            for block in range(d.blocks):
                xs = [read(step.first, d.x, block * d.x_stride + k) for k in range(d.taps)]
                for c in range(d.channels):
                    ws = [read(step.second, d.w, c // 8 * d.w_stride + k)[c % 8] for k in range(d.taps)]
                    bias, multiplier, limit = script.channels[(d.channel_list - CHANNELS) // 16 + c]
                    assert abs(multiplier) <= limit
                    assert 1 <= d.taps * limit <= 2**32
                    sums = [sum(x[lane] * w for x, w in zip(xs, ws, strict=True)) for lane in range(8)]
                    scaled = [((s + bias) * multiplier + 2**31) // 2**32 for s in sums]
                    result.append([min(max(y, d.low), d.high) for y in scaled])
        made.append(result)
    return made, ram


def program(script: Script, *, tensors: bool = True, before: Sequence[Item] = ()) -> Image:
    """A program that makes the calls of a script and ends with 0; ``before``: each of them."""
    items: list[Item] = []
    for number, step in enumerate(script.steps):
        items += [*before, ("la", "a0", RODATA + DESCRIPTOR_BYTES * number)]
        for register, operand in (("a1", step.first), ("a2", step.second)):
            items += [("la", "t0", DATA + 4 * operand), ("lw", register, "t0", 0)] if operand >= 0 else [("li", register, 0)]
        if step.descriptor.operation in (LOAD, EXPORT):
            items.append(("la", "a2", RAM + step.ram))
        items += [("li", "t0", calls.TENSOR.number), ("mv", "a7", "t0"), ("ecall",), ("la", "t0", DATA + 4 * number), ("sw", "a0", "t0", 0)]
    ram = bytes(HANDLE_BYTES) + b"".join(struct.pack("<i", word) for word in script.ram)
    rodata = b"".join(struct.pack("<10I", *step.descriptor).ljust(DESCRIPTOR_BYTES, b"\xff") for step in script.steps)
    return image_of(items, rodata, vector_bytes(script.vectors), channel_bytes(script.channels), ram, tensors=tensors)


def image_of(items: Sequence[Item], rodata: bytes, vectors: bytes, channels: bytes, ram: bytes, *, tensors: bool = True) -> Image:
    """A program of these instructions, which ends with 0, and segments."""
    words, _ = assemble_words([*items, ("li", "a0", 0), *EXIT], TEXT, {})
    text = b"".join(word.to_bytes(4, "little") for word in words)
    segments = [Segment(TEXT, text, len(text), writable=False, executable=True)]
    for address, content, kind in ((RODATA, rodata, 0), (VECTORS, vectors, 1), (CHANNELS, channels, 2), (DATA, ram, 0)):
        if content:
            segments.append(Segment(address, content, len(content), address == DATA, False, kind))
    return build_image(Program(tuple(segments), TEXT), tensors=tensors)


def outcome(execution: Execution) -> tuple[list[Vectors], list[int]]:
    """The same as :func:`meaning`, of a recorded run."""
    image = execution.image
    words = dict(zip(image.ram_address.tolist(), execution.ram_last.tolist(), strict=True))
    last = max(address for address in words if address < 2**32)
    ram = [(words[address] + 2**31) % 2**32 - 2**31 for address in range(RAM, last + 4, 4)]
    return [call.vectors.tolist() for call in execution.tensor_calls], ram


def script_input(script: Script) -> bytes:
    """Input of ``tests/guest/tensor_script.c``."""
    imported = iter(script.imported)
    out = struct.pack("<5I", len(script.vectors), len(script.channels), len(script.ram), VECTORS, CHANNELS)
    out += vector_bytes(script.vectors) + channel_bytes(script.channels) + struct.pack(f"<{len(script.ram)}i", *script.ram)
    for step in script.steps:
        out += struct.pack("<10I3i", *step.descriptor, step.first, step.second, step.ram)
        out += vector_bytes(next(imported)) if step.descriptor.operation == IMPORT else b""
    return out


def script_outcome(script: Script, journal: bytes) -> tuple[list[Vectors], list[int]]:
    """The same as :func:`meaning`, from the journal of that guest."""
    numbers, made = list(struct.unpack(f"<{len(journal) // 4}i", journal)), []
    for step in script.steps:
        d = step.descriptor
        size = 8 * d.blocks * {EXPORT: 0, LINEAR: d.channels}.get(d.operation, 1)
        made.append([numbers[k : k + 8] for k in range(0, size, 8)])
        numbers = numbers[size:]
    return made, numbers


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


def random_layer(rng: random.Random, positions: int, channels: int, taps: int) -> Script:
    """One layer of that shape, with strides and starts, its weights constants or a tensor, and its result in RAM."""
    script, blocks, halves = Script(), -(-positions // 8), -(-channels // 8)
    x_gap, w_gap, x_start, w_start = (rng.choice((0, 0, 1, 5)) for _ in range(4))
    x = script.add_import(random_vectors(rng, x_start + blocks * (taps + x_gap)))
    script.add_constants(random_vectors(rng, rng.randrange(3)))
    w = random_vectors(rng, w_start)
    for half in range(halves):
        w += random_vectors(rng, taps, min(8, channels - 8 * half)) + random_vectors(rng, w_gap)
    at, operand = 0, CONSTANTS
    if rng.randrange(2):
        operand = script.add_import(w)
    else:
        at = script.add_constants(w)
    script.add_channels(random_channels(rng, rng.randrange(3), 1))
    listed = script.add_channels(random_channels(rng, channels, taps))
    words = (blocks, channels, taps, 16 * x_start, taps + x_gap, at + 16 * w_start, taps + w_gap, listed, random_bounds(rng))
    layer = script.add(Descriptor(LINEAR, *words), x, operand)
    script.ram = [rng.choice(EDGES) for _ in range(8 * blocks * channels + 16)]
    script.add(Descriptor(EXPORT, blocks, rng.choice((1, 8)), 0, 16 * rng.randrange(channels), channels), layer, ram=4)
    lanes = rng.choice((1, 8))
    loaded = script.add(Descriptor(LOAD, len(script.ram) // lanes, lanes))
    script.add(Descriptor(EXPORT, 2, 8, 0, 0, 1), loaded, ram=0)
    return script
