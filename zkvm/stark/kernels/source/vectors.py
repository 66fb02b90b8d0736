"""Goldilocks elements of one register at a time: a numba type ``Vector`` (LLVM ``<LANES x i64>``) and its operations.

A kernel loads :data:`LANES` contiguous elements with :func:`load`, computes with :func:`add`, :func:`sub`, :func:`mul`, and
stores with :func:`store`; LLVM keeps the values in registers. There are 8 lanes with AVX-512 and 4 elsewhere: row counts are
multiples of 8 everywhere. Every operation takes and returns canonical values unless it says otherwise; *any word* means a 64-bit
representative that may be p or more, which saves the last reduction. The instructions: :mod:`zkvm.stark.kernels.source.words`.
Indices are not checked: kernels trust their callers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from zkvm.stark.kernels.source import words
from zkvm.stark.kernels.source.words import EPSILON, LANES, constant


class VectorType(types.Type):
    """The numba type of :data:`LANES` lanes of ``uint64``."""

    def __init__(self) -> None:
        super().__init__(name=f"zkvm.Vector{LANES}")


VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, frontend_type: Any) -> None:
        super().__init__(manager, frontend_type, words.VECTOR)


def emit_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """The address of a vector in a flat array."""
    data = context.make_array(array_type)(context, builder, array).data
    address = cgutils.pointer_add(builder, data, builder.mul(index, ir.Constant(index.type, 8)))
    return builder.bitcast(address, ir.PointerType(words.VECTOR))


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """``array[index : index + LANES]`` of a flat contiguous ``uint64`` array."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(emit_pointer(context, builder, signature.args[0], *arguments), align=8)

    return VECTOR(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """``array[index : index + LANES] = value``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_value, index_value, value_value = arguments
        builder.store(value_value, emit_pointer(context, builder, signature.args[0], array_value, index_value), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), codegen


@intrinsic
def load_at(typingctx: Any, address: Any) -> Any:
    """:data:`LANES` contiguous words at a byte address."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.PointerType(words.VECTOR)), align=8)

    return VECTOR(types.uint64), codegen


def _emit_prefetch(builder: Any, pointer: Any) -> None:
    word = ir.IntType(32)
    function_type = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
    function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], function_type)
    builder.call(function, [pointer, ir.Constant(word, 0), ir.Constant(word, 3), ir.Constant(word, 1)])  # read, keep, data


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Starts fetching ``array[index : index + LANES]`` into the first-level cache; any index is harmless."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _emit_prefetch(builder, builder.bitcast(emit_pointer(context, builder, signature.args[0], *arguments), cgutils.voidptr_t))
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic
def prefetch_at(typingctx: Any, address: Any) -> Any:
    """Starts fetching the cache line at a byte address into the first-level cache; any address is harmless."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _emit_prefetch(builder, builder.inttoptr(arguments[0], cgutils.voidptr_t))
        return context.get_dummy_value()

    return types.void(types.uint64), codegen


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """The value in all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return words.emit_splat(builder, arguments[0])

    return VECTOR(types.uint64), codegen


@intrinsic
def lane(typingctx: Any, value: Any, index: Any) -> Any:
    """One lane of a vector."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(arguments[0], arguments[1])

    return types.uint64(VECTOR, types.intp), codegen


def _unary(emit: Callable[[Any, Any], Any], documentation: str) -> Any:
    def operation(typingctx: Any, a: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return emit(builder, *arguments)

        return VECTOR(VECTOR), codegen

    operation.__doc__ = documentation
    return intrinsic(operation)


def _binary(emit: Callable[[Any, Any, Any], Any], documentation: str) -> Any:
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return emit(builder, *arguments)

        return VECTOR(VECTOR, VECTOR), codegen

    operation.__doc__ = documentation
    return intrinsic(operation)


add = _binary(words.emit_add, "a + b.")
sub = _binary(words.emit_sub, "a - b.")
mul = _binary(words.emit_mul, "a b; the operands may be any words.")
add_any = _binary(words.emit_add_any, "a + b as any word; a may be any word, b is canonical.")
sub_any = _binary(words.emit_sub_any, "a - b as any word; a may be any word, b is canonical.")
mul_any = _binary(words.emit_mul_any, "a b as any word; the operands may be any words.")
reduce_sums = _binary(words.emit_reduce_sums, "a + 2^32 b for any words.")
canonical = _unary(words.emit_canonical, "Any word made canonical.")
mul_2_22 = _unary(lambda builder, a: words.emit_mul_power(builder, a, 22), "2^22 a; a may be any word.")
mul_2_44 = _unary(lambda builder, a: words.emit_mul_power(builder, a, 44), "2^44 a; a may be any word.")


@intrinsic
def high_half(typingctx: Any, a: Any) -> Any:
    """a >> 32 in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.lshr(arguments[0], constant(32))

    return VECTOR(VECTOR), codegen


@intrinsic
def limbs22(typingctx: Any, a: Any) -> Any:
    """Bits 0-21, 22-43 and 44-63 of every lane, as three vectors."""
    result = types.UniTuple(VECTOR, 3)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask = constant(2**22 - 1)
        middle = builder.and_(builder.lshr(arguments[0], constant(22)), mask)
        limbs = [builder.and_(arguments[0], mask), middle, builder.lshr(arguments[0], constant(44))]
        return context.make_tuple(builder, result, limbs)

    return result(VECTOR), codegen


@intrinsic
def add_product32(typingctx: Any, total: Any, a: Any, b: Any) -> Any:
    """total + (a mod 2^32) (b mod 2^32) mod 2^64: integers, not field elements."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        epsilon = constant(EPSILON)
        product = builder.mul(builder.and_(arguments[1], epsilon), builder.and_(arguments[2], epsilon))
        return builder.add(arguments[0], product)

    return VECTOR(VECTOR, VECTOR, VECTOR), codegen
