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

/* Whether a layer's result is a limit that follows from data, and so may have been cut. It is looked at after every layer. */
static int32_t saturated;

#define GUARDED_LOW 1
#define GUARDED_HIGH 2
#define SATURATED_EXIT 3

/* A result that needs no cut takes the same instructions with and without a guard. */
#define CLAMP(value, lo, hi, guard)                                          \
    do {                                                                     \
        if ((guard) & GUARDED_LOW ? (value) <= (lo) : (value) < (lo)) {      \
            if ((guard) & GUARDED_LOW) saturated = 1;                        \
            return lo;                                                       \
        }                                                                    \
        if ((guard) & GUARDED_HIGH ? (value) >= (hi) : (value) > (hi)) {     \
            if ((guard) & GUARDED_HIGH) saturated = 1;                       \
            return hi;                                                       \
        }                                                                    \
        return (int32_t)(value);                                             \
    } while (0)

INLINE int32_t clamp(int32_t value, int32_t lo, int32_t hi, int guard) {
    CLAMP(value, lo, hi, guard);
}

/* The same for results that were cut elsewhere, or by those whose steps nobody may count. */
INLINE void watch(const int32_t *results, int count, int32_t low, int32_t high) {
    int32_t found = 0;
    UNROLL_FOUR for (int i = 0; i < count; i++) found |= (results[i] == low) | (results[i] == high);
    saturated |= found;
}

/* The same of a tensor call, which counts what it cuts, in a run that then ends: a branch on equality. It takes no comparison and no logic,
 * whose tables many such models have no other use for; the optimizer must see neither that the branch could be one, nor what it stores. */
INLINE void watch_count(uint32_t cuts) {
    if (cuts != 0) {
        int32_t found = 1;
        __asm__ volatile("" : "+r"(found));
        saturated = found;
    }
}

/* Ends a run whose answer would rest on a saturated value; the message names the layer. */
_Noreturn static __attribute__((unused)) void saturation(const char *layer) {
    zkvm_printf("a value is beyond what calibration expected, and would be cut: layer %s\n", layer);
    zkvm_exit(SATURATED_EXIT);
}

/* How many instructions the following ones take does not depend on their arguments. The optimizer would turn the masks back into
 * branches if it saw where they come from. */
INLINE int32_t choose(int32_t condition, int32_t yes, int32_t no) {
    uint32_t mask = 0u - (uint32_t)condition;
    __asm__("" : "+r"(mask));
    return (int32_t)((uint32_t)no ^ (((uint32_t)yes ^ (uint32_t)no) & mask));
}

INLINE int32_t bounded(int32_t value, int32_t lo, int32_t hi) {
    value = choose(value < lo, lo, value);
    return choose(value > hi, hi, value);
}

INLINE int32_t bounded64(int64_t value, int32_t lo, int32_t hi) {
    int32_t high = (int32_t)(value >> 32), word = (int32_t)value;
    return bounded(choose(high == word >> 31, word, INT32_MAX ^ (high >> 31)), lo, hi);
}

INLINE int32_t clamp64(int64_t value, int32_t lo, int32_t hi, int guard) {
    CLAMP(value, lo, hi, guard);
}

INLINE int32_t multiply_high(int32_t left, int32_t right) {
    return (int32_t)(((int64_t)left * right) >> 32);
}

/* floor(((value << left) * multiplier + 2^(shift - 1)) / 2^shift), cut to [lo, hi]. From shift 33 on only the upper word of the
 * product matters: the floors nest. The caller knows that value << left does not overflow. */
INLINE int32_t requantize(int32_t value, int32_t multiplier, int left, int shift, int32_t lo, int32_t hi, int guard) {
    if (shift >= 33) {
        int32_t high = multiply_high((int32_t)((uint32_t)value << left), multiplier);
        return clamp((high + ((int32_t)1 << (shift - 33))) >> (shift - 32), lo, hi, guard);
    }
    return clamp64(((int64_t)value * multiplier + ((int64_t)1 << (shift - 1))) >> shift, lo, hi, guard);
}

/* The same with numbers that nobody may know, so that they are no part of the program: one path for all of them. The shift to the left
 * makes the other one at least 33, and what it would push out of the word is cut first. */
INLINE int32_t requantize_secret(int32_t value, int32_t multiplier, int32_t left, int32_t shift, int32_t lo, int32_t hi) {
    int32_t limit = INT32_MAX >> (left & 31);
    uint32_t high = (uint32_t)multiply_high((int32_t)((uint32_t)bounded(value, -limit, limit) << (left & 31)), multiplier);
    return bounded((int32_t)(high + ((uint32_t)1 << ((shift - 33) & 31))) >> ((shift - 32) & 31), lo, hi);
}

#define ROUND_FLOOR 0
#define ROUND_CEIL 1
#define ROUND_TRUNCATE 2
#define ROUND_ROUND 3

