/* Trigonometric functions of floats and powers; zkvm/ml/float32_angles.py takes the same steps. */
#ifndef ZKVM_ML_FLOAT32_ANGLES_H
#define ZKVM_ML_FLOAT32_ANGLES_H

#include <float32_elementary.h>

/* The bits of 2 / pi after 32 zeros: the first bit stands for 2^31. */
static const uint32_t f32_two_over_pi[] = {0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB};

/* The top 32 bits of a number other than 0, and in *exponent how far they were moved, negatively. */
SMALL uint32_t f32_leading(uint64_t value, int32_t *exponent) {
    uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value;
    *exponent = 0;
    if (!high) high = low, low = 0, *exponent = -32;
    int32_t up = f32_zeros(high);
    *exponent -= up;
    return high << up | low >> 1 >> (31 - up);
}

/* The magnitude of x as quadrants and a rest of at most half of one: the rest is the result times 2^(*exponent - 32), negative if *negative
 * is set. Of 2 / pi only the 96 bits are needed that make no multiples of four quadrants and are not too small. */
FLOAT uint32_t f32_reduce(int32_t x, uint32_t *quadrant, uint32_t *negative, int32_t *exponent) {
    int32_t field = f32_field(x), start = field - 120, bit = start & 31;
    *quadrant = *negative = 0;
    if (field < 126) {
        int32_t opened;
        uint32_t rest = f32_high(f32_open(x, &opened), f32_two_over_pi[1]), small = !(rest >> 31);
        *exponent = opened - 126 - (int32_t)small;
        return rest << small;
    }
    const uint32_t *word = f32_two_over_pi + (start >> 5);
    uint32_t mantissa = f32_top(x) >> 8, parts[3];
    UNROLL_ALL for (int i = 0; i < 3; i++) parts[i] = word[i] << bit | word[i + 1] >> 1 >> (31 - bit);
    uint64_t turns = (uint64_t)mantissa * parts[1] + ((uint64_t)(mantissa * parts[0]) << 32) + f32_high(mantissa, parts[2]);
    uint64_t rest = turns << 2;
    *negative = (uint32_t)(rest >> 63);
    *quadrant = (uint32_t)(turns >> 62) + *negative;
    return f32_leading(*negative ? 0 - rest : rest, exponent);
}

static const int32_t f32_sin_terms[] = {1686629713, -693598667, 85569259, -5026471, 169873};
static const int32_t f32_cos_terms[] = {1073741824, -1324675869, 272375233, -22398329, 970263};

/* The sine of x plus so many quadrants. */
FLOAT int32_t f32_sine(int32_t x, uint32_t more) {
    if (f32_field(x) == 255) return F32_NAN;
    if (!f32_size(x)) return more ? F32_ONE : x;
    uint32_t quadrant, negative;
    int32_t exponent;
    uint32_t rest = f32_reduce(x, &quadrant, &negative, &exponent), fraction = f32_down(rest, -exponent);
    int32_t z = (int32_t)f32_high(fraction, fraction);
    quadrant += more;
    uint32_t sign = (quadrant << 30 & F32_SIGN) ^ (more ? 0 : (uint32_t)x & F32_SIGN);
    if (quadrant & 1) return f32_normal(sign, 127, (uint32_t)f32_horner(f32_cos_terms, 4, z));
    return f32_product(sign ^ negative << 31, exponent + 253, rest, (uint32_t)f32_horner(f32_sin_terms, 4, z) << 1);
}

SMALL int32_t f32_sin(int32_t x) {
    return f32_sine(x, 0);
}

SMALL int32_t f32_cos(int32_t x) {
    return f32_sine(x, 1);
}

FLOAT int32_t f32_tan(int32_t x) {
    return f32_div(f32_sine(x, 0), f32_sine(x, 1));
}

static const int32_t f32_asin_terms[] = {1073741824, 178956874, 80536772, 47790863, 34206396, 15349414, 40455519};

SMALL uint32_t f32_asin_factor(int32_t x) {
    return (uint32_t)f32_horner(f32_asin_terms, 6, (int32_t)f32_square(x));
}

/* sqrt((1 - |x|) / 2), whose arc sine is half the angle between x and 1 or -1. */
SMALL int32_t f32_half_chord(int32_t x) {
    return f32_sqrt(f32_mul(f32_sub(F32_ONE, x & INT32_MAX), 0x3F000000));
}

FLOAT int32_t f32_asin(int32_t x) {
    if ((x & INT32_MAX) > F32_ONE) return F32_NAN;
    if ((x & INT32_MAX) <= 0x3F000000) return f32_grown(x, f32_asin_factor(x));
    int32_t chord = f32_half_chord(x);
    return f32_normal((uint32_t)x & F32_SIGN, 127, F32_HALF_PI - (f32_high(f32_fraction(chord), f32_asin_factor(chord)) << 1));
}

FLOAT int32_t f32_acos(int32_t x) {
    if ((x & INT32_MAX) > F32_ONE) return F32_NAN;
    int32_t near = (x & INT32_MAX) <= 0x3F000000, y = near ? x : f32_half_chord(x);
    uint32_t factor = f32_asin_factor(y), angle = f32_high(f32_fraction(y), factor);
    if (near) return f32_normal(0, 127, x < 0 ? F32_HALF_PI + angle : F32_HALF_PI - angle);
    return x < 0 ? f32_normal(0, 127, F32_PI - (angle << 1)) : f32_grown(y, factor << 1);
}

