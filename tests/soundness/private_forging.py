"""Runs with channels in vectors and with digests, and what a forger of their tables writes besides his lie. See ``tensor_forging.py``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import Vectors, digest_of
from tests.soundness.tensor_forging import FULL, TWO_16, TWO_32, Program, descriptor_word, export_lane, id_of, lie, put, signed
from zkvm.riscv.chips.poseidon2 import permuted_columns
from zkvm.riscv.chips.tensor.channels import TENSOR_KEYS
from zkvm.riscv.isa.opcodes import TIME_STEP
from zkvm.riscv.isa.poseidon2 import WIDTH, permute
from zkvm.riscv.isa.tensors import DIGEST, EXPORT, IMPORT, LINEAR, SCALED, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, DATA, VECTORS
from zkvm.stark.air.table import Table
from zkvm.stark.field.goldilocks import P

CHANNEL_ROWS, DIGESTS, PERMUTATIONS = "tensor_channels", "tensor_digest", "poseidon2"
CALL, TILES, RESULTS, IMPORTS = (f"tensor_{name}" for name in ("call", "tiles", "results", "import"))
CARRIED = (0, 1, 2, 3, 8, 9, 10, 11)

# --- channels in vectors -------------------------------------------------------------------------------------------------------------

LIMIT = 1 << 28
TAPS = 2
WEIGHTS: Vectors = [[7, -5, 12, 0, 0, 0, 0, 0], [-9, 3, 20, 0, 0, 0, 0, 0]]
SCALES: Vectors = [[6, 0, 32766, 0, 0, 0, 0, 0], [-40, 0, -20000, 0, 0, 0, 0, 0], [8, 0, 30000, 0, 0, 0, 0, 0]]
X, W, LAYER = (id_of(k) for k in range(3))
SCALED_CALL, LINEAR_CALL = 2, 4
"""Places of the layers."""


def scaled(
    limit: int = LIMIT,
    blocks: int = 2,
    x: Vectors | None = None,
    weights: Vectors = WEIGHTS,
    scales: Vectors = SCALES,
    linear: bool = False,
    constant: bool = False,
    behind: Sequence[Descriptor] = (),
) -> Forgery:
    """Two imports, a layer whose channels are behind its weights, an export of its result.

    Args:
        linear: a layer of constant channels follows, with the same weights.
        constant: weights and channels of the first are constants. Behind them are the same weights, with the channels in reverse, and so
            is the second import.
        behind: more calls, on nothing.
    """
    taps, channels, count = len(weights), len(scales), blocks * len(scales)
    given = [[(17 * v + 5 * k) % 90 - 45 for k in range(8)] for v in range(blocks * taps)] if x is None else x
    own = [*weights, *scales]
    other = [*weights, *reversed(scales)] if constant else own
    start, second = (VECTORS, 0) if constant else (0, W)
    words = (blocks, channels, taps, 0, taps, start, taps, start + 16 * taps, FULL, limit)
    calls = [
        (Descriptor(IMPORT, len(given)), 0, 0),
        (Descriptor(IMPORT, len(own)), 0, 0),
        (Descriptor(SCALED, *words), X, second),
        (Descriptor(EXPORT, count, 8, 0, 0, 1), LAYER, DATA),
    ]
    if linear:
        calls.append((Descriptor(LINEAR, blocks, channels, taps, 0, taps, 0, taps, CHANNELS, FULL), X, W))
    calls += [(descriptor, 0, 0) for descriptor in behind]
    listed = [(64 * c, limit >> c, limit) for c in range(channels + 2)]
    return Program(calls, own + other if constant else [], listed, given + other, [0] * (8 * count)).forged()


def key_of(tensor: int, index: int) -> int:
    """The key of the channel in a vector."""
    return (tensor + 1) * TENSOR_KEYS + index


Channel = tuple[int, int, int, int]
"""Key, bias, multiplier, limit."""


def channel_in_row(forged: Forgery, row: int) -> Channel:
    """The channel that a row serves."""
    tensor, index, bias, multiplier, scale = (
        signed(forged.cell(CHANNEL_ROWS, row, name)) for name in ("tensor", "index", "bias", "multiplier", "scale")
    )
    return key_of(tensor, index), bias, multiplier, scale << 15


def follow_channel(forged: Forgery, row: int) -> None:
    """Let the results that have the channel of a row take what the row now says."""
    channel = channel_in_row(forged, row)
    take_channels(forged, {channel[0]: channel})


def take_channels(forged: Forgery, channels: dict[int, Channel], tensor: int = LAYER) -> None:
    """Let the results of a layer that have a channel, by its key, have another one, be rescaled by it, and be read by everybody."""
    for row in range(forged.tables[RESULTS].used):
        key = forged.cell(RESULTS, row, "channel")
        if forged.cell(RESULTS, row, "tensor") == tensor and key in channels:
            forged.write(RESULTS, row, **dict(zip(("channel", "bias", "multiplier", "limit"), channels[key], strict=True)))
            for k in range(8):
                lie(forged, forged.cell(RESULTS, row, "index"), k, tensor=tensor)


def take_list(forged: Forgery, call: int, first: int, channels: Sequence[Channel]) -> None:
    """A layer says that its list begins elsewhere, and takes what is there."""
    tensor = id_of(call)
    row = call_row(forged, call)
    before = forged.cell(CALL, row, "list_start")
    forged.write(CALL, row, list_start=first)
    for tile in range(forged.tables[TILES].used):
        if forged.cell(TILES, tile, "tensor") == tensor:
            forged.add(TILES, tile, channel=first - before)
    take_channels(forged, {before + number: channel for number, channel in enumerate(channels)}, tensor)


def call_row(forged: Forgery, call: int) -> int:
    """The row of a call."""
    return forged.row(CALL, t=TIME_STEP * id_of(call))


def say_limit(forged: Forgery, limit: int, *, call: int = SCALED_CALL, products: int | None = None) -> None:
    """The image's descriptor has another limit, and everybody says so; what channels it means is for the caller to say."""
    descriptor_word(forged, call, 10, limit)
    at = call_row(forged, call)
    products = forged.cell(CALL, at, "taps") * limit if products is None else products
    forged.write(CALL, at, limit=limit, products=products, room_low=(TWO_32 - products) % P % TWO_16)
    for row in range(forged.tables[TILES].used):
        forged.write(TILES, row, limit=limit)


