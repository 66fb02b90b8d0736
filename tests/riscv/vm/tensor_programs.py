"""Scripts of tensor calls: what they mean, in plain integers; as programs; and as input of a guest that runs any script in C."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

from tests.riscv.vm.windows import channel_of, cut, windows_of
from zkvm.riscv.isa import calls
from zkvm.riscv.isa.poseidon2 import permute
from zkvm.riscv.isa.tensors import (
    APPLY,
    DIGEST,
    DIGESTED,
    ELEMENTWISE,
    EXPORT,
    GATHER,
    IMPORT,
    LAYERS,
    LOAD,
    MAXIMUM,
    MULTIPLY,
    RELATIVE,
    RESCALING,
    SCALED,
    SCALED_DEPTHWISE,
    SECOND_OPERAND,
    WINDOWED,
    Descriptor,
)  # fmt: skip
from zkvm.riscv.records import Execution, Image
from zkvm.riscv.vm.assemble import EXIT, Item, assemble_words
from zkvm.riscv.vm.image import Program, build_image
from zkvm.riscv.vm.segment import Segment

TEXT, RODATA, VECTORS, CHANNELS, DATA = 0x1_0000, 0x40_0000, 0x50_0000, 0x60_0000, 0x80_0000
PATTERNS, FUNCTIONS = 0x68_0000, 0x70_0000
DESCRIPTOR_BYTES = 64
HANDLE_BYTES = 1 << 10
"""Where a program keeps the handles of its tensors, before the words that its calls read and write."""
CUTS = DATA + HANDLE_BYTES // 2
"""Where it keeps what each call left in a1 and a2, if it rescales."""
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
    patterns: Vectors = field(default_factory=list)
    entries: list[int] = field(default_factory=list)

    def add(self, descriptor: Descriptor, first: int = CONSTANTS, second: int = CONSTANTS, ram: int = 0) -> int:
        """Append a step; its place."""
        self.steps.append(Step(descriptor, first, second, ram))
        return len(self.steps) - 1

    def add_import(self, vectors: Vectors) -> int:
        """Append an import of these vectors."""
        self.imported.append(vectors)
        return self.add(Descriptor(IMPORT, len(vectors)))

    def add_digested(self, small: Vectors, vectors: Vectors) -> int:
        """Append a digested import of these vectors of bytes, a multiple of seven, and these of int16, a multiple of three."""
        self.imported.append(small + vectors)
        return self.add(Descriptor(DIGESTED, len(vectors) // 3, len(small) // 7))

    def add_constants(self, vectors: Vectors) -> int:
        """Append constant vectors; the address of the first."""
        self.vectors += vectors
        return VECTORS + 16 * (len(self.vectors) - len(vectors))

    def add_channels(self, channels: list[tuple[int, int, int]]) -> int:
        """Append channels (bias, multiplier, limit); the address of the first."""
        self.channels += channels
        return CHANNELS + 16 * (len(self.channels) - len(channels))

    def add_pattern(self, rows: Vectors) -> int:
        """Append rows of a pattern; the address of the first."""
        self.patterns += rows
        return PATTERNS + 32 * (len(self.patterns) - len(rows))

    def add_function(self, entries: list[int]) -> int:
        """Append a function's entries, 8 at a time; its address."""
        self.entries += entries
        return FUNCTIONS + 2 * (len(self.entries) - len(entries))

    @property
    def constants(self) -> list[tuple[int, bytes, int]]:
        """Address, content and kind of each segment of constants."""
        patterns, entries = (
            struct.pack(f"<{8 * len(self.patterns)}I", *sum(self.patterns, [])),
            struct.pack(f"<{len(self.entries)}h", *self.entries),
        )
        found = (
            (VECTORS, vector_bytes(self.vectors), 1),
            (CHANNELS, channel_bytes(self.channels), 2),
            (PATTERNS, patterns, 3),
            (FUNCTIONS, entries, 4),
        )
        return [segment for segment in found if segment[1]]

    @property
    def stdin(self) -> bytes:
        """The private input that the imports read."""
        imports = [step.descriptor for step in self.steps if step.descriptor.operation in (IMPORT, DIGESTED)]
        return b"".join(map(input_bytes, imports, self.imported))


