/* Software floats: IEEE 754 binary32 in words, as numpy's float32 computes them. zkvm/ml/float32.py says the same in Python.
 *
 * Rounding is to nearest, ties to even; subnormals are real; a NaN that results is always the same one. Whoever proves chooses the words
 * of inputs and of private weights, so every function is defined for every word: shifts are masked or bounded, sums wrap. */
#ifndef ZKVM_ML_FLOAT32_H
#define ZKVM_ML_FLOAT32_H

#include <integer.h>

#define FLOAT static __attribute__((noinline, unused))
#define SMALL static inline __attribute__((always_inline, unused))

#define F32_NAN 0x7FC00000
#define F32_INFINITY 0x7F800000
#define F32_ONE 0x3F800000
#define F32_SIGN 0x80000000u
#define F32_HIDDEN 0x00800000u
#define F32_TOP 0x40000000u

SMALL uint32_t f32_high(uint32_t left, uint32_t right) {
    return (uint32_t)(((uint64_t)left * right) >> 32);
}

/* Where in the order of magnitudes a word is: without its sign, and twice as large as the word. */
SMALL uint32_t f32_size(int32_t x) {
    return (uint32_t)x << 1;
}

#define F32_SIZE_INFINITY 0xFF000000u

SMALL int32_t f32_field(int32_t x) {
    return (int32_t)(f32_size(x) >> 24);
}

SMALL int32_t f32_is_nan(int32_t x) {
    return f32_size(x) > F32_SIZE_INFINITY;
}

/* Leading zeros; of 0: 31. */
SMALL int32_t f32_zeros(uint32_t value) {
    int32_t count = 0;
    if (!(value >> 16)) value <<= 16, count = 16;
    if (!(value >> 24)) value <<= 8, count += 8;
    if (!(value >> 28)) value <<= 4, count += 4;
    if (!(value >> 30)) value <<= 2, count += 2;
    return count + !(value >> 31);
}

/* Shift to the right, 0 to 31 bits; the last bit says whether anything was lost. */
SMALL uint32_t f32_sticky(uint32_t value, int32_t bits) {
    return value >> bits | ((value & (((uint32_t)1 << bits) - 1)) != 0);
}

SMALL uint32_t f32_rounded(uint32_t mantissa) {
    return (mantissa + 63 + (mantissa >> 7 & 1)) >> 7;
}

/* mantissa * 2^(exponent - 157), where 2^30 <= mantissa < 2^31; its last bit may be a sticky one. A carry of the rounding goes into the
 * exponent, which is what it has to do, up to infinity. */
SMALL int32_t f32_pack(uint32_t sign, int32_t exponent, uint32_t mantissa) {
    if ((uint32_t)(exponent - 1) >= 254u) {
        if (exponent > 0) return (int32_t)(sign | F32_INFINITY);
        mantissa = f32_sticky(mantissa, exponent < -30 ? 31 : 1 - exponent);
        exponent = 1;
    }
    return (int32_t)(sign | (((uint32_t)(exponent - 1) << 23) + f32_rounded(mantissa)));
}

SMALL int32_t f32_neg(int32_t x) {
    return f32_is_nan(x) ? F32_NAN : (int32_t)((uint32_t)x ^ F32_SIGN);
}

SMALL int32_t f32_abs(int32_t x) {
    return f32_is_nan(x) ? F32_NAN : x & INT32_MAX;
}