def scale_by(forged: Forgery, scale: int, step: int) -> None:
    """All channels have another scale and step."""
    for row in range(forged.tables[CHANNEL_ROWS].used):
        low, high, factor = (signed(forged.cell(CHANNEL_ROWS, row, name)) for name in ("bias_low", "bias_high", "factor"))
        forged.write(CHANNEL_ROWS, row, scale=scale, step=step, bias=(low + TWO_16 * high) * step, multiplier=factor * scale)
        follow_channel(forged, row)


# --- digests -------------------------------------------------------------------------------------------------------------------------

CONTENT: Vectors = [[(29 * v + 7 * k) % 200 - 100 for k in range(8)] for v in range(9)]
TENSOR = id_of(0)
"""Of what is digested."""
DIGEST_CALL = 1
"""Place of the call that digests."""


def digested(rows: int = 2, content: Vectors = CONTENT, behind: Sequence[Sequence[int]] = ()) -> Forgery:
    """An import of vectors, their digest, and what is ``behind`` these; the digest; an export of all of it; the import once more."""
    vectors = [*content[: 3 * rows], *digest_of(content[: 3 * rows]), *map(list, behind)]
    calls = [
        (Descriptor(IMPORT, len(vectors)), 0, 0),
        (Descriptor(DIGEST, rows), TENSOR, 0),
        (Descriptor(EXPORT, len(vectors), 8, 0, 0, 1), TENSOR, DATA),
        (Descriptor(IMPORT, len(vectors)), 0, 0),
    ]
    return Program(calls, imported=vectors * 2, ram=[0] * (8 * len(vectors))).forged()


def digest_rows(forged: Forgery) -> list[int]:
    """The rows of the table, in the order of their path."""
    return list(range(forged.tables[DIGESTS].used))


def import_vector(forged: Forgery, index: int, values: Sequence[int], tensor: int = TENSOR) -> None:
    """A vector of an import is another one, and exports say so."""
    put(forged, IMPORTS, forged.row(IMPORTS, tensor=tensor, index=index), "x", values)
    for k, value in enumerate(values):
        export_lane(forged, tensor, index, k, value)


def held(forged: Forgery, row: int, vector: int) -> list[int]:
    """A vector that a row of a digest holds."""
    return [signed(forged.cell(DIGESTS, row, f"lane{8 * vector + k}")) for k in range(8)]


def hold(forged: Forgery, row: int, vector: int, values: Sequence[int]) -> None:
    """It holds another one."""
    forged.write(DIGESTS, row, **{f"lane{8 * vector + k}": value for k, value in enumerate(values)})


def state_before(forged: Forgery, row: int) -> list[int]:
    """What a row gives to the permutation."""
    lanes = [(forged.cell(DIGESTS, row, f"lane{k}") + (1 << 15)) % P for k in range(24)]
    packed = [(lanes[k] + lanes[k + 1] * TWO_16 + lanes[k + 2] * TWO_32) % P for k in range(0, 24, 3)]
    return packed + [forged.cell(DIGESTS, row, f"before{k}") for k in CARRIED[4:]]


def absorb(forged: Forgery, rows: Sequence[int]) -> None:
    """Let rows permute what they hold, and each next one begin with what came out; the last one of a path takes no part."""
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        after = permute(state_before(forged, row))
        forged.write(DIGESTS, row, **{f"after{k}": value for k, value in enumerate(after)})
        if following is not None:
            forged.write(DIGESTS, following, **{f"before{k}": after[k] for k in CARRIED})
    permute_all(forged)


def permute_all(forged: Forgery) -> None:
    """The table of permutations has those that rows ask for."""
    absorbing = [row for row in digest_rows(forged) if forged.cell(DIGESTS, row, "absorb") == 1]
    states = np.array([state_before(forged, row) for row in absorbing], np.uint64).reshape(-1, WIDTH)
    table = no_permutations(forged)
    assert len(states) <= table.active
    table.used = len(states)
    columns = permuted_columns(states)
    table.main[: len(columns), : len(states)] = columns
    forged[f"{PERMUTATIONS}.real"][: len(states)] = 1


def no_permutations(forged: Forgery) -> Table:
    """An empty table of permutations."""
    table = forged.tables[PERMUTATIONS]
    table.used, table.main[:] = 0, 0
    return table


def compare(forged: Forgery, row: int, state: Sequence[int]) -> Vectors:
    """Let a row compare vectors with the first half of the rate; the vectors."""
    for k, word in enumerate(state[:4]):
        limbs = [word >> shift & 0xFFFF for shift in range(0, 64, 16)]
        beyond = limbs[2] + limbs[3] * TWO_16 - (TWO_32 - 1)
        forged.write(DIGESTS, row, **{f"lane{4 * k + i}": limb - (1 << 15) for i, limb in enumerate(limbs)})
        forged.write(DIGESTS, row, **{f"inverse{k}": pow(beyond, -1, P) if beyond else 0})
    return [held(forged, row, vector) for vector in (0, 1)]