/* Of half the square; 29 bits after the point. */
static const int32_t f32_atan_terms[] = {536870911, -357913329,  429455397,  -612463027, 939080985,
                                         -1434471827, 1961582206, -2085764266, 1441411538, -467614067};

FLOAT int32_t f32_atan(int32_t x) {
    if (f32_is_nan(x)) return F32_NAN;
    int32_t size = x & INT32_MAX, y = size > F32_ONE ? f32_div(F32_ONE, size) : x;
    uint32_t factor = (uint32_t)f32_horner(f32_atan_terms, 9, (int32_t)(f32_square(y) >> 1)) << 1;
    if (size <= F32_ONE) return f32_grown(x, factor);
    return f32_normal((uint32_t)x & F32_SIGN, 127, F32_HALF_PI - f32_high(f32_fraction(y), factor));
}

/* For each sixteenth from 1 to 2: 256 / x, and the binary logarithm of x with 54 bits after the point. */
static const uint32_t f32_pow_inverses[] = {256, 234, 221, 210, 200, 191, 182, 174, 167, 161, 155, 149, 144, 139, 134, 128};
static const int64_t f32_pow_logs[] = {
    0ll, 2335301602312997ll, 3820807817963939ll, 5147695120633196ll,
    6415716524083434ll, 7612365490382864ll, 8866783499963650ll, 10035037858079914ll,
    11102196475055578ll, 12053129993611597ll, 13040183434678160ll, 14066209441143049ll,
    14953301816775868ll, 15871746626295443ll, 16823841495406617ll, 18014398509481984ll};
/* (log2(1 + z) / z - log2(e)) / z, of 8 z. */
static const int32_t f32_pow_terms[] = {-774541003, 64545084, -6051075, 605107, -63310, 6784};

/* The binary logarithm of a positive number times 2^*scale. */
SMALL int64_t f32_log2_wide(int32_t x, int32_t *scale) {
    int32_t exponent;
    uint32_t mantissa = f32_open(x, &exponent) >> 8, place = mantissa >> 19 & 15;
    int32_t z = (int32_t)((mantissa * f32_pow_inverses[place] - F32_SIGN) << 4);
    int64_t slope = 25380159564675ll + ((int64_t)z * f32_horner(f32_pow_terms, 5, z) >> 21);
    int64_t part = (int64_t)z * (int32_t)(slope >> 14) + ((int64_t)z * (int32_t)(slope & 0x3FFF) >> 14);
    int64_t base = (int64_t)((uint64_t)(int64_t)(exponent - 127) << 54) + f32_pow_logs[place];
    *scale = base ? 54 : 65;
    return base ? base + (part >> 11) : part;
}

/* x^y for a positive x other than 1 and a y other than 0, both finite. */
FLOAT int32_t f32_pow_positive(uint32_t sign, int32_t x, int32_t y) {
    int32_t scale, moved, exponent;
    int64_t logarithm = f32_log2_wide(x, &scale);
    uint32_t factor = f32_open(y, &exponent), negative = (uint32_t)(logarithm < 0) ^ (uint32_t)(y < 0);
    uint64_t size = logarithm < 0 ? 0 - (uint64_t)logarithm : (uint64_t)logarithm;
    uint32_t leading = f32_leading(size, &moved), after = (uint32_t)(size << -moved);
    uint64_t turns = (uint64_t)leading * factor + f32_high(after, factor);
    int32_t down = scale - moved + 94 - exponent;
    if (down < 21) return (int32_t)(negative ? sign : sign | F32_INFINITY);
    turns = down > 63 ? 0 : turns >> down;
    if (negative) turns = 0 - turns;
    return f32_pack(sign, (int32_t)(turns >> 32) + 127, f32_two_to((uint32_t)turns));
}

/* 0: y is no integer, 1: it is odd, 2: even. */
SMALL int32_t f32_parity(int32_t y) {
    int32_t down = 150 - f32_field(y);
    uint32_t mantissa = f32_top(y) >> 8;
    if (down < 0) return 2;
    if (down > 23 || (mantissa & (((uint32_t)1 << down) - 1))) return 0;
    return mantissa >> down & 1 ? 1 : 2;
}

FLOAT int32_t f32_pow(int32_t x, int32_t y) {
    if (!f32_size(y) || x == F32_ONE) return F32_ONE;
    if (f32_is_nan(x) || f32_is_nan(y)) return F32_NAN;
    int32_t size = x & INT32_MAX, parity = f32_parity(y);
    uint32_t sign = parity == 1 ? (uint32_t)x & F32_SIGN : 0;
    if (f32_field(y) == 255) return size == F32_ONE ? F32_ONE : (size > F32_ONE) == (y > 0) ? F32_INFINITY : 0;
    if (!size || size == F32_INFINITY) return (int32_t)(sign | (!size == (y < 0) ? F32_INFINITY : 0));
    if (x < 0 && !parity) return F32_NAN;
    return size == F32_ONE ? (int32_t)(sign | F32_ONE) : f32_pow_positive(sign, size, y);
}

#endif
