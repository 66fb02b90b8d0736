"""LLVM code for Goldilocks arithmetic on one vector register of :data:`LANES` words (formulas: :mod:`zkvm.stark.field.goldilocks`).

Every operation takes and returns canonical values unless it says otherwise; *any word* means a 64-bit representative that may be p
or more. There are two selections of instructions. Wide registers have unsigned comparisons and masks. Narrow ones (AVX2) compare
signed words only, so that LLVM would flip the sign of both sides of every comparison: there, an overflow is read from the signs
where one operand is small, and otherwise the sign of the first operand is flipped before and after. Between two such operations
the flips cancel.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from zkvm.stark.kernels.width import WORD_LANES

LANES = WORD_LANES
WIDE = LANES == 8
P = 2**64 - 2**32 + 1
EPSILON = 2**32 - 1
WORD = ir.IntType(64)
VECTOR = ir.VectorType(WORD, LANES)
_SIGN = 2**63


def constant(value: int) -> ir.Constant:
    """The value in all lanes."""
    return ir.Constant(VECTOR, [ir.Constant(WORD, value % 2**64)] * LANES)


def emit_splat(builder: Any, word: Any) -> Any:
    """A word in all lanes."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    single = builder.insert_element(undefined, word, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, undefined, zeros)


def hidden_epsilon(builder: Any) -> Any:
    """2^32 - 1 in all lanes, in a way that LLVM cannot see.

    A product by that constant would become a mask, a shift and a subtraction; as one 32-bit product it is a single
    instruction. The empty assembly returns its operand and moves out of loops.
    """
    assembly = ir.FunctionType(WORD, [WORD])
    word = builder.asm(assembly, "", "=r,0", [ir.Constant(WORD, EPSILON)], False)
    for attribute in ("nounwind", "willreturn", "readnone"):
        set.add(word.attributes, attribute)  # llvmlite's own add refuses willreturn, which it does not know
    return builder.and_(emit_splat(builder, word), constant(EPSILON))


def _add_if(builder: Any, condition: Any, value: Any, added: int) -> Any:
    return builder.select(condition, builder.add(value, constant(added)), value)


def _flip(builder: Any, value: Any) -> Any:
    """The value with its sign changed: unsigned order becomes signed order."""
    return builder.xor(value, constant(_SIGN))


def _epsilon_if(builder: Any, condition: Any) -> Any:
    """2^32 - 1 where the condition holds, else 0."""
    return builder.lshr(builder.sext(condition, VECTOR), constant(32))


def emit_halves(builder: Any, value: Any) -> tuple[Any, Any]:
    """Low and high 32 bits."""
    return builder.and_(value, constant(EPSILON)), builder.lshr(value, constant(32))


def emit_sub_any(builder: Any, a: Any, b: Any) -> Any:
    """a - b for any word a and canonical b: any word. A borrow added 2^64 = 2^32 - 1, which fits below the result."""
    if WIDE:
        return _add_if(builder, builder.icmp_unsigned("<", a, b), builder.sub(a, b), -EPSILON)
    flipped = _flip(builder, a)
    difference = builder.sub(flipped, b)
    borrow = _epsilon_if(builder, builder.icmp_signed(">", difference, flipped))
    return _flip(builder, builder.sub(difference, borrow))


def emit_add_any(builder: Any, a: Any, b: Any) -> Any:
    """a + b for any word a and canonical b: any word. After a carry the sum is below p - 1, so that 2^32 - 1 fits."""
    if WIDE:
        total = builder.add(a, b)
        return _add_if(builder, builder.icmp_unsigned("<", total, b), total, EPSILON)
    flipped = _flip(builder, a)
    total = builder.add(flipped, b)
    carry = _epsilon_if(builder, builder.icmp_signed(">", flipped, total))
    return _flip(builder, builder.add(total, carry))


def emit_sub_small(builder: Any, a: Any, b: Any) -> Any:
    """a - b for any word a and b < 2^63: any word. Narrow code: a borrow turns the sign on and nothing else does."""
    difference = builder.sub(a, b)
    if WIDE:
        return _add_if(builder, builder.icmp_unsigned("<", a, b), difference, -EPSILON)
    borrow = builder.icmp_signed("<", builder.and_(difference, builder.not_(a)), constant(0))
    return _add_if(builder, borrow, difference, -EPSILON)