FLOAT int32_t f32_add(int32_t left, int32_t right) {
    uint32_t x = (uint32_t)left, y = (uint32_t)right;
    if (x << 1 < y << 1) x = (uint32_t)right, y = (uint32_t)left;
    int32_t exponent = (int32_t)(x << 1 >> 24), other = (int32_t)(y << 1 >> 24);
    uint32_t mx = x << 9 >> 2 | F32_TOP, my = y << 9 >> 2 | F32_TOP;
    if (exponent == 255) return x << 9 || (x ^ y) == F32_SIGN ? F32_NAN : (int32_t)x;
    if (other == 0) {
        if (!(y << 1)) return (int32_t)(x << 1 ? x : x & y);
        my ^= F32_TOP;
        other = 1;
        if (exponent == 0) mx ^= F32_TOP, exponent = 1;
    }
    int32_t distance = exponent - other;
    my = f32_sticky(my, distance > 31 ? 31 : distance);
    if ((int32_t)(x ^ y) >= 0) {
        mx += my;
        if ((int32_t)mx < 0) mx = mx >> 1 | (mx & 1), exponent++;
    } else {
        mx -= my;
        if (!mx) return 0;
        if (!(mx & F32_TOP)) {
            int32_t up = f32_zeros(mx) - 1;
            if (up >= exponent) up = exponent - 1;
            mx <<= up;
            exponent -= up;
        }
    }
    if (exponent >= 255) return (int32_t)((x & F32_SIGN) | F32_INFINITY);
    return (int32_t)((x & F32_SIGN) | (((uint32_t)(exponent - 1) << 23) + f32_rounded(mx)));
}

SMALL int32_t f32_sub(int32_t left, int32_t right) {
    return f32_add(left, (int32_t)((uint32_t)right ^ F32_SIGN));
}

/* The mantissa of a finite number other than 0, 2^31 and more, and its exponent as if it were a normal number. */
SMALL uint32_t f32_open(int32_t x, int32_t *exponent) {
    uint32_t mantissa = (uint32_t)x << 8 | F32_SIGN;
    *exponent = f32_field(x);
    if (*exponent == 0) {
        mantissa ^= F32_SIGN;
        int32_t up = f32_zeros(mantissa);
        mantissa <<= up;
        *exponent = 1 - up;
    }
    return mantissa;
}

/* The product of numbers with these mantissas, of which the top bit is set. */
SMALL int32_t f32_product(uint32_t sign, int32_t exponent, uint32_t left, uint32_t right) {
    uint64_t product = (uint64_t)left * right;
    uint32_t high = (uint32_t)(product >> 32) | ((uint32_t)product != 0);
    if ((int32_t)high < 0) return f32_pack(sign, exponent - 126, high >> 1 | (high & 1));
    return f32_pack(sign, exponent - 127, high);
}

/* left / right: eight bits at a time, because a remainder has 24 bits. */
SMALL int32_t f32_quotient(uint32_t sign, int32_t exponent, uint32_t left, uint32_t right) {
    left >>= 8;
    right >>= 8;
    if (left < right) left <<= 1, exponent--;
    left <<= 7;
    uint32_t quotient = left / right, digit;
    left = (left - quotient * right) << 8;
    digit = left / right;
    quotient = quotient << 8 | digit;
    left = (left - digit * right) << 8;
    digit = left / right;
    quotient = quotient << 8 | digit;
    left = (left - digit * right) << 7;
    digit = left / right;
    quotient = quotient << 7 | digit;
    return f32_pack(sign, exponent + 127, quotient | (left != digit * right));
}

static __attribute__((noinline, unused)) int32_t f32_mul_rare(int32_t left, int32_t right) {
    uint32_t sign = (uint32_t)(left ^ right) & F32_SIGN, x = f32_size(left), y = f32_size(right);
    if (x < y) x = f32_size(right), y = f32_size(left);
    if (x > F32_SIZE_INFINITY) return F32_NAN;
    if (x == F32_SIZE_INFINITY) return y ? (int32_t)(sign | F32_INFINITY) : F32_NAN;
    if (!y) return (int32_t)sign;
    int32_t ex, ey;
    uint32_t mx = f32_open(left, &ex), my = f32_open(right, &ey);
    return f32_product(sign, ex + ey, mx, my);
}

FLOAT int32_t f32_mul(int32_t left, int32_t right) {
    int32_t ex = f32_field(left), ey = f32_field(right);
    if ((uint32_t)(ex - 1) >= 254u || (uint32_t)(ey - 1) >= 254u) return f32_mul_rare(left, right);
    uint32_t mx = (uint32_t)left << 8 | F32_SIGN, my = (uint32_t)right << 8 | F32_SIGN;
    return f32_product((uint32_t)(left ^ right) & F32_SIGN, ex + ey, mx, my);
}

