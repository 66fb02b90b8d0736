/* Integer runtime of compiled models. Every function has fixed integer semantics, written down in zkvm/ml/operators: a body can be
 * replaced (by a precompile, say) and no compiled model changes its answers.
 *
 * All tensors are arrays of 32-bit words. Shapes and strides are compile-time constants at every call, so the functions are inlined
 * and specialised; loops that hold accumulators are unrolled, because pointers and counters cost as much as products here. */
#ifndef ZKVM_ML_INTEGER_H
#define ZKVM_ML_INTEGER_H

#include <zkvm.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL_ALL _Pragma("clang loop unroll(full)")
#define UNROLL_FOUR _Pragma("clang loop unroll_count(4)")

INLINE int32_t clamp(int32_t value, int32_t lo, int32_t hi) {
    if (value < lo) return lo;
    return value > hi ? hi : value;
}

INLINE int32_t clamp64(int64_t value, int32_t lo, int32_t hi) {
    if (value < lo) return lo;
    return value > hi ? hi : (int32_t)value;
}

INLINE int32_t multiply_high(int32_t left, int32_t right) {
    return (int32_t)(((int64_t)left * right) >> 32);
}

/* floor(((value << left) * multiplier + 2^(shift - 1)) / 2^shift), cut to [lo, hi]. From shift 33 on only the upper word of the
 * product matters: the floors nest. The caller knows that value << left does not overflow. */
INLINE int32_t requantize(int32_t value, int32_t multiplier, int left, int shift, int32_t lo, int32_t hi) {
    if (shift >= 33) {
        int32_t high = multiply_high((int32_t)((uint32_t)value << left), multiplier);
        return clamp((high + ((int32_t)1 << (shift - 33))) >> (shift - 32), lo, hi);
    }
    return clamp64(((int64_t)value * multiplier + ((int64_t)1 << (shift - 1))) >> shift, lo, hi);
}

/* Geometry of a linear layer: taps (plane, line, column) in x, positions (row, position) in x and y, channels in y. */
struct linear {
    int planes, lines, columns, plane_step, line_step, column_step;
    int rows, positions, row_step, position_step, row_out, position_out, channel_out;
    int left, shift, lo, hi;
    int many; /* one multiplier per channel, or a single one */
};

/* Loads and multiply-accumulates stay in program order: a compiler that hides their latency, which costs nothing here, runs out of
 * registers, and every spilled one costs two instructions. */
#define LOAD(target, source) __asm__ volatile("lw %0, %1" : "=r"(target) : "m"(source))
#define MULTIPLY_ADD(sum, left, right)                                                                               \
    do {                                                                                                             \
        int32_t product_;                                                                                            \
        __asm__ volatile("mul %1, %2, %3\n\tadd %0, %0, %1" : "+r"(sum), "=&r"(product_) : "r"(left), "r"(right)); \
    } while (0)

/* acc[channel][position] += sum of x * w over one line of taps, C channels and P positions at once. */
#define LINE_OF_TAPS(PRAGMA)                                                                                           \
    PRAGMA for (int c = 0; c < g.columns; c++) {                                                                       \
        int32_t values[4], factor;                                                                                     \
        UNROLL_ALL for (int p = 0; p < P; p++) LOAD(values[p], line[c * g.column_step + p * g.position_step]);         \
        UNROLL_ALL for (int j = 0; j < C; j++) {                                                                       \
            LOAD(factor, weight[c * C + j]);                                                                           \
            UNROLL_ALL for (int p = 0; p < P; p++) MULTIPLY_ADD(acc[j * P + p], values[p], factor);                    \
        }                                                                                                              \
    }

/* Hides how a pointer came about, so that the compiler keeps one of it and not one for every line of an unrolled loop. */
#define OPAQUE(pointer) __asm__("" : "+r"(pointer))
#define UNROLL_NOT _Pragma("clang loop unroll(disable)")

INLINE void linear_taps(const struct linear g, const int32_t *line, const int32_t *weight, int32_t *acc, int P, int C) {
    UNROLL_NOT for (int plane = 0; plane < g.planes; plane++) {
        UNROLL_NOT for (int row = 0; row < g.lines; row++) {
            OPAQUE(line);
            OPAQUE(weight);
            if (g.columns <= 8) {
                LINE_OF_TAPS(UNROLL_ALL)
            } else {
                LINE_OF_TAPS(UNROLL_FOUR)
            }
            line += g.line_step;
            weight += g.columns * C;
        }
        line += g.plane_step - g.lines * g.line_step;
    }
}

/* C channels of a linear layer at all positions, P at a time; the last P positions may be computed twice. */
INLINE void linear_block(const struct linear g, const int32_t *x, const int32_t *weight, const int32_t *bias,
                         const int32_t *multiplier, int32_t *y, int P, int C) {
    for (int row = 0; row < g.rows; row++)
        for (int first = 0; first < g.positions; first += P) {
            int start = first + P > g.positions ? g.positions - P : first;
            int32_t acc[18];
            UNROLL_ALL for (int j = 0; j < C; j++)
                UNROLL_ALL for (int p = 0; p < P; p++) acc[j * P + p] = bias[j];
            linear_taps(g, x + row * g.row_step + start * g.position_step, weight, acc, P, C);
            int32_t *target = y + row * g.row_out + start * g.position_out;
            UNROLL_ALL for (int j = 0; j < C; j++)
                UNROLL_ALL for (int p = 0; p < P; p++)
                    target[j * g.channel_out + p * g.position_out] =
                        requantize(acc[j * P + p], multiplier[g.many ? j : 0], g.left, g.shift, g.lo, g.hi);
        }
}