def bounds(low: int, high: int) -> int:
    return low + 2**15 + 2**16 * (high + 2**15)


def vector_bytes(vectors: Vectors) -> bytes:
    return b"".join(struct.pack("<8h", *vector) for vector in vectors)


def input_bytes(descriptor: Descriptor, vectors: Vectors) -> bytes:
    """What a call that makes these vectors reads: a byte for each lane that is one."""
    end = 7 * descriptor.channels if descriptor.operation == DIGESTED else 0
    return b"".join(struct.pack("<8b", *(lane >> 8 for lane in vector)) for vector in vectors[:end]) + vector_bytes(vectors[end:])


def channel_bytes(channels: Sequence[tuple[int, int, int]]) -> bytes:
    return b"".join(struct.pack("<qiI", *channel) for channel in channels)


def digest_of(vectors: Vectors, byte_rows: int = 0) -> Vectors:
    """The two vectors of a digest; the first seven vectors for each row of bytes hold bytes."""
    end = 7 * byte_rows
    state = [0] * 8 + [0x7A6B, (len(vectors) - end) // 3, byte_rows, 0]
    for start in range(0, end, 7):
        lanes = [(x >> 8) + 2**7 for vector in vectors[start : start + 7] for x in vector]
        state = permute([*(int.from_bytes(bytes(lanes[k : k + 7]), "little") for k in range(0, 56, 7)), *state[8:]])
    for start in range(end, len(vectors), 3):
        lanes = [x + 2**15 for vector in vectors[start : start + 3] for x in vector]
        packed = [lanes[k] + lanes[k + 1] * 2**16 + lanes[k + 2] * 2**32 for k in range(0, 24, 3)]
        state = permute([*packed, *state[8:]])
    lanes = [(word >> shift) % 2**16 - 2**15 for word in state[:4] for shift in range(0, 64, 16)]
    return [lanes[:8], lanes[8:]]


def layer_of(script: Script, step: Step, read: Callable[[int, int, int], list[int]], counts: list[int]) -> Vectors:
    """What a layer makes. ``read``: a vector of an operand that begins at so many bytes."""
    d, result = step.descriptor, Vectors()
    for block in range(d.blocks):
        xs = [read(step.first, d.x, block * d.x_stride + k) for k in range(d.taps)]
        for c in range(d.channels):
            ws = [read(step.second, d.w, c // 8 * d.w_stride + k)[c % 8] for k in range(d.taps)]
            if d.operation == SCALED:
                bias, multiplier, limit = channel_of(read(step.second, d.channel_list, c), d.y)
            else:
                bias, multiplier, limit = script.channels[(d.channel_list - CHANNELS) // 16 + c]
            assert abs(multiplier) <= limit
            assert 1 <= d.taps * limit <= 2**32
            sums = [sum(x[lane] * w for x, w in zip(xs, ws, strict=True)) for lane in range(8)]
            result.append(cut([((s + bias) * multiplier + 2**31) // 2**32 for s in sums], d, counts))
    return result


def combined_of(script: Script, step: Step, read: Callable[[int, int, int], list[int]], counts: list[int]) -> Vectors:
    """What an elementwise call makes, likewise."""
    d, result = step.descriptor, Vectors()
    y_operand, factors = (step.first, step.second) if d.operation == MULTIPLY else (step.second, CONSTANTS)
    for block, c in product(range(d.blocks), range(d.channels)):
        y_at, w_at = block * d.y_stride + c * (d.steps & 1), block * d.w_stride + c * (d.steps >> 1)
        one, other = read(step.first, d.x, block * d.x_stride + c), read(y_operand, d.y, y_at)
        own, others = (read(factors, start, w_at) for start in (d.w, d.v))
        bias, multiplier, limit = script.channels[(d.channel_list - CHANNELS) // 16 + c]
        assert abs(multiplier) <= limit
        assert 1 <= (d.taps + 1) * limit <= 2**32
        sums = [one[lane] * own[lane] + d.taps * other[lane] * others[lane] for lane in range(8)]
        result.append(cut([((s + bias) * multiplier + 2**31) // 2**32 for s in sums], d, counts))
    return result


def listed_of(script: Script, step: Step, read: Callable[[int, int, int], list[int]]) -> list[tuple[int, int, int]]:
    """The channels that a call with windows says: bias, multiplier, limit."""
    d = step.descriptor
    if d.operation == SCALED_DEPTHWISE:
        return [channel_of(read(step.second, d.channel_list, c), d.y) for c in range(d.channels if d.blocks else 0)]
    return script.channels[(d.channel_list - CHANNELS) // 16 :][: d.channels]


Meaning = tuple[list[Vectors], list[int], list[list[int]]]
"""The tensor that each step makes, empty for an export; the words of RAM after all; what each step that rescales cut above and below."""


def digested_of(d: Descriptor, vectors: Vectors) -> Vectors:
    """What an import makes: of a digested one with the digest behind it."""
    return vectors + digest_of(vectors, d.channels) if d.operation == DIGESTED else vectors


def meaning(script: Script) -> Meaning:
    """What a script does."""
    made: list[Vectors] = []
    cuts: list[list[int]] = []
    ram, imported = list(script.ram), iter(script.imported)

    def read(operand: int, start: int, vector: int) -> list[int]:
        assert start % 16 == 0
        if operand == CONSTANTS:
            return script.vectors[(start - VECTORS) // 16 + vector]
        return made[operand][start // 16 + vector]

    def element(operand: int, place: int) -> int:
        vectors, first = (script.vectors, VECTORS // 16) if operand == CONSTANTS else (made[operand], 0)
        return vectors[place // 8 - first][place % 8]

    for step in script.steps:
        d, result, counts = step.descriptor, Vectors(), [0, 0]
        if d.operation in (IMPORT, DIGESTED):
            result = digested_of(d, next(imported))
        elif d.operation == LOAD:
            for v in range(d.blocks):
                words = ram[step.ram // 4 + v * d.channels :][: d.channels]
                result.append(words + [0] * (8 - d.channels))
        elif d.operation == EXPORT:
            for v in range(d.blocks):
                for lane in range(d.channels):
                    ram[step.ram // 4 + v * d.channels + lane] = read(step.first, d.x, v * d.x_stride)[lane]
        elif d.operation == GATHER:
            for row in script.patterns[(d.channel_list - PATTERNS) // 32 :][: d.blocks]:
                operand = step.second if row[0] >= SECOND_OPERAND else step.first
                places = [place % SECOND_OPERAND - 1 for place in row]
                result.append([0 if place < 0 else element(operand, place) for place in places])
        elif d.operation == MAXIMUM:
            for v in range(d.blocks):
                compared = [read(step.first, d.x, v * d.x_stride + k * d.w_stride) for k in range(d.taps)]
                result.append([max(lane) for lane in zip(*compared, strict=True)])
        elif d.operation == APPLY:
            first = (d.channel_list - FUNCTIONS) // 2 + 2**15
            result = [[script.entries[first + x] for x in read(step.first, d.x, v * d.x_stride)] for v in range(d.blocks)]
        elif d.operation == RELATIVE:
            first = (d.channel_list - FUNCTIONS) // 2 + 2**16 - 1
            for v in range(d.blocks * d.channels):
                pairs = zip(read(step.first, d.x, v * d.x_stride), read(step.second, d.w, v // d.channels), strict=True)
                result.append([script.entries[first + x - m] for x, m in pairs])
        elif d.operation == DIGEST:
            vectors = [read(step.first, d.x, v) for v in range(3 * d.blocks + 2)]
            assert digest_of(vectors[:-2]) == vectors[-2:]
        elif d.operation in ELEMENTWISE:
            result = combined_of(script, step, read, counts)
        elif d.operation in WINDOWED:
            starts = (step.first, d.x), (step.second, d.w)
            result = windows_of(d, listed_of(script, step, read), counts, *(partial(read, *start) for start in starts))
        else:
            assert d.operation in LAYERS
            result = layer_of(script, step, read, counts)
        made.append(result)
        cuts += [counts] if d.operation in RESCALING else []
    return made, ram, cuts


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
        if step.descriptor.operation in RESCALING:
            items += [("la", "t0", CUTS + 8 * number), ("sw", "a1", "t0", 0), ("sw", "a2", "t0", 4)]
    ram = bytes(HANDLE_BYTES) + b"".join(struct.pack("<i", word) for word in script.ram)
    rodata = b"".join(struct.pack("<14I", *step.descriptor).ljust(DESCRIPTOR_BYTES, b"\xff") for step in script.steps)
    return image_of_segments(items, [(RODATA, rodata, 0), *script.constants, (DATA, ram, 0)], tensors=tensors)


def image_of(items: Sequence[Item], rodata: bytes, vectors: bytes, channels: bytes, ram: bytes, *, tensors: bool = True) -> Image:
    """The same with segments that most tests have."""
    return image_of_segments(items, [(RODATA, rodata, 0), (VECTORS, vectors, 1), (CHANNELS, channels, 2), (DATA, ram, 0)], tensors=tensors)


def image_of_segments(items: Sequence[Item], content: Sequence[tuple[int, bytes, int]], *, tensors: bool = True) -> Image:
    """A program of these instructions, which ends with 0, and segments: address, content and kind of each."""
    words, _ = assemble_words([*items, ("li", "a0", 0), *EXIT], TEXT, {})
    text = b"".join(word.to_bytes(4, "little") for word in words)
    segments = [Segment(TEXT, text, len(text), writable=False, executable=True)]
    for address, data, kind in content:
        if data:
            segments.append(Segment(address, data, len(data), address == DATA, False, kind))
    return build_image(Program(tuple(segments), TEXT), tensors=tensors)


def outcome(execution: Execution) -> Meaning:
    """The same as :func:`meaning`, of a recorded run."""
    image = execution.image
    words = dict(zip(image.ram_address.tolist(), execution.ram_last.tolist(), strict=True))
    last = max(address for address in words if address < 2**32)
    ram = [(words[address] + 2**31) % 2**32 - 2**31 for address in range(RAM, last + 4, 4)]
    places = [CUTS + 8 * number for number, call in enumerate(execution.tensor_calls) if call.descriptor.operation in RESCALING]
    cuts = [[words[place], words[place + 4]] for place in places]
    return [call.vectors.tolist() for call in execution.tensor_calls], ram, cuts


def script_input(script: Script) -> bytes:
    """Input of ``tests/guest/tensor_script.c``."""
    imported = iter(script.imported)
    sizes = [len(part) for part in (script.vectors, script.channels, script.patterns, script.entries, script.ram)]
    out = struct.pack("<9I", *sizes, VECTORS, CHANNELS, PATTERNS, FUNCTIONS)
    out += b"".join(content for _, content, _ in script.constants) + struct.pack(f"<{len(script.ram)}i", *script.ram)
    for step in script.steps:
        out += struct.pack("<14I3i", *step.descriptor, step.first, step.second, step.ram)
        out += input_bytes(step.descriptor, next(imported)) if step.descriptor.operation in (IMPORT, DIGESTED) else b""
    return out


def script_outcome(script: Script, journal: bytes) -> Meaning:
    """The same as :func:`meaning`, from the journal of that guest."""
    numbers, made, cuts = list(struct.unpack(f"<{len(journal) // 4}i", journal)), [], []
    for step in script.steps:
        d = step.descriptor
        size = 8 * d.blocks * {EXPORT: 0, DIGEST: 0, **dict.fromkeys((*RESCALING, RELATIVE), d.channels)}.get(d.operation, 1)
        size = 8 * (7 * d.channels + 3 * d.blocks + 2) if d.operation == DIGESTED else size
        made.append([numbers[k : k + 8] for k in range(0, size, 8)])
        numbers = numbers[size:]
        if d.operation in RESCALING:
            cuts.append(numbers[:2])
            numbers = numbers[2:]
    return made, numbers, cuts
