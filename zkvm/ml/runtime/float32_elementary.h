/* Elementary functions of floats: fixed point inside, rounded once where that is possible. zkvm/ml/float32_elementary.py takes the same
 * steps. Polynomials are Horner's, in variables between -1/2 and 1/2 as words; their coefficients have 30 bits after the point, other
 * numbers are said beside them. */
#ifndef ZKVM_ML_FLOAT32_ELEMENTARY_H
#define ZKVM_ML_FLOAT32_ELEMENTARY_H

#include <float32.h>

#define F32_UNIT 0x40000000u
#define F32_HALF_PI 1686629713u
#define F32_PI 3373259426u
#define F32_LN2 0x3F317218
#define F32_LN2_WIDE 0x2C5C85FDF473DEll
#define F32_ROOT_OF_TWO 0xB504F334u

SMALL int32_t f32_horner(const int32_t *coefficients, int degree, int32_t z) {
    int32_t sum = coefficients[degree];
    UNROLL_ALL for (int i = degree - 1; i >= 0; i--) sum = coefficients[i] + multiply_high(sum, z);
    return sum;
}

SMALL uint32_t f32_top(int32_t x) {
    return (uint32_t)x << 8 | F32_SIGN;
}

SMALL uint32_t f32_down(uint32_t value, int32_t bits) {
    return (uint32_t)bits > 31u ? 0 : value >> bits;
}

/* A magnitude of at most 1 with 32 bits after the point. */
SMALL uint32_t f32_fraction(int32_t x) {
    int32_t field = f32_field(x);
    return field > 126 ? UINT32_MAX : f32_down(f32_top(x), 126 - field);
}

SMALL uint32_t f32_square(int32_t x) {
    uint32_t fraction = f32_fraction(x);
    return f32_high(fraction, fraction);
}

/* value * 2^(exponent - 157), of either sign. */
FLOAT int32_t f32_normal(uint32_t sign, int32_t exponent, uint32_t value) {
    if (!value) return (int32_t)sign;
    int32_t up = f32_zeros(value);
    value <<= up;
    return f32_pack(sign, exponent + 1 - up, value >> 1 | (value & 1));
}

/* x * factor / 2^30. */
FLOAT int32_t f32_grown(int32_t x, uint32_t factor) {
    if (!f32_size(x)) return x;
    int32_t exponent, up = 0;
    uint32_t mantissa = f32_open(x, &exponent);
    while ((int32_t)factor > 0) factor <<= 1, up++;
    return f32_product((uint32_t)x & F32_SIGN, exponent + 128 - up, mantissa, factor);
}

/* 2^(fraction / 2^32). */
SMALL uint32_t f32_two_to(uint32_t fraction) {
    uint32_t sum = 447061;
    sum = 2725622 + f32_high(sum, fraction);
    sum = 20727931 + f32_high(sum, fraction);
    sum = 119176803 + f32_high(sum, fraction);
    sum = 515883993 + f32_high(sum, fraction);
    sum = 1488522215 + f32_high(sum, fraction);
    return F32_UNIT + (f32_high(sum, fraction) >> 1);
}

/* e to the power of the magnitude of x times 2^more, or of its negative; the result is that times 2^(exponent - 30). */
FLOAT uint32_t f32_exponential(int32_t x, int32_t more, int32_t negative, int32_t *exponent) {
    uint32_t mantissa = f32_top(x);
    int32_t down = 157 - more - f32_field(x);
    uint64_t turns = (uint64_t)mantissa * 0xB8AA3B29u + f32_high(mantissa, 0x5C17F0BCu);
    turns = (uint32_t)down > 63u ? 0 : turns >> down;
    if (negative) turns = 0 - turns;
    *exponent = (int32_t)(turns >> 32);
    return f32_two_to((uint32_t)turns);
}

FLOAT int32_t f32_exp(int32_t x) {
    if (f32_is_nan(x)) return F32_NAN;
    if (f32_field(x) >= 135) return x < 0 ? 0 : F32_INFINITY;
    int32_t exponent;
    uint32_t power = f32_exponential(x, 0, x < 0, &exponent);
    return f32_pack(0, exponent + 127, power);
}

SMALL int32_t f32_signed_fraction(int32_t x) {
    int32_t fraction = (int32_t)f32_down(f32_top(x), 126 - f32_field(x));
    return x < 0 ? -fraction : fraction;
}

static const int32_t f32_expm1_terms[] = {1073741824, 536870912, 178956982, 44739244, 8947616, 1491285, 214528, 26779};

