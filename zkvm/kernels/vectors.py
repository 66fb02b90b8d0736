"""Eight Goldilocks elements at a time: a numba type ``Vector`` (LLVM ``<8 x i64>``) and its operations.

A kernel loads eight contiguous elements with :func:`load`, computes with :func:`add`, :func:`sub`, :func:`mul`, and
stores with :func:`store`; LLVM keeps the values in registers (one zmm each with AVX-512, two or four narrower ones
elsewhere). Every operation takes and returns canonical values unless it says otherwise. Formulas: as in
:mod:`zkvm.field.goldilocks`. Indices are not checked: kernels trust their callers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 8
_P = 2**64 - 2**32 + 1
_EPSILON = 2**32 - 1
_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)


class VectorType(types.Type):
    """The numba type of eight ``uint64`` lanes."""

    def __init__(self) -> None:
        super().__init__(name="zkvm.Vector")


VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, frontend_type: Any) -> None:
        super().__init__(manager, frontend_type, _VECTOR)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [ir.Constant(_WORD, value)] * LANES)


def emit_sub(builder: Any, a: Any, b: Any) -> Any:
    """a - b for canonical a and b in [0, p]."""
    difference = builder.sub(a, b)
    return builder.select(builder.icmp_unsigned("<", a, b), builder.add(difference, _constant(_P)), difference)


def emit_add(builder: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return emit_sub(builder, a, builder.sub(_constant(_P), b))


def emit_reduce(builder: Any, high: Any, low: Any) -> Any:
    """high 2^64 + low mod p for any words."""
    epsilon = _constant(_EPSILON)
    top = builder.lshr(high, _constant(32))
    difference = builder.sub(low, top)
    difference = builder.select(builder.icmp_unsigned("<", low, top), builder.sub(difference, epsilon), difference)
    term = builder.mul(builder.and_(high, epsilon), epsilon)
    total = builder.add(difference, term)
    total = builder.select(builder.icmp_unsigned("<", total, term), builder.add(total, epsilon), total)
    return emit_canonical(builder, total)


def emit_canonical(builder: Any, value: Any) -> Any:
    """Any word to [0, p)."""
    reduced = builder.sub(value, _constant(_P))
    return builder.select(builder.icmp_unsigned("<", value, _constant(_P)), value, reduced)


def emit_mul(builder: Any, a: Any, b: Any) -> Any:
    """a b for any words."""
    epsilon, shift = _constant(_EPSILON), _constant(32)
    a_low, a_high = builder.and_(a, epsilon), builder.lshr(a, shift)
    b_low, b_high = builder.and_(b, epsilon), builder.lshr(b, shift)
    low_low = builder.mul(a_low, b_low)
    middle = builder.add(builder.mul(a_high, b_low), builder.lshr(low_low, shift))
    middle_low = builder.add(builder.mul(a_low, b_high), builder.and_(middle, epsilon))
    low = builder.or_(builder.and_(low_low, epsilon), builder.shl(middle_low, shift))
    high = builder.add(builder.mul(a_high, b_high), builder.add(builder.lshr(middle, shift), builder.lshr(middle_low, shift)))
    return emit_reduce(builder, high, low)


def emit_mul_2_24(builder: Any, a: Any) -> Any:
    """2^24 a: the top 24 bits h of a fold back as h 2^64 = h 2^32 - h."""
    return emit_fold(builder, builder.shl(a, _constant(24)), builder.lshr(a, _constant(40)))


def emit_fold(builder: Any, low: Any, high: Any) -> Any:
    """high 2^64 + low for high < 2^32."""
    term = builder.sub(builder.shl(high, _constant(32)), high)
    total = builder.add(low, term)
    total = builder.select(builder.icmp_unsigned("<", total, term), builder.add(total, _constant(_EPSILON)), total)
    return emit_canonical(builder, total)


def emit_mul_2_48(builder: Any, a: Any) -> Any:
    """2^48 a."""
    return emit_reduce(builder, builder.lshr(a, _constant(16)), builder.shl(a, _constant(48)))


def emit_mul_2_72(builder: Any, a: Any) -> Any:
    """2^72 a: with a = h 2^24 + l, 2^72 a = l 2^72 - h = (l 2^8) (2^32 - 1) - h, both terms canonical."""
    low = builder.shl(builder.and_(a, _constant(2**24 - 1)), _constant(8))
    return emit_sub(builder, builder.sub(builder.shl(low, _constant(32)), low), builder.lshr(a, _constant(24)))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    address = cgutils.pointer_add(builder, data, builder.mul(index, ir.Constant(index.type, 8)))
    return builder.bitcast(address, ir.PointerType(_VECTOR))


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """``array[index : index + 8]`` of a flat contiguous ``uint64`` array."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], *arguments), align=8)

    return VECTOR(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """``array[index : index + 8] = value``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_value, index_value, value_value = arguments
        builder.store(value_value, _pointer(context, builder, signature.args[0], array_value, index_value), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), codegen


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """The value in all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), arguments[0], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(single, ir.Constant(_VECTOR, ir.Undefined), zeros)

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


add = _binary(emit_add, "a + b.")
sub = _binary(emit_sub, "a - b.")
mul = _binary(emit_mul, "a b (any words).")
mul_2_24 = _unary(emit_mul_2_24, "2^24 a.")
mul_2_48 = _unary(emit_mul_2_48, "2^48 a.")
mul_2_72 = _unary(emit_mul_2_72, "2^72 a.")


def emit_transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """8 vectors of 8 lanes, transposed: three rounds that exchange blocks of 1, 2 and 4 lanes between rows."""
    for width in (1, 2, 4):
        first = [lane if not lane & width else lane - width + LANES for lane in range(LANES)]
        second = [lane + width if not lane & width else lane + LANES for lane in range(LANES)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), mask) for mask in (first, second)]
        exchanged = list(rows)
        for row in range(LANES):
            if not row & width:
                pair = rows[row], rows[row + width]
                exchanged[row] = builder.shuffle_vector(*pair, masks[0])
                exchanged[row + width] = builder.shuffle_vector(*pair, masks[1])
        rows = exchanged
    return rows


@intrinsic
def transpose(typingctx: Any, v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any) -> Any:
    """The 8 x 8 transpose: result i holds lane i of every argument."""
    result = types.UniTuple(VECTOR, LANES)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_tuple(builder, result, emit_transpose(builder, list(arguments)))

    return result(*[VECTOR] * LANES), codegen
