/* What operators need of floats beside arithmetic and elementary functions: looks at bits, and conversions. */
#ifndef ZKVM_ML_FLOAT_ELEMENTS_H
#define ZKVM_ML_FLOAT_ELEMENTS_H

#include <elements.h>
#include <float32_angles.h>

/* The larger of a float and 0; every NaN has a positive sign. */
INLINE int32_t f32_relu(int32_t x) {
    return x & ~(x >> 31);
}

/* 1.0 or 0.0 from a boolean. */
INLINE int32_t f32_truth(int32_t x) {
    return choose(x != 0, 0x3F800000, 0);
}

/* 0 for NaN, else 1. */
INLINE int32_t f32_known(int32_t x) {
    return (x & INT32_MAX) <= 0x7F800000;
}

INLINE int32_t f32_infinite(int32_t x) {
    return (x & INT32_MAX) == 0x7F800000;
}

/* x, or the bound where x is less (more): NaN stays, and one as bound is none. */
INLINE int32_t f32_at_least(int32_t x, int32_t bound) {
    return f32_lt(x, bound) ? bound : x;
}

INLINE int32_t f32_at_most(int32_t x, int32_t bound) {
    return f32_lt(bound, x) ? bound : x;
}

INLINE int32_t f32_either(int32_t left, int32_t right) {
    return left | right;
}

INLINE int32_t f32_less_words(int32_t left, int32_t right) {
    return (int32_t)((uint32_t)left - (uint32_t)right);
}

#define F32_LARGE ((int32_t)1 << 20)

/* The nearest integer, of two the even one; cut to what quantized integers need. NaN gives the least. */
INLINE int32_t f32_nearest(int32_t x) {
    if (!f32_lt(x, 0x49800000)) return f32_known(x) ? F32_LARGE : -F32_LARGE;
    return f32_lt(x, (int32_t)0xC9800000) ? -F32_LARGE : f32_to_i32(f32_round(x));
}

/* The integer nearest to x times a factor, of two the even one, cut to bounds; NaN gives the lower one. */
INLINE int32_t f32_fixed(int32_t x, int32_t factor, int32_t lo, int32_t hi) {
    int32_t product = f32_round(f32_mul(x, factor)), whole = f32_to_i32(product);
    return bounded(choose((whole == INT32_MIN) & (product >= 0) & f32_known(product), INT32_MAX, whole), lo, hi);
}

/* A quantized integer: the nearest one and a zero point, cut to the bounds of its type. */
INLINE int32_t f32_quantized(int32_t x, int32_t zero, int32_t lo, int32_t hi) {
    return bounded((int32_t)((uint32_t)f32_nearest(x) + (uint32_t)zero), lo, hi);
}

/* A float as an integer that a word holds, without its fraction. */
INLINE int32_t f32_to_whole(int32_t x, int32_t lo, const char *layer) {
    int32_t whole = f32_to_i32(x);
    if ((whole == INT32_MIN && x != (int32_t)0xCF000000) || whole < lo)
        zkvm_ml_overflow(layer, "a number cast to an integer does not fit a word of 32 bits");
    return whole;
}

#endif