/* All channels, C at a time; weights are ordered by block of channels, then tap, then channel. */
INLINE void linear(const struct linear g, const int32_t *x, const int32_t *weight, const int32_t *bias, const int32_t *multiplier,
                   int32_t *y, int channels, int P, int C) {
    const int taps = g.planes * g.lines * g.columns, whole = channels / C * C;
    for (int j = 0; j < whole; j += C)
        linear_block(g, x, weight + j * taps, bias + j, multiplier + (g.many ? j : 0), y + j * g.channel_out, P, C);
    if (whole < channels)
        linear_block(g, x, weight + whole * taps, bias + whole, multiplier + (g.many ? whole : 0), y + whole * g.channel_out, P,
                     channels - whole);
}

/* One column of a matrix product with a 64-bit accumulator: both factors are activations, whose sums have no tight bound. */
INLINE int64_t inner_product(const int32_t *left, const int32_t *right, int depth, int right_step) {
    int64_t sum = 0;
    UNROLL_FOUR for (int k = 0; k < depth; k++) sum += (int64_t)left[k] * right[k * right_step];
    return sum;
}

INLINE int32_t inner_product_narrow(const int32_t *left, const int32_t *right, int depth, int right_step) {
    int32_t sum = 0;
    UNROLL_FOUR for (int k = 0; k < depth; k++) sum += left[k] * right[k * right_step];
    return sum;
}

/* Piecewise linear function: entries `step` apart in steps of 2^bits; x is cut to [lo, hi] first. */
INLINE int32_t interpolate(const int32_t *table, int32_t x, int32_t lo, int32_t hi, int bits) {
    int32_t offset = clamp(x, lo, hi) - lo;
    const int32_t *entry = table + (offset >> bits);
    if (bits == 0) return entry[0];
    int32_t part = offset & ((1 << bits) - 1);
    return entry[0] + (((entry[1] - entry[0]) * part + (1 << (bits - 1))) >> bits);
}

/* round(numerator / denominator), half up; the denominator is positive. */
INLINE int32_t divide_round(int32_t numerator, int32_t denominator) {
    int32_t quotient = numerator / denominator, rest = numerator % denominator;
    if (rest < 0) {
        rest += denominator;
        quotient -= 1;
    }
    return quotient + (rest >= denominator - rest);
}

/* value * multiplier / (divisor * 2^shift), rounded half up, cut to [lo, hi]; the caller knows that both products fit a word.
 * Division by 0 gives the bound on the value's side; 0 / 0 is 0. */
INLINE int32_t divide(int32_t value, int32_t divisor, int32_t multiplier, int shift, int32_t lo, int32_t hi) {
    if (divisor == 0) return value < 0 ? lo : value > 0 ? hi : 0;
    int32_t numerator = value * multiplier, denominator = divisor * (1 << shift);
    if (denominator < 0) {
        numerator = -numerator;
        denominator = -denominator;
    }
    return clamp(divide_round(numerator, denominator), lo, hi);
}

/* y[i] = round(e[i] * units / sum of e), e[i] = table(largest x - x[i]). */
INLINE void softmax(const int32_t *x, int32_t *y, int length, const int32_t *table, int32_t reach, int bits, int32_t units, int32_t hi) {
    int32_t largest = x[0], sum = 0;
    for (int i = 1; i < length; i++)
        if (x[i] > largest) largest = x[i];
    for (int i = 0; i < length; i++) {
        y[i] = interpolate(table, largest - x[i], 0, reach, bits);
        sum += y[i];
    }
    for (int i = 0; i < length; i++) {
        int32_t result = divide_round(y[i] * units, sum);
        y[i] = result > hi ? hi : result;
    }
}

/* Adds the leaves that x reaches to y. A node: feature, threshold, next if x[feature] <= threshold, next if not; a leaf: -1, first row of
 * leaves, 0, number of rows. A row of leaves: output, weight. */
INLINE void trees(const int32_t *x, const int32_t *nodes, const int32_t *roots, int count, const int32_t *leaves, int32_t *y) {
    for (int t = 0; t < count; t++) {
        const int32_t *node = nodes + 4 * roots[t];
        while (node[0] >= 0) node = nodes + 4 * (x[node[0]] <= node[1] ? node[2] : node[3]);
        for (int i = 0; i < node[3]; i++) y[leaves[2 * (node[1] + i)]] += leaves[2 * (node[1] + i) + 1];
    }
}

/* floor(sqrt(value)). */
static uint32_t square_root(uint64_t value) {
    uint64_t rest = value, root = 0, bit = (uint64_t)1 << 62;
    while (bit > value) bit >>= 2;
    for (; bit; bit >>= 2) {
        if (rest >= root + bit) {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint32_t)root;
}

/* floor(2^30 / d), d = floor(sqrt(floor(sum of c^2 / n) + epsilon)) but at least 1, c = n x - sum. */
INLINE int32_t normalizer(const int32_t *x, int length, int32_t sum, uint64_t epsilon) {
    uint64_t squares = 0;
    for (int i = 0; i < length; i++) {
        int32_t centred = x[i] * length - sum;
        squares += (uint64_t)((int64_t)centred * centred);
    }
    uint32_t deviation = square_root(squares / (uint32_t)length + epsilon);
    return (int32_t)(((uint32_t)1 << 30) / (deviation ? deviation : 1));
}

#endif