FLOAT int32_t f32_expm1(int32_t x) {
    if (f32_is_nan(x)) return F32_NAN;
    if (f32_field(x) < 126) return f32_grown(x, (uint32_t)f32_horner(f32_expm1_terms, 7, f32_signed_fraction(x)));
    if (f32_field(x) >= 135) return x < 0 ? (int32_t)(F32_ONE | F32_SIGN) : F32_INFINITY;
    int32_t exponent;
    uint32_t power = f32_exponential(x, 0, x < 0, &exponent);
    if (x < 0) return f32_normal(F32_SIGN, 127, F32_UNIT - f32_down(power, -exponent));
    return f32_normal(0, exponent + 127, power - f32_down(F32_UNIT, exponent));
}

static const int32_t f32_log_terms[] = {1073741825, -536870906, 357913612, -268436126, 214775591, -178955778,
                                        152603315,  -133367553, 128267891, -124775762, 70569826};

/* The logarithm of mantissa * 2^(exponent - 31), whose top bit is set. */
SMALL int32_t f32_log_of(uint32_t mantissa, int32_t exponent) {
    int32_t z = (int32_t)mantissa;
    if (mantissa >= F32_ROOT_OF_TWO) {
        exponent++;
    } else {
        z = (int32_t)(mantissa << 1);
    }
    return f32_scaled(((int64_t)z * f32_horner(f32_log_terms, 10, z) >> 8) + exponent * F32_LN2_WIDE, -54);
}

FLOAT int32_t f32_log(int32_t x) {
    if (!f32_size(x)) return (int32_t)(F32_INFINITY | F32_SIGN);
    if (f32_is_nan(x) || x < 0) return F32_NAN;
    if (x == F32_INFINITY) return x;
    int32_t exponent;
    uint32_t mantissa = f32_open(x, &exponent);
    return f32_log_of(mantissa, exponent - 127);
}

FLOAT int32_t f32_log1p(int32_t x) {
    uint32_t mantissa = f32_top(x), size = f32_size(x);
    if (size < (x < 0 ? 0x3E95F619u : 0x3ED413CCu) << 1)
        return f32_grown(x, (uint32_t)f32_horner(f32_log_terms, 10, f32_signed_fraction(x)));
    if (size > F32_SIZE_INFINITY) return F32_NAN;
    if (x == F32_INFINITY) return x;
    int32_t exponent = f32_field(x) - 127;
    if (x < 0) {
        if (size >= (uint32_t)F32_ONE << 1) return size > (uint32_t)F32_ONE << 1 ? F32_NAN : (int32_t)(F32_INFINITY | F32_SIGN);
        mantissa = 0 - f32_down(mantissa, -1 - exponent);
        int32_t up = f32_zeros(mantissa);
        return f32_log_of(mantissa << up, -1 - up);
    }
    if (exponent < 0) return f32_log_of(F32_SIGN + f32_down(mantissa, -exponent), 0);
    uint32_t sum = mantissa + f32_down(F32_SIGN, exponent);
    if (sum < mantissa) sum = sum >> 1 | F32_SIGN, exponent++;
    return f32_log_of(sum, exponent);
}

/* 2^61 / divisor, which is from 2^30 to 2^31: a line, then Newton's steps. */
SMALL uint32_t f32_inverse(uint32_t divisor) {
    uint32_t y = 3031741620u - f32_high(divisor, 4042322161u);
    UNROLL_ALL for (int i = 0; i < 3; i++) y = f32_high(y, (F32_UNIT - f32_high(divisor, y)) << 2) << 1;
    return y;
}

FLOAT int32_t f32_sigmoid(int32_t x) {
    if (f32_is_nan(x)) return F32_NAN;
    if (f32_field(x) >= 135) return x < 0 ? 0 : F32_ONE;
    int32_t exponent;
    uint32_t power = f32_exponential(x, 0, 1, &exponent);
    uint32_t inverse = f32_inverse(F32_UNIT + f32_down(power, -exponent));
    if (x >= 0) return f32_pack(0, 126, inverse);
    return f32_normal(0, exponent + 127, f32_high(power, inverse) << 1);
}

static const int32_t f32_tanh_terms[] = {1073741824, -357913842, 143160926, -57867409, 22842593, -7099596};

FLOAT int32_t f32_tanh(int32_t x) {
    uint32_t sign = (uint32_t)x & F32_SIGN;
    if (f32_is_nan(x)) return F32_NAN;
    if (f32_field(x) < 126) return f32_grown(x, (uint32_t)f32_horner(f32_tanh_terms, 5, (int32_t)f32_square(x)));
    if (f32_field(x) >= 131) return (int32_t)(F32_ONE | sign);
    int32_t exponent;
    uint32_t power = f32_exponential(x, 1, 1, &exponent);
    power = f32_down(power, -exponent);
    return f32_normal(sign, 127, f32_high((F32_UNIT - power) << 1, f32_inverse(F32_UNIT + power)));
}