/* value * multiplier / 2^(shift - left) as an integer, likewise; the multiplier is positive. */
INLINE int32_t round_secret(int32_t value, int32_t multiplier, int32_t left, int32_t shift, int mode) {
    int32_t limit = INT32_MAX >> (left & 31);
    int64_t product = (int64_t)(int32_t)((uint32_t)bounded(value, -limit, limit) << (left & 31)) * multiplier;
    int32_t high = (int32_t)(product >> 32), whole = high >> ((shift - 32) & 31);
    uint32_t rest = (uint32_t)product, half = (uint32_t)1 << ((shift - 33) & 31);
    uint32_t fraction = (uint32_t)high & (((uint32_t)1 << ((shift - 32) & 31)) - 1);
    int32_t inexact = (fraction | rest) != 0;
    if (mode == ROUND_FLOOR) return whole;
    if (mode == ROUND_CEIL) return whole + inexact;
    if (mode == ROUND_TRUNCATE) return whole + (inexact & (value < 0));
    int32_t nearest = (int32_t)((uint32_t)high + half) >> ((shift - 32) & 31);
    return nearest - ((rest == 0) & (fraction == half) & nearest & 1);
}

/* Geometry of a linear layer: taps (plane, line, column) in x, positions (row, position) in x and y, channels in y. */
struct linear {
    int planes, lines, columns, plane_step, line_step, column_step;
    int rows, positions, row_step, position_step, row_out, position_out, channel_out;
    int left, shift, lo, hi;
    int guard;  /* which limits count as saturation */
    int many;   /* one multiplier per channel, or a single one */
    int secret; /* whether nobody may know the numbers of its rescaling */
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
                        g.secret ? requantize_secret(acc[j * P + p], multiplier[g.many ? j : 0], g.left, g.shift, g.lo, g.hi)
                                 : requantize(acc[j * P + p], multiplier[g.many ? j : 0], g.left, g.shift, g.lo, g.hi, g.guard);
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

/* Value of a table of entries in steps of 2^bits at an offset from its first one. */
INLINE int32_t entry_at(const int32_t *table, int32_t offset, int bits) {
    const int32_t *entry = table + (offset >> bits);
    if (bits == 0) return entry[0];
    int32_t part = offset & ((1 << bits) - 1);
    return entry[0] + (((entry[1] - entry[0]) * part + (1 << (bits - 1))) >> bits);
}

/* Piecewise linear function: entries in steps of 2^bits from lo on; x is cut to [lo, hi] first. */
INLINE int32_t interpolate(const int32_t *table, int32_t x, int32_t lo, int32_t hi, int bits) {
    return entry_at(table, clamp(x, lo, hi, 0) - lo, bits);
}

/* An entry of a table of all integers if there is one at this place, else the coarse result. */
INLINE int32_t finer(const int32_t *table, int32_t count, int32_t place, int32_t coarse) {
    uint32_t inside = 0u - (uint32_t)((uint32_t)place < (uint32_t)count);
    __asm__("" : "+r"(inside));
    return (int32_t)((uint32_t)coarse ^ (((uint32_t)table[(uint32_t)place & inside] ^ (uint32_t)coarse) & inside));
}

/* What the machine's instructions give, also where C leaves it open: -1 and the dividend for 0, no trap for the smallest over -1. */
INLINE int32_t machine_quotient(int32_t left, int32_t right) {
    int32_t result;
    __asm__("div %0, %1, %2" : "=r"(result) : "r"(left), "r"(right));
    return result;
}

INLINE int32_t machine_remainder(int32_t left, int32_t right) {
    int32_t result;
    __asm__("rem %0, %1, %2" : "=r"(result) : "r"(left), "r"(right));
    return result;
}

/* round(numerator / denominator), half up; the denominator is positive. */
INLINE int32_t divide_round(int32_t numerator, int32_t denominator) {
    int32_t quotient = machine_quotient(numerator, denominator), rest = machine_remainder(numerator, denominator);
    int32_t negative = rest >> 31;
    rest += negative & denominator;
    return quotient + negative + (rest >= denominator - rest);
}

/* value * multiplier / (divisor * 2^shift), rounded half up, cut to [lo, hi]; the caller knows that both products fit a word.
 * Division by 0 gives the bound on the value's side; 0 / 0 is 0. */
INLINE int32_t divide(int32_t value, int32_t divisor, int32_t multiplier, int shift, int32_t lo, int32_t hi) {
    uint32_t sign = (uint32_t)(divisor >> 31);
    int32_t numerator = (int32_t)((((uint32_t)value * (uint32_t)multiplier) ^ sign) - sign);
    int32_t denominator = (int32_t)((((uint32_t)divisor << shift) ^ sign) - sign);
    int32_t result = bounded(divide_round(numerator, denominator), lo, hi);
    int32_t edge = choose(value < 0, lo, choose(value > 0, hi, 0));
    return choose(divisor == 0, edge, result);
}

/* y[i] = largest x - x[i]. */
INLINE void differences(const int32_t *x, int32_t *y, int length) {
    int32_t largest = x[0];
    for (int i = 1; i < length; i++) largest = choose(x[i] > largest, x[i], largest);
    for (int i = 0; i < length; i++) y[i] = largest - x[i];
}

/* Elements that were cut to the floor, and lie less than `reach` below the largest of their row, should not have been. */
INLINE void watch_floor(const int32_t *x, const int32_t *y, int length, int32_t floor, int32_t reach) {
    for (int i = 0; i < length; i++) saturated |= (x[i] == floor) & (y[i] < reach);
}

/* y[i] = round(e[i] * units / sum of e), e[i] = table(y[i]). */
INLINE void softmax(int32_t *y, int length, const int32_t *table, int32_t reach, int bits, int32_t units, int32_t hi) {
    int32_t sum = 0;
    for (int i = 0; i < length; i++) {
        y[i] = entry_at(table, bounded(y[i], 0, reach), bits);
        sum += y[i];
    }
    for (int i = 0; i < length; i++) {
        int32_t result = divide_round(y[i] * units, sum);
        y[i] = choose(result > hi, hi, result);
    }
}

/* How many features, nodes, trees, steps of every walk, rows of leaves, rows of each leaf, and outputs; whether the words are private. */
struct trees {
    uint32_t features, nodes;
    int trees, depth;
    uint32_t rows;
    int per_leaf;
    uint32_t outputs;
    int secret;
};

#define TREES_CHECK(place, count) \
    if (g.secret && (uint32_t)(place) >= (count)) zkvm_panic("a private word points outside its trees")

/* Adds the leaves that x reaches to y. A node: feature, threshold, next if x[feature] <= threshold, next if not; a leaf leads to itself
 * and has the place of its first row instead of a threshold. A row of leaves: output, weight. */
INLINE void trees(const struct trees g, const int32_t *x, const int32_t *nodes, const int32_t *roots, const int32_t *leaves, uint64_t *y) {
    for (int t = 0; t < g.trees; t++) {
        int32_t place = roots[t];
        TREES_CHECK(place, g.nodes);
        for (int step = 0; step < g.depth; step++) {
            const int32_t *node = nodes + 4 * place;
            TREES_CHECK(node[0], g.features);
            place = choose(x[node[0]] <= node[1], node[2], node[3]);
            TREES_CHECK(place, g.nodes);
        }
        int32_t first = nodes[4 * place + 1];
        TREES_CHECK(first, g.rows - (uint32_t)g.per_leaf + 1);
        for (int i = 0; i < g.per_leaf; i++) {
            const int32_t *row = leaves + 2 * (first + i);
            TREES_CHECK(row[0], g.outputs);
            y[row[0]] += (uint64_t)(int64_t)row[1];
        }
    }
}

/* floor(sqrt(value)), which has at most so many binary digits. */
INLINE uint32_t square_root(uint64_t value, int digits) {
    uint64_t rest = value, root = 0, bit = (uint64_t)1 << (2 * digits - 2);
    UNROLL_NOT for (int i = 0; i < digits; i++, bit >>= 2) {
        uint64_t trial = root + bit;
        uint32_t high = (uint32_t)(rest >> 32), least = (uint32_t)(trial >> 32);
        uint32_t fits = 0u - (uint32_t)((high > least) | ((high == least) & ((uint32_t)rest >= (uint32_t)trial)));
        __asm__("" : "+r"(fits));
        uint64_t mask = (uint64_t)fits << 32 | fits;
        rest -= trial & mask;
        root = (root >> 1) + (bit & mask);
    }
    return (uint32_t)root;
}

/* value / divisor, which is below 2^16: digit by digit, because the library's division takes as long as the value is. */
INLINE uint64_t divide_wide(uint64_t value, uint32_t divisor) {
    uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value;
    uint32_t middle = (high % divisor) << 16 | low >> 16, last = (middle % divisor) << 16 | (low & 0xFFFF);
    return ((uint64_t)(high / divisor) << 32) + ((uint64_t)(middle / divisor) << 16) + last / divisor;
}

/* floor(2^30 / d), d = floor(sqrt(floor(sum of c^2 / n) + epsilon)) but at least 1, c = n x - sum. */
INLINE int32_t normalizer(const int32_t *x, int length, int32_t sum, uint64_t epsilon, int digits) {
    uint64_t squares = 0;
    for (int i = 0; i < length; i++) {
        int32_t centred = x[i] * length - sum;
        squares += (uint64_t)((int64_t)centred * centred);
    }
    uint32_t deviation = square_root(divide_wide(squares, (uint32_t)length) + epsilon, digits);
    return (int32_t)(((uint32_t)1 << 30) / (deviation + (deviation == 0)));
}

#endif
