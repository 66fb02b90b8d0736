/* Floats as Python and numpy have them. Included by python.h, in its middle. */
#ifndef ZKVM_PYTHON_FLOATS_H
#define ZKVM_PYTHON_FLOATS_H

double fmod(double, double);
double floor(double);
double ceil(double);
double trunc(double);
double sqrt(double);
double exp(double);
double exp2(double);
double log(double);
double log2(double);
double log10(double);
double sin(double);
double cos(double);
double tan(double);
float fmodf(float, float);
float floorf(float);
float ceilf(float);
float truncf(float);
float sqrtf(float);
float expf(float);
float exp2f(float);
float logf(float);
float log2f(float);
float log10f(float);
float sinf(float);
float cosf(float);
float tanf(float);

/* Quotient and rest as Python and numpy have them: the rest has the sign of the divisor. */
#define PY_FLOAT_DIVISION(T, suffix) \
    PY_INLINE T py_float_mod_##T(T a, T b) { \
        if (b == 0) return a - a == 0 ? __builtin_nan##suffix("") : a - a; \
        T rest = fmod##suffix(a, b); \
        if (rest != 0) return (rest < 0) != (b < 0) ? rest + b : rest; \
        return __builtin_copysign##suffix(0, b); \
    } \
    PY_INLINE T py_float_floordiv_##T(T a, T b) { \
        if (b == 0) return a / b; \
        T rest = fmod##suffix(a, b), quotient = (a - rest) / b; \
        if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1; \
        if (quotient == 0) return __builtin_copysign##suffix(0, a / b); \
        T whole = floor##suffix(quotient); \
        return quotient - whole > (T)0.5 ? whole + 1 : whole; \
    }
PY_FLOAT_DIVISION(double, )
PY_FLOAT_DIVISION(float, f)

PY_INLINE double py_nonzero(double value, const char *where) {
    if (PY_RARE(value == 0)) py_zero_panic(where);
    return value;
}

/* The whole part of a float as an integer between two bounds, which floats have exactly. */
PY_INLINE int64_t py_whole(double value, double above, double below, const char *where) {
    if (PY_RARE(!(value > above && value < below))) py_range_panic(where);
    return (int64_t)value;
}

PY_INLINE uint64_t py_whole_uint64(double value, const char *where) {
    if (PY_RARE(!(value > -1 && value < 18446744073709551616.0))) py_range_panic(where);
    return (uint64_t)value;
}

/* To the nearest whole number, halves to even. */
PY_INLINE double py_rint(double value) {
    double large = 4503599627370496.0;
    if (!(value < large && value > -large)) return value;
    double shift = __builtin_copysign(large, value);
    volatile double sum = value + shift;
    return __builtin_copysign(sum - shift, value);
}

#endif