def emit_add_small(builder: Any, a: Any, b: Any) -> Any:
    """a + b for any word a and b < 2^63: any word. Narrow code: a carry turns the sign off and nothing else does."""
    total = builder.add(a, b)
    if WIDE:
        return _add_if(builder, builder.icmp_unsigned("<", total, b), total, EPSILON)
    carry = builder.icmp_signed("<", builder.and_(a, builder.not_(total)), constant(0))
    return _add_if(builder, carry, total, EPSILON)


def emit_sub(builder: Any, a: Any, b: Any) -> Any:
    """a - b for canonical a and b in [0, p]."""
    return _add_if(builder, builder.icmp_unsigned("<", a, b), builder.sub(a, b), -EPSILON)


def emit_add(builder: Any, a: Any, b: Any) -> Any:
    """a + b for canonical a and b."""
    return emit_sub(builder, a, builder.sub(constant(P), b))


def emit_canonical(builder: Any, value: Any) -> Any:
    """Any word to [0, p). Narrow code: adding 2^32 - 1 subtracts p and turns the sign off only if the word was p or more."""
    if WIDE:
        reduced = builder.sub(value, constant(P))
        return builder.select(builder.icmp_unsigned("<", value, constant(P)), value, reduced)
    reduced = builder.add(value, hidden_epsilon(builder))
    exceeds = builder.icmp_signed("<", builder.and_(value, builder.not_(reduced)), constant(0))
    return builder.select(exceeds, reduced, value)


def emit_reduce(builder: Any, high: Any, low: Any) -> Any:
    """high 2^64 + low mod p for any words: any word."""
    bottom, top = emit_halves(builder, high)
    emit_difference = emit_sub_any if WIDE else emit_sub_small
    return emit_fold(builder, emit_difference(builder, low, top), bottom)


def emit_fold(builder: Any, low: Any, high: Any) -> Any:
    """high 2^64 + low for high < 2^32: any word."""
    return emit_add_any(builder, low, builder.mul(high, hidden_epsilon(builder)))


def emit_product(builder: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """(l, m, h) with a b = l mod 2^32 + 2^32 (m mod 2^32) + 2^64 h, for any words: no sum on the way passes 2^64."""
    a_low, a_high = emit_halves(builder, a)
    b_low, b_high = emit_halves(builder, b)
    low, high = builder.mul(a_low, b_low), builder.mul(a_high, b_high)
    first = builder.add(builder.mul(a_high, b_low), builder.lshr(low, constant(32)))
    first_low, first_high = emit_halves(builder, first)
    middle = builder.add(builder.mul(a_low, b_high), first_low)
    return low, middle, builder.add(builder.add(high, first_high), builder.lshr(middle, constant(32)))


def emit_reduce_sums(builder: Any, low: Any, high: Any) -> Any:
    """low + 2^32 high for any words. The upper half of ``high`` folds back, its lower half times 2^32 is at most p - 1."""
    folded = emit_fold(builder, low, builder.lshr(high, constant(32)))
    return emit_canonical(builder, emit_add_any(builder, folded, builder.shl(high, constant(32))))


def emit_join(builder: Any, low: Any, high: Any) -> Any:
    """low mod 2^32 + 2^32 (high mod 2^32)."""
    return builder.or_(builder.and_(low, constant(EPSILON)), builder.shl(high, constant(32)))


def emit_mul_any(builder: Any, a: Any, b: Any) -> Any:
    """a b for any words: any word. Wide code: the carry of the middle sum has weight 2^96 and joins the high word."""
    if not WIDE:
        low, middle, high = emit_product(builder, a, b)
        return emit_reduce(builder, high, emit_join(builder, low, middle))
    epsilon, shift = constant(EPSILON), constant(32)
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
    low, high = builder.shl(a, constant(bits)), builder.lshr(a, constant(64 - bits))
    emit = emit_fold if bits <= 32 else emit_reduce
    return emit_canonical(builder, emit(builder, high=high, low=low))


def emit_transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """LANES vectors, transposed: rounds that exchange blocks of 1, 2, 4 lanes between rows."""
    width = 1
    while width < LANES:
        first = [lane if not lane & width else lane - width + LANES for lane in range(LANES)]
        second = [lane + width if not lane & width else lane + LANES for lane in range(LANES)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), mask) for mask in (first, second)]
        exchanged = list(rows)
        for row in range(LANES):
            if not row & width:
                pair = rows[row], rows[row + width]
                exchanged[row] = builder.shuffle_vector(*pair, masks[0])
                exchanged[row + width] = builder.shuffle_vector(*pair, masks[1])
        rows, width = exchanged, 2 * width
    return rows
