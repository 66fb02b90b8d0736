"""Eight Goldilocks elements at a time: a numba type ``Vector`` (LLVM ``<8 x i64>``) and its operations.

A kernel loads eight contiguous elements with :func:`load`, computes with :func:`add`, :func:`sub`, :func:`mul`, and
stores with :func:`store`; LLVM keeps the values in registers (one zmm each with AVX-512, two or four narrower ones
elsewhere). Every operation takes and returns canonical values unless it says otherwise; *any word* means a 64-bit
representative that may be p or more, which saves the last reduction. Formulas: as in :mod:`zkvm.field.goldilocks`.
Indices are not checked: kernels trust their callers.
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


def _splat(builder: Any, word: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    single = builder.insert_element(undefined, word, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, undefined, zeros)


def _hidden_epsilon(builder: Any) -> Any:
    """2^32 - 1 in all lanes, in a way that LLVM cannot see.

    A product by that constant would become a mask, a shift and a subtraction; as one 32-bit product it is a single
    instruction. The empty assembly returns its operand and moves out of loops.
    """
    assembly = ir.FunctionType(_WORD, [_WORD])
    word = builder.asm(assembly, "", "=r,0", [ir.Constant(_WORD, _EPSILON)], False)
    for attribute in ("nounwind", "willreturn", "readnone"):
        set.add(word.attributes, attribute)  # llvmlite's own add refuses willreturn, which it does not know
    return builder.and_(_splat(builder, word), _constant(_EPSILON))


def _add_if(builder: Any, condition: Any, value: Any, constant: int) -> Any:
    return builder.select(condition, builder.add(value, _constant(constant % 2**64)), value)


def emit_sub_any(builder: Any, a: Any, b: Any) -> Any:
    """a - b for any word a and canonical b: any word. A borrow added 2^64 = 2^32 - 1, which fits below the result."""
    return _add_if(builder, builder.icmp_unsigned("<", a, b), builder.sub(a, b), -_EPSILON)


def emit_add_any(builder: Any, a: Any, b: Any) -> Any:
    """a + b for any word a and canonical b: any word. After a carry the sum is below p - 1, so that 2^32 - 1 fits."""
    total = builder.add(a, b)
    return _add_if(builder, builder.icmp_unsigned("<", total, b), total, _EPSILON)


def emit_sub(builder: Any, a: Any, b: Any) -> Any:
    """a - b for canonical a and b in [0, p]."""
    return emit_sub_any(builder, a, b)


def emit_add(builder: Any, a: Any, b: Any) -> Any:
    """a + b for canonical a and b."""
    return emit_sub(builder, a, builder.sub(_constant(_P), b))


def emit_canonical(builder: Any, value: Any) -> Any:
    """Any word to [0, p)."""
    reduced = builder.sub(value, _constant(_P))
    return builder.select(builder.icmp_unsigned("<", value, _constant(_P)), value, reduced)


def emit_reduce(builder: Any, high: Any, low: Any) -> Any:
    """high 2^64 + low mod p for any words: any word."""
    difference = emit_sub_any(builder, low, builder.lshr(high, _constant(32)))
    return emit_fold(builder, difference, builder.and_(high, _constant(_EPSILON)))


def emit_fold(builder: Any, low: Any, high: Any) -> Any:
    """high 2^64 + low for high < 2^32: any word."""
    return emit_add_any(builder, low, builder.mul(high, _hidden_epsilon(builder)))


def emit_mul_any(builder: Any, a: Any, b: Any) -> Any:
    """a b for any words: any word. The carry of the middle sum has weight 2^96 and joins the high word."""
    epsilon, shift = _constant(_EPSILON), _constant(32)
    a_low, a_high = builder.and_(a, epsilon), builder.lshr(a, shift)
    b_low, b_high = builder.and_(b, epsilon), builder.lshr(b, shift)
    low_low, low_high = builder.mul(a_low, b_low), builder.mul(a_low, b_high)
    middle = builder.add(builder.add(builder.mul(a_high, b_low), builder.lshr(low_low, shift)), low_high)
    carry = builder.icmp_unsigned("<", middle, low_high)
    low = builder.or_(builder.and_(low_low, epsilon), builder.shl(middle, shift))
    high = builder.add(builder.mul(a_high, b_high), builder.lshr(middle, shift))
    return emit_reduce(builder, _add_if(builder, carry, high, 2**32), low)


def emit_mul(builder: Any, a: Any, b: Any) -> Any:
    """a b for any words."""
    return emit_canonical(builder, emit_mul_any(builder, a, b))


def emit_mul_power(builder: Any, a: Any, bits: int) -> Any:
    """2^bits a for any word and 0 < bits < 64: the bits above 2^64 fold back."""
    low, high = builder.shl(a, _constant(bits)), builder.lshr(a, _constant(64 - bits))
    emit = emit_fold if bits <= 32 else emit_reduce
    return emit_canonical(builder, emit(builder, high=high, low=low))


def emit_mul_2_72(builder: Any, a: Any) -> Any:
    """2^72 a for any word: a = h 2^24 + l gives l 2^72 - h = (l 2^8) (2^32 - 1) - h, two canonical terms."""
    low = builder.lshr(builder.shl(a, _constant(40)), _constant(32))
    return emit_sub(builder, builder.mul(low, _hidden_epsilon(builder)), builder.lshr(a, _constant(24)))


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
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Starts fetching ``array[index : index + 8]`` into the first-level cache; any index is harmless."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(_pointer(context, builder, signature.args[0], *arguments), cgutils.voidptr_t)
        word = ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], function_type)
        builder.call(function, [pointer, ir.Constant(word, 0), ir.Constant(word, 3), ir.Constant(word, 1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """The value in all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

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
mul = _binary(emit_mul, "a b; the operands may be any words.")
add_any = _binary(emit_add_any, "a + b as any word; a may be any word, b is canonical.")
sub_any = _binary(emit_sub_any, "a - b as any word; a may be any word, b is canonical.")
mul_any = _binary(emit_mul_any, "a b as any word; the operands may be any words.")
canonical = _unary(emit_canonical, "Any word made canonical.")
mul_2_22 = _unary(lambda builder, a: emit_mul_power(builder, a, 22), "2^22 a; a may be any word.")
mul_2_24 = _unary(lambda builder, a: emit_mul_power(builder, a, 24), "2^24 a; a may be any word.")
mul_2_44 = _unary(lambda builder, a: emit_mul_power(builder, a, 44), "2^44 a; a may be any word.")
mul_2_48 = _unary(lambda builder, a: emit_mul_power(builder, a, 48), "2^48 a; a may be any word.")
mul_2_72 = _unary(emit_mul_2_72, "2^72 a; a may be any word.")


@intrinsic
def high_half(typingctx: Any, a: Any) -> Any:
    """a >> 32 in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.lshr(arguments[0], _constant(32))

    return VECTOR(VECTOR), codegen


@intrinsic
def limbs22(typingctx: Any, a: Any) -> Any:
    """Bits 0-21, 22-43 and 44-63 of every lane, as three vectors."""
    result = types.UniTuple(VECTOR, 3)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask = _constant(2**22 - 1)
        middle = builder.and_(builder.lshr(arguments[0], _constant(22)), mask)
        limbs = [builder.and_(arguments[0], mask), middle, builder.lshr(arguments[0], _constant(44))]
        return context.make_tuple(builder, result, limbs)

    return result(VECTOR), codegen


@intrinsic
def add_product32(typingctx: Any, total: Any, a: Any, b: Any) -> Any:
    """total + (a mod 2^32) (b mod 2^32) mod 2^64: integers, not field elements."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        epsilon = _constant(_EPSILON)
        product = builder.mul(builder.and_(arguments[1], epsilon), builder.and_(arguments[2], epsilon))
        return builder.add(arguments[0], product)

    return VECTOR(VECTOR, VECTOR, VECTOR), codegen


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