static __attribute__((noinline, unused)) int32_t f32_div_rare(int32_t left, int32_t right) {
    uint32_t sign = (uint32_t)(left ^ right) & F32_SIGN, x = f32_size(left), y = f32_size(right);
    if (x > F32_SIZE_INFINITY || y > F32_SIZE_INFINITY) return F32_NAN;
    if (x == F32_SIZE_INFINITY) return y == F32_SIZE_INFINITY ? F32_NAN : (int32_t)(sign | F32_INFINITY);
    if (!y) return x ? (int32_t)(sign | F32_INFINITY) : F32_NAN;
    if (!x || y == F32_SIZE_INFINITY) return (int32_t)sign;
    int32_t ex, ey;
    uint32_t mx = f32_open(left, &ex), my = f32_open(right, &ey);
    return f32_quotient(sign, ex - ey, mx, my);
}

FLOAT int32_t f32_div(int32_t left, int32_t right) {
    int32_t ex = f32_field(left), ey = f32_field(right);
    if ((uint32_t)(ex - 1) >= 254u || (uint32_t)(ey - 1) >= 254u) return f32_div_rare(left, right);
    uint32_t mx = (uint32_t)left << 8 | F32_SIGN, my = (uint32_t)right << 8 | F32_SIGN;
    return f32_quotient((uint32_t)(left ^ right) & F32_SIGN, ex - ey, mx, my);
}

/* About 2^31 / sqrt(x), never more, for x = value / 2^30 from 1 to 4: a line, then Newton's steps. */
SMALL uint32_t f32_inverse_root(uint32_t value) {
    uint32_t y = 2290061472u - f32_high(value, 1308606555u);
    UNROLL_ALL for (int i = 0; i < 3; i++) y = f32_high(y, (3u << 30) - (f32_high(f32_high(y, y) << 1, value) << 1)) << 1;
    return y;
}

FLOAT int32_t f32_sqrt(int32_t x) {
    if (!f32_size(x)) return x;
    if (f32_is_nan(x) || x < 0) return F32_NAN;
    if (x == F32_INFINITY) return x;
    int32_t exponent;
    uint32_t mantissa = f32_open(x, &exponent);
    uint32_t value = mantissa >> (exponent & 1);
    uint32_t root = f32_high(value, f32_inverse_root(value)) >> 5;
    int32_t rest = (int32_t)((value << 18) - root * root);
    while (rest < 0) root--, rest += (int32_t)(2 * root + 1);
    while (rest > (int32_t)(2 * root)) rest -= (int32_t)(2 * root + 1), root++;
    uint32_t place = (uint32_t)(exponent + 125) >> 1;
    return (int32_t)((place << 23) + f32_rounded(root << 6 | (rest != 0)));
}

/* Words whose order as integers is that of the numbers; -0 is 0. */
SMALL int32_t f32_order(int32_t x) {
    int32_t sign = x >> 31;
    return ((x & INT32_MAX) ^ sign) - sign;
}

SMALL int32_t f32_key_among(int32_t x, int32_t nan, int32_t least) {
    int32_t order = f32_order(x);
    return f32_is_nan(x) ? nan : order < least ? least : order;
}

SMALL int32_t f32_key(int32_t x) {
    return f32_key_among(x, INT32_MAX, INT32_MIN);
}

SMALL int32_t f32_lt(int32_t left, int32_t right) {
    if (f32_is_nan(left) || f32_is_nan(right)) return 0;
    return f32_order(left) < f32_order(right);
}

SMALL int32_t f32_le(int32_t left, int32_t right) {
    if (f32_is_nan(left) || f32_is_nan(right)) return 0;
    return f32_order(left) <= f32_order(right);
}

SMALL int32_t f32_eq(int32_t left, int32_t right) {
    if (left == right) return !f32_is_nan(left);
    return (f32_size(left) | f32_size(right)) == 0;
}

/* The first one of equals, which tells -0 from 0. */
SMALL int32_t f32_max(int32_t left, int32_t right) {
    if (f32_is_nan(left) || f32_is_nan(right)) return F32_NAN;
    return f32_order(left) < f32_order(right) ? right : left;
}

