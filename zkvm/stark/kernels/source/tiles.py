"""Several vectors at once: strided loads and stores, tiles, transposes, and operations on tuples of vectors.

A tile is eight runs of eight words. With eight lanes its transpose stays in registers; narrow registers take it in quarters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from zkvm.stark.kernels.source.vectors import VECTOR, emit_pointer
from zkvm.stark.kernels.source.words import LANES, emit_canonical, emit_transpose

TILE = 8
PARTS = TILE // LANES
"""Vectors in a run of a tile."""


def _emit_pointers(context: Any, builder: Any, array_type: Any, count: int, array: Any, index: Any, stride: Any) -> list[Any]:
    steps = [builder.mul(stride, ir.Constant(stride.type, number), flags=["nsw"]) for number in range(count)]
    return [emit_pointer(context, builder, array_type, array, builder.add(index, step, flags=["nsw"])) for step in steps]


def _loader(count: int) -> Any:
    result = types.UniTuple(VECTOR, count)

    def operation(typingctx: Any, array: Any, index: Any, stride: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointers = _emit_pointers(context, builder, signature.args[0], count, *arguments)
            return context.make_tuple(builder, result, [builder.load(pointer, align=8) for pointer in pointers])

        return result(array, types.intp, types.intp), codegen

    operation.__doc__ = f"{count} vectors whose first words are ``stride`` apart."
    return intrinsic(operation)


def _storer(count: int) -> Any:
    def operation(typingctx: Any, array: Any, index: Any, stride: Any, vectors: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointers = _emit_pointers(context, builder, signature.args[0], count, *arguments[:3])
            for pointer, value in zip(pointers, cgutils.unpack_tuple(builder, arguments[3]), strict=True):
                builder.store(value, pointer, align=8)
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp, vectors), codegen

    operation.__doc__ = f"Stores {count} vectors; their first words are ``stride`` apart."
    return intrinsic(operation)


def on_one_tuple(emit: Callable[[Any, list[Any]], list[Any]], count: int, documentation: str) -> Any:
    """An operation from a tuple of vectors to one of ``count`` vectors."""
    result = types.UniTuple(VECTOR, count)

    def operation(typingctx: Any, vectors: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return context.make_tuple(builder, result, emit(builder, cgutils.unpack_tuple(builder, arguments[0])))

        return result(vectors), codegen

    operation.__doc__ = documentation
    return intrinsic(operation)


def on_two_tuples(emit: Callable[[Any, list[Any], list[Any]], list[Any]], count: int, documentation: str) -> Any:
    """An operation from two tuples of vectors to one of ``count`` vectors."""
    result = types.UniTuple(VECTOR, count)

    def operation(typingctx: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            unpacked = [cgutils.unpack_tuple(builder, argument) for argument in arguments]
            return context.make_tuple(builder, result, emit(builder, *unpacked))

        return result(left, right), codegen

    operation.__doc__ = documentation
    return intrinsic(operation)


def _canonical(builder: Any, vectors: list[Any]) -> list[Any]:
    return [emit_canonical(builder, vector) for vector in vectors]


def _reversed(builder: Any, vectors: list[Any]) -> list[Any]:
    bits = LANES.bit_length() - 1
    return [vectors[int(format(index, f"0{bits}b")[::-1], 2)] for index in range(LANES)]


load2, load3, load4, load6, load7, load8, load_lanes = (_loader(count) for count in (2, 3, 4, 6, 7, 8, LANES))
store2, store3, store4, store6, store8, store_lanes = (_storer(count) for count in (2, 3, 4, 6, 8, LANES))
canonical2, canonical4, canonical8, canonical_lanes = (
    on_one_tuple(_canonical, count, "The vectors made canonical.") for count in (2, 4, 8, LANES)
)
transpose = on_one_tuple(emit_transpose, LANES, "The transpose: result i holds lane i of every argument.")
bit_reversed = on_one_tuple(_reversed, LANES, "The vectors in bit-reversed order.")


@njit(nogil=True)
def transpose_tile(source: Any, first: Any, source_stride: Any, target: Any, start: Any, target_stride: Any) -> None:
    """Eight runs ``source_stride`` words apart, transposed, to eight runs ``target_stride`` words apart."""
    for row in range(0, TILE, LANES):
        for column in range(0, TILE, LANES):
            rows = load_lanes(source, first + row * source_stride + column, source_stride)
            store_lanes(target, start + column * target_stride + row, target_stride, transpose(rows))
