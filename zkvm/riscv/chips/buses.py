"""The buses that join the chips, and constants of their tuples. Ids are part of the machine's digest."""

from __future__ import annotations

from zkvm.stark.air.builder import Argument, Bus

STATE = Bus(
    "state",
    1,
    2,
    Argument.PRODUCT,
    "(pc, time): every instruction consumes one and produces the next; the verifier sends the first and takes back the last",
)
MEMORY = Bus("memory", 2, 3, Argument.PRODUCT, "(address, value, time): every access consumes the last write and produces its own, later")
ZERO_LIST = Bus("zero list", 3, 2, Argument.PRODUCT, "(word, closed): linked list of the touched zero-initialised words of each gap")
CHAIN = Bus("chain", 4, 5, Argument.PRODUCT, "(kind, time, byte address, bytes left, shift): rows of a read or a journal write")
PROGRAM = Bus("program", 5, 6, Argument.LOGUP, "(pc, op, rd, rs1, rs2, imm)")
RANGE16 = Bus("range16", 6, 1, Argument.LOGUP, "x in [0, 2^16)")
RANGE15 = Bus("range15", 7, 1, Argument.LOGUP, "x in [0, 2^15)")
RANGE14 = Bus("range14", 8, 1, Argument.LOGUP, "x in [0, 2^14)")
RANGE7 = Bus("range7", 9, 1, Argument.LOGUP, "x in [0, 2^7)")
BYTES = Bus("bytes", 10, 2, Argument.LOGUP, "x and y in [0, 2^8)")
AND = Bus("and", 11, 3, Argument.LOGUP, "bytes x, y and x & y")
POWER = Bus("power", 12, 2, Argument.LOGUP, "(s, 2^s) for s in [0, 32)")
ROM = Bus("rom", 13, 2, Argument.LOGUP, "(byte address of an aligned word, value) of read-only memory")
JOURNAL = Bus("journal", 14, 2, Argument.LOGUP, "(index, byte): closed by the verifier, who knows the journal")
VECTOR = Bus("vector", 16, 10, Argument.LOGUP, "(tensor, index, eight elements); tensor 0: the image's constant vectors")
CHANNEL = Bus(
    "channel",
    17,
    4,
    Argument.LOGUP,
    "(address / 16, of the image's channels, or 2^30 (tensor + 1) + index, of those in vectors; bias, multiplier, limit)",
)
SUMS = Bus("sums", 18, 3, Argument.SUM, "(tensor, tile, half): products of a tile are the sums of its channels", power=127)
IMPORT_PATH = Bus("import path", 19, 2, Argument.PRODUCT, "(tensor, index): vectors that an import makes")
WORDS_PATH = Bus(
    "words path",
    20,
    8,
    Argument.PRODUCT,
    "(time, is load, 8 lanes, index, byte address, operand, its index, stride): vectors to and from RAM",
)
TILE_PATH = Bus(
    "tile path",
    21,
    21,
    Argument.PRODUCT,
    "(tensor, tile, blocks left, channels left, two blocks, x, w, result, channel, cut above, cut below; taps, channels, strides "
    "of x and w, operands x and w, first w, lo, hi - lo, limit)",
)
TAP_PATH = Bus(
    "tap path", 22, 10, Argument.PRODUCT, "(tensor, tile, operand x, x, stride, operand w, w, stride, second block, second channels)"
)
OUT_PATH = Bus(
    "out path", 23, 11, Argument.PRODUCT, "(tensor, tile, half, place, result, channel, lo, hi - lo, limit, cut above, cut below)"
)
PATTERN = Bus("pattern", 24, 10, Argument.LOGUP, "(address / 32, of the second operand, eight places) of the image's patterns")
ELEMENT = Bus("element", 25, 3, Argument.LOGUP, "(tensor, place, element): place 0 holds 0, place 1 + 8 v + k lane k of vector v")
FUNCTION = Bus("function", 26, 2, Argument.LOGUP, "(address / 2, entry) of the image's functions")
GATHER_PATH = Bus("gather path", 27, 5, Argument.PRODUCT, "(tensor, index, first operand, second operand, pattern's row)")
MAXIMUM_PATH = Bus(
    "maximum path", 28, 9, Argument.PRODUCT, "(tensor, index, taps left, is the first, operand, its index, step, step back, taps)"
)
MAXIMA = Bus("maxima", 29, 11, Argument.PRODUCT, "(tensor, index, taps left, largest so far of eight lanes)")
APPLY_PATH = Bus(
    "apply path",
    30,
    11,
    Argument.PRODUCT,
    "(tensor, index, operand, its index, channels left, second index; stride, function's entry for 0, is there a second one, it, channels)",
)
COMBINE_PATH = Bus(
    "combine path",
    31,
    23,
    Argument.PRODUCT,
    "(tensor, index, channels left, x, y, w, v, channel, cut above, cut below; operands x, y, factors, channels, jump of x, "
    "steps and jumps of y and of factors, weight, lo, hi - lo, limit)",
)
PERMUTATION = Bus("permutation", 32, 24, Argument.LOGUP, "(12 elements, the 12 elements that Poseidon2 makes of them)")
DIGEST_PATH = Bus(
    "digest path",
    33,
    12,
    Argument.PRODUCT,
    "(tensor, rows left, operand, its index, four elements of the rate, four of the capacity): vectors that are digested",
)
ABSORB_PATH = Bus(
    "absorb path",
    39,
    8,
    Argument.PRODUCT,
    "(tensor, rows of bytes left, rows of int16 left, index, four elements of the capacity): vectors that a digested import makes",
)
DIGEST_MADE = Bus("digest made", 40, 5, Argument.LOGUP, "(tensor, first four elements of the state after its last row)")
DEPTHWISE_PATH = Bus(
    "depthwise path",
    36,
    19,
    Argument.PRODUCT,
    "(tensor, index, windows left, channels left, cut above, cut below; operand x, its end, step, second and third row, "
    "operand w, its end, windows, channels, end of the channels, lo, hi - lo, limit)",
)
BLAKE3_PATH = Bus("blake3 path", 34, 3, Argument.PRODUCT, "(time, part, address): words of a compression that a call reads and writes")
BLAKE3_WIRE = Bus("blake3 wire", 35, 4, Argument.PRODUCT, "(time, slot, stage, word) of the state, or of the message from slot 16 on")
SEGMENT_WORD = Bus(
    "segment word",
    37,
    3,
    Argument.PRODUCT,
    "(segment, address, value): words as segments leave them, and the next that accesses them takes them over; segment 0: before the run",
    joint=True,
)
SEGMENT_STATE = Bus(
    "segment state",
    38,
    3,
    Argument.PRODUCT,
    "(segment, pc, time): where a segment ends and the next one begins; the verifier sends the first and takes back the last",
    joint=True,
)

CHAIN_READ, CHAIN_WRITE = 1, 2
"""Kinds on the chain bus."""