SMALL int32_t f32_min(int32_t left, int32_t right) {
    if (f32_is_nan(left) || f32_is_nan(right)) return F32_NAN;
    return f32_order(right) < f32_order(left) ? right : left;
}

/* x as a multiple of 1. Between 0.5 and 2 the last bit of the field says whether the multiple below is odd, as it has to. */
SMALL int32_t f32_whole(int32_t x, int mode) {
    uint32_t sign = (uint32_t)x & F32_SIGN, up = mode == ROUND_FLOOR ? sign : mode == ROUND_CEIL ? !sign : 0;
    int32_t exponent = f32_field(x);
    if (exponent >= 150) return f32_is_nan(x) ? F32_NAN : x;
    if (exponent < 127) {
        if (mode == ROUND_ROUND) up = f32_size(x) > 0x7E000000u;
        return (int32_t)(sign | (up && f32_size(x) ? F32_ONE : 0));
    }
    uint32_t rest = ((uint32_t)1 << (150 - exponent)) - 1;
    uint32_t more = mode == ROUND_ROUND ? (rest >> 1) + ((uint32_t)x >> (150 - exponent) & 1) : up ? rest : 0;
    return (int32_t)(((uint32_t)x + more) & ~rest);
}

FLOAT int32_t f32_floor(int32_t x) {
    return f32_whole(x, ROUND_FLOOR);
}

FLOAT int32_t f32_ceil(int32_t x) {
    return f32_whole(x, ROUND_CEIL);
}

FLOAT int32_t f32_trunc(int32_t x) {
    return f32_whole(x, ROUND_TRUNCATE);
}

FLOAT int32_t f32_round(int32_t x) {
    return f32_whole(x, ROUND_ROUND);
}

FLOAT int32_t f32_from_i32(int32_t value) {
    if (!value) return 0;
    uint32_t magnitude = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    int32_t up = f32_zeros(magnitude);
    magnitude <<= up;
    return f32_pack((uint32_t)value & F32_SIGN, 158 - up, magnitude >> 1 | (magnitude & 1));
}

/* Truncates; NaN and what does not fit give the smallest word. */
FLOAT int32_t f32_to_i32(int32_t x) {
    int32_t exponent = f32_field(x);
    if (exponent < 127) return 0;
    if (exponent >= 158) return INT32_MIN;
    int32_t magnitude = (int32_t)(((uint32_t)x << 8 | F32_SIGN) >> (158 - exponent));
    return x < 0 ? -magnitude : magnitude;
}

/* value * 2^exponent, rounded once; exponents beyond 2000 are cut. */
FLOAT int32_t f32_scaled(int64_t value, int32_t exponent) {
    if (!value) return 0;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint32_t sign = (uint32_t)((uint64_t)value >> 32) & F32_SIGN, high = (uint32_t)(magnitude >> 32), low = (uint32_t)magnitude;
    exponent = clamp(exponent, -2000, 2000, 0) + 190;
    if (!high) high = low, low = 0, exponent -= 32;
    int32_t up = f32_zeros(high);
    uint32_t mantissa = (high << up | low >> 1 >> (31 - up)), lost = low << up;
    return f32_pack(sign, exponent - up, mantissa >> 1 | ((mantissa & 1) | (lost != 0)));
}

/* The exact remainder of the division that truncates. */
FLOAT int32_t f32_fmod(int32_t left, int32_t right) {
    uint32_t x = f32_size(left), y = f32_size(right);
    if (x >= F32_SIZE_INFINITY || y > F32_SIZE_INFINITY || !y) return F32_NAN;
    if (x < y) return left;
    int32_t ex, ey;
    uint32_t rest = f32_open(left, &ex) >> 8, divisor = f32_open(right, &ey) >> 8;
    rest %= divisor;
    for (int32_t bits = ex - ey; bits > 0; bits -= 8) rest = (rest << (bits < 8 ? bits : 8)) % divisor;
    if (!rest) return (int32_t)((uint32_t)left & F32_SIGN);
    int32_t up = f32_zeros(rest);
    return f32_pack((uint32_t)left & F32_SIGN, ey + 8 - up, rest << up >> 1);
}

#endif