/* Of the square, of x - 3/2, and of x - 3. */
static const int32_t f32_erf_terms[] = {1211587905, -807725261, 484634768, -230772293, 89696643, -29151078, 7741908, -1328628};
static const int32_t f32_erf_middle[] = {1037347502, 127700425, -191550619, 148983930, -47888315,
                                         -15965747,  20759251,  -5056888,   -2579330,  1670088};
static const int32_t f32_erf_far[] = {1073718104, 299043,    -1794009, 6778484,   -17954632, 34920909,
                                      -50504714,  53801528, -38810433, 6772100, 24348513,  -21156589};

FLOAT int32_t f32_erf(int32_t x) {
    uint32_t sign = (uint32_t)x & F32_SIGN;
    int32_t field = f32_field(x), z = (int32_t)(f32_top(x) << 1 ^ F32_SIGN);
    if (f32_is_nan(x)) return F32_NAN;
    if (field < 127) return f32_grown(x, (uint32_t)f32_horner(f32_erf_terms, 7, (int32_t)(f32_square(x) >> 1)));
    if (field >= 129) return (int32_t)(F32_ONE | sign);
    int32_t value = field == 127 ? f32_horner(f32_erf_middle, 9, z) : f32_horner(f32_erf_far, 11, z);
    return f32_normal(sign, 127, (uint32_t)value);
}

static const int32_t f32_sinh_terms[] = {1073741824, 357913936, 35791479, 1703875, 48430};

FLOAT int32_t f32_sinh(int32_t x) {
    uint32_t sign = (uint32_t)x & F32_SIGN;
    if (f32_is_nan(x)) return F32_NAN;
    if (f32_field(x) < 127) return f32_grown(x, (uint32_t)f32_horner(f32_sinh_terms, 4, (int32_t)(f32_square(x) >> 1)));
    if (f32_field(x) >= 135) return (int32_t)(F32_INFINITY | sign);
    int32_t up, down;
    uint32_t power = f32_exponential(x, 0, 0, &up), inverse = f32_exponential(x, 0, 1, &down);
    return f32_normal(sign, up + 126, power - f32_down(inverse, up - down));
}

FLOAT int32_t f32_cosh(int32_t x) {
    if (f32_is_nan(x)) return F32_NAN;
    if (f32_field(x) >= 135) return F32_INFINITY;
    int32_t up, down;
    uint32_t power = f32_exponential(x, 0, 0, &up), inverse = f32_exponential(x, 0, 1, &down);
    return f32_normal(0, up + 126, power + f32_down(inverse, up - down));
}

/* log(1 + e^x). */
FLOAT int32_t f32_softplus(int32_t x) {
    if (x < 0 || f32_is_nan(x)) return f32_log1p(f32_exp(x));
    return f32_add(x, f32_log1p(f32_exp(f32_neg(x))));
}

FLOAT int32_t f32_asinh(int32_t x) {
    uint32_t sign = (uint32_t)x & F32_SIGN;
    int32_t size = x & INT32_MAX, result;
    if (f32_is_nan(x)) return F32_NAN;
    if (f32_field(x) >= 140) {
        result = f32_add(f32_log(size), F32_LN2);
    } else {
        int32_t square = f32_mul(size, size), root = f32_sqrt(f32_add(F32_ONE, square));
        result = f32_log1p(f32_add(size, f32_div(square, f32_add(F32_ONE, root))));
    }
    return (int32_t)((uint32_t)result | sign);
}

FLOAT int32_t f32_acosh(int32_t x) {
    if (f32_is_nan(x) || x < F32_ONE) return F32_NAN;
    if (f32_field(x) >= 140) return f32_add(f32_log(x), F32_LN2);
    int32_t above = f32_sub(x, F32_ONE);
    return f32_log1p(f32_add(above, f32_sqrt(f32_mul(above, f32_add(x, F32_ONE)))));
}

FLOAT int32_t f32_atanh(int32_t x) {
    uint32_t sign = (uint32_t)x & F32_SIGN;
    int32_t size = x & INT32_MAX;
    if (size > F32_ONE) return F32_NAN;
    int32_t rest = f32_sub(F32_ONE, size), twice = f32_add(size, size);
    int32_t ratio = f32_div(size < 0x3F000000 ? f32_mul(twice, size) : twice, rest);
    if (size < 0x3F000000) ratio = f32_add(twice, ratio);
    return (int32_t)((uint32_t)f32_mul(0x3F000000, f32_log1p(ratio)) | sign);
}

#endif
