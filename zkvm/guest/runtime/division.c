/* Division of floats, for the compiler's calls of __divsf3 and __divdf3. Its own library cuts quotients that are subnormal instead of
 * rounding them. Linked only into programs that divide floats.
 *
 * A quotient of two mantissas in [1, 2) is made digit by digit, with the machine's division; what is left over decides the rounding. */
#include <stdint.h>

#define FROM(T, U, value) (((union { T from; U to; }){.from = (value)}).to)

/* The result from the sign, a mantissa whose top bit counts 1 and stands at `bits + extra`, and the exponent that belongs to it, biased;
 * rest: something is left below. Rounds half to even; beyond the greatest number it is infinity. */
#define ROUNDED(U, bits, maximum) \
    static U rounded_##U(U sign, U mantissa, int32_t exponent, unsigned extra, int rest) { \
        if (exponent >= maximum) return sign | (U)maximum << bits; \
        U whole = 0; \
        if (exponent >= 1) { \
            whole = (U)(exponent - 1) << bits; /* the top bit adds 1 */ \
        } else { \
            extra += (unsigned)(1 - exponent); \
            if (extra > bits + 6) return sign; /* less than half of the smallest */ \
        } \
        U low = mantissa & (((U)1 << extra) - 1), half = (U)1 << (extra - 1); \
        whole += mantissa >> extra; \
        if (low > half || (low == half && (rest || (whole & 1) != 0))) whole++; \
        return sign | whole; \
    }
ROUNDED(uint32_t, 23, 255)
ROUNDED(uint64_t, 52, 2047)

/* Where an exponent is not that of a normal number. Either the quotient follows from what the operands are: then 1, and the result. Or one
 * is subnormal: its mantissa moves up to where that of others is, and its exponent follows. Magnitudes a and b are without signs. */
#define UNUSUAL(U, bits, maximum, leading) \
    struct parts_##U { \
        U a, b; \
        int32_t up, down; \
    }; \
    static void normalize_##U(U *m, int32_t *exponent) { \
        if (*m >> bits != 0) return; \
        int32_t shift = leading(*m) - (int32_t)(8 * sizeof(U) - 1 - bits); \
        *m <<= shift; \
        *exponent = 1 - shift; \
    } \
    __attribute__((noinline)) static int unusual_##U(U left, U right, struct parts_##U *parts, U sign, U *result) { \
        const U infinity = (U)maximum << bits, quiet = (U)1 << (bits - 1), a = parts->a, b = parts->b; \
        if (a > infinity) return *result = left | quiet, 1; \
        if (b > infinity) return *result = right | quiet, 1; \
        if (a == infinity) return *result = b == infinity ? infinity | quiet : sign | infinity, 1; \
        if (b == infinity) return *result = sign, 1; \
        if (a == 0) return *result = b == 0 ? infinity | quiet : sign, 1; \
        if (b == 0) return *result = sign | infinity, 1; \
        normalize_##U(&parts->a, &parts->up); \
        normalize_##U(&parts->b, &parts->down); \
        return 0; \
    }
UNUSUAL(uint32_t, 23, 255, __builtin_clz)
UNUSUAL(uint64_t, 52, 2047, __builtin_clzll)

__attribute__((used)) float __divsf3(float x, float y) {
    const uint32_t left = FROM(float, uint32_t, x), right = FROM(float, uint32_t, y);
    const uint32_t sign = (left ^ right) & 0x80000000u;
    uint32_t a = left & 0x7fffffffu, b = right & 0x7fffffffu, result;
    int32_t up = (int32_t)(a >> 23), down = (int32_t)(b >> 23);
    if (__builtin_expect((uint32_t)up - 1 >= 254 || (uint32_t)down - 1 >= 254, 0)) {
        struct parts_uint32_t parts = {a, b, up, down}; /* apart from the variables, which stay in registers */
        if (unusual_uint32_t(left, right, &parts, sign, &result)) return FROM(uint32_t, float, result);
        a = parts.a, b = parts.b, up = parts.up, down = parts.down;
    }
    int32_t exponent = up - down + 127;
    a = (a & 0x7fffffu) | 1u << 23;
    b = (b & 0x7fffffu) | 1u << 23;
    if (a < b) {
        a <<= 1;
        exponent--;
    }
    uint32_t quotient = 1, rest = a - b;
    for (int i = 0; i < 3; i++) {
        rest <<= 8; /* below 2^32 */
        uint32_t digit = rest / b;
        rest -= digit * b;
        quotient = quotient << 8 | digit;
    }
    return FROM(uint32_t, float, rounded_uint32_t(sign, quotient, exponent, 1, rest != 0));
}

__attribute__((used)) double __divdf3(double x, double y) {
    const uint64_t left = FROM(double, uint64_t, x), right = FROM(double, uint64_t, y);
    const uint64_t sign = (left ^ right) & 1ull << 63, below = (1ull << 52) - 1;
    uint64_t a = left & ~(1ull << 63), b = right & ~(1ull << 63), result;
    int32_t up = (int32_t)(a >> 52), down = (int32_t)(b >> 52);
    if (__builtin_expect((uint32_t)up - 1 >= 2046 || (uint32_t)down - 1 >= 2046, 0)) {
        struct parts_uint64_t parts = {a, b, up, down}; /* apart from the variables, which stay in registers */
        if (unusual_uint64_t(left, right, &parts, sign, &result)) return FROM(uint64_t, double, result);
        a = parts.a, b = parts.b, up = parts.up, down = parts.down;
    }
    int32_t exponent = up - down + 1023;
    /* The top bit is 60. */
    a = ((a & below) | 1ull << 52) << 8;
    b = ((b & below) | 1ull << 52) << 8;
    if (a < b) {
        a <<= 1;
        exponent--;
    }
    uint64_t rest = a - b;
    uint32_t halves[2] = {1, 0};
    const uint32_t above = (uint32_t)(b >> 43) + 1;
    for (int i = 0; i < 4; i++) {
        /* A digit of 14 bits that is at most right, and at most two too small: what is left is below 3 b, hence below 2^63. */
        uint32_t digit = (uint32_t)(rest >> 29) / above;
        rest = (rest << 14) - digit * b;
        while (rest >= b) {
            rest -= b;
            digit++;
        }
        halves[i / 2] = halves[i / 2] << 14 | digit;
    }
    const uint64_t quotient = (uint64_t)halves[0] << 28 | halves[1];
    return FROM(uint64_t, double, rounded_uint64_t(sign, quotient, exponent, 4, rest != 0));
}
