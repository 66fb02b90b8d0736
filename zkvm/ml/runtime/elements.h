/* Elements of tensors of integers, as ONNX has them. */
#ifndef ZKVM_ML_ELEMENTS_H
#define ZKVM_ML_ELEMENTS_H

#include <integer.h>

/* Ends a run that has no answer: an integer that no word holds, a division by 0, a position outside its axis. */
__attribute__((noinline, unused)) _Noreturn static void zkvm_ml_overflow(const char *layer, const char *reason) {
    zkvm_printf("%s: layer %s\n", reason, layer);
    zkvm_exit(SATURATED_EXIT);
}

INLINE int32_t whole_checked(int64_t value, int32_t lo, int32_t hi, const char *layer) {
    if (value < lo || value > hi) zkvm_ml_overflow(layer, "an integer does not fit a word of 32 bits");
    return (int32_t)value;
}

/* A position of an axis, which may count from its end. */
INLINE int32_t whole_position(int32_t position, int32_t extent, const char *layer) {
    position = (int32_t)((uint32_t)position + (uint32_t)(extent & (position >> 31)));
    if ((uint32_t)position >= (uint32_t)extent) zkvm_ml_overflow(layer, "a position is outside its axis");
    return position;
}

INLINE int32_t whole_divisor(int32_t divisor, const char *layer) {
    if (divisor == 0) zkvm_ml_overflow(layer, "a division by 0");
    return divisor;
}

INLINE int64_t whole_quotient_wide(int32_t left, int32_t right) {
    int32_t quotient = machine_quotient(left, right); /* the smallest over -1 is itself */
    return ((left == INT32_MIN) & (right == -1)) ? -(int64_t)quotient : quotient;
}

/* Remainder with the divisor's sign. */
INLINE int32_t whole_modulus(int32_t left, int32_t right) {
    int32_t rest = machine_remainder(left, right);
    return rest + choose((rest != 0) & ((rest ^ right) < 0), right, 0);
}

/* Shifts of numbers without a sign, of so many bits: beyond these nothing is left. */
INLINE int32_t whole_left(int32_t value, int32_t places, int32_t bits) {
    if ((uint32_t)places >= (uint32_t)(bits < 32 ? bits : 32)) return 0;
    return (int32_t)((uint32_t)value << places);
}

INLINE int64_t whole_left_wide(int32_t value, int32_t places, int32_t bits) {
    if ((uint32_t)places >= (uint32_t)bits) return 0;
    if (places >= 32) return value == 0 ? 0 : (int64_t)1 << 40;
    return (int64_t)((uint64_t)(uint32_t)value << places);
}

INLINE int32_t whole_right(int32_t value, int32_t places) {
    return value >> ((uint32_t)places < 32 ? places : 31);
}

INLINE int64_t whole_magnitude(int32_t value) {
    return value < 0 ? -(int64_t)value : value;
}

/* Squares beyond a word, small enough for the sum of any number of them. */
INLINE int64_t whole_capped(int64_t square) {
    return square < (int64_t)1 << 40 ? square : (int64_t)1 << 40;
}

INLINE int32_t whole_negative_power(int32_t base, int32_t exponent, const char *layer) {
    if (base == 0) zkvm_ml_overflow(layer, "a negative power of 0");
    return base == 1 ? 1 : base == -1 ? 1 - 2 * (exponent & 1) : 0;
}

/* base^exponent modulo 2^32; of negative exponents without its fraction. */
__attribute__((noinline, unused)) static int32_t whole_power(int32_t base, int32_t exponent, const char *layer) {
    if (exponent < 0) return whole_negative_power(base, exponent, layer);
    uint32_t result = 1, square = (uint32_t)base;
    for (uint32_t rest = (uint32_t)exponent; rest; rest >>= 1, square *= square)
        if (rest & 1) result *= square;
    return (int32_t)result;
}

/* base^exponent, or something on the same side beyond a word. */
__attribute__((noinline, unused)) static int64_t whole_power_wide(int32_t base, int32_t exponent, const char *layer) {
    if (exponent < 0) return whole_negative_power(base, exponent, layer);
    int64_t result = 1, limit = (int64_t)1 << 31;
    for (int i = exponent > 33 ? 32 + (exponent & 1) : exponent; i > 0; i--) {
        result *= base;
        result = result > limit ? limit : result < -limit - 1 ? -limit - 1 : result;
    }
    return result;
}

#endif
