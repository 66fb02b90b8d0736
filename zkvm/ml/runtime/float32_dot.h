/* Sums of products of floats: a block of numbers becomes integers with one exponent, products are summed exactly, and the sum is rounded
 * once. zkvm/ml/float32_dot.py says the same in Python. */
#ifndef ZKVM_ML_FLOAT32_DOT_H
#define ZKVM_ML_FLOAT32_DOT_H

#include <float32.h>

/* The field of a block that is all zeros. */
#define F32_LOWEST (-3000)

/* A finite number as an integer, cut towards 0: top - 31 is the field of numbers from 2^31 on. */
SMALL int32_t f32_aligned(int32_t x, int32_t top) {
    uint32_t size = f32_size(x), mantissa = (uint32_t)x << 8 | F32_SIGN;
    if (!size) return 0;
    int32_t field = (int32_t)(size >> 24);
    if (!field) mantissa ^= F32_SIGN, field = 1;
    if ((uint32_t)(top - field) > 31u) return 0;
    mantissa >>= (top - field) & 31;
    return x < 0 ? -(int32_t)mantissa : (int32_t)mantissa;
}

/* Of shifts, which may be anything, eleven bits count. */
SMALL int32_t f32_shift(const int32_t *shifts, int place) {
    return shifts ? (int32_t)((uint32_t)shifts[place] << 21) >> 21 : 0;
}

/* The largest field of the numbers other than 0, each with its group's shift; sets *special if there is a NaN or an infinity, which
 * do not count if skip is set. */
INLINE int32_t f32_largest(const int32_t *x, int groups, int count, int step, const int32_t *shifts, int skip, int32_t *special) {
    int32_t largest = F32_LOWEST;
    for (int group = 0; group < groups; group++) {
        uint32_t most = 0;
        UNROLL_FOUR for (int i = 0; i < count; i++) {
            uint32_t size = f32_size(x[(group * count + i) * step]);
            if (size > most && !(skip && size >= F32_SIZE_INFINITY)) most = size;
        }
        if (most >= F32_SIZE_INFINITY) *special = 1;
        int32_t field = (int32_t)(most >> 24);
        if (!most) continue;
        if (!field) field = 1;
        field += f32_shift(shifts, group);
        if (field > largest) largest = field;
    }
    return largest;
}

/* What follows is done again for blocks with NaN or infinities, which are 0 among the integers. */
static __attribute__((noinline, unused)) int32_t f32_align_rare(const int32_t *x, int groups, int count, int step,
                                                               const int32_t *shifts, int bits, int32_t *aligned, int aligned_step) {
    int32_t special = 0, largest = f32_largest(x, groups, count, step, shifts, 1, &special);
    for (int group = 0; group < groups; group++)
        for (int i = 0; i < count; i++) {
            int32_t word = x[(group * count + i) * step], top = largest - f32_shift(shifts, group) + 32 - bits;
            aligned[(group * count + i) * aligned_step] = f32_field(word) == 255 ? 0 : f32_aligned(word, top);
        }
    return largest - 126 - bits;
}

/* Integers of at most that many bits, 1 to 31, and an exponent: x[i] * 2^shifts[i / count] = aligned[i] * 2^exponent for groups * count
 * numbers; no shifts: 0. NaN and infinities become 0 and set *special, which otherwise stays. */
INLINE int32_t f32_align(const int32_t *x, int groups, int count, int step, const int32_t *shifts, int bits, int32_t *aligned,
                         int aligned_step, int32_t *special) {
    int32_t found = 0, largest = f32_largest(x, groups, count, step, shifts, 0, &found);
    if (found) {
        *special = 1;
        return f32_align_rare(x, groups, count, step, shifts, bits, aligned, aligned_step);
    }
    UNROLL_FOUR for (int group = 0; group < groups; group++) {
        int32_t top = largest - f32_shift(shifts, group) + 32 - bits;
        UNROLL_FOUR for (int i = 0; i < count; i++) {
            int place = group * count + i;
            aligned[place * aligned_step] = f32_aligned(x[place * step], top);
        }
    }
    return largest - 126 - bits;
}

/* Geometry as of struct linear; units: strides of the exponents of blocks of x over rows and positions, 0 or 1; relu: whether negative
 * results become 0. */
struct f32_linear {
    int planes, lines, columns, plane_step, line_step, column_step;
    int rows, positions, row_step, position_step, row_out, position_out, channel_out;
    int row_unit, position_unit;
    int relu;
};

/* Adds the bias, if there is one; without branches what is negative becomes 0, if it has to: a NaN has no sign. */
SMALL int32_t f32_finished(int32_t sum, const int32_t *bias, int relu) {
    int32_t result = bias ? f32_add(sum, *bias) : sum;
    return relu ? result & ~(result >> 31) : result;
}

/* Six instructions for a product of 64 bits and its sum, in program order like MULTIPLY_ADD. */
#define F32_MULTIPLY_ADD(low, high, left, right)                                                                         \
    do {                                                                                                                 \
        uint32_t product_, upper_;                                                                                       \
        __asm__ volatile("mul %2, %4, %5\n\tmulh %3, %4, %5\n\tadd %0, %0, %2\n\tsltu %2, %0, %2\n\tadd %1, %1, %3\n\t" \
                         "add %1, %1, %2"                                                                                \
                         : "+&r"(low), "+&r"(high), "=&r"(product_), "=&r"(upper_)                                       \
                         : "r"(left), "r"(right));                                                                       \
    } while (0)

#define F32_LINE_OF_TAPS(PRAGMA)                                                                                            \
    PRAGMA for (int c = 0; c < g.columns; c++) {                                                                            \
        int32_t values[4], factor;                                                                                          \
        UNROLL_ALL for (int p = 0; p < P; p++) LOAD(values[p], line[c * g.column_step + p * g.position_step]);              \
        UNROLL_ALL for (int j = 0; j < C; j++) {                                                                            \
            LOAD(factor, weight[c * C + j]);                                                                                \
            UNROLL_ALL for (int p = 0; p < P; p++) F32_MULTIPLY_ADD(low[j * P + p], high[j * P + p], values[p], factor); \
        }                                                                                                                   \
    }

INLINE void f32_taps(const struct f32_linear g, const int32_t *line, const int32_t *weight, uint32_t *low, uint32_t *high, int P, int C) {
    UNROLL_NOT for (int plane = 0; plane < g.planes; plane++) {
        UNROLL_NOT for (int row = 0; row < g.lines; row++) {
            OPAQUE(line);
            OPAQUE(weight);
            if (g.columns <= 8) {
                F32_LINE_OF_TAPS(UNROLL_ALL)
            } else {
                F32_LINE_OF_TAPS(UNROLL_FOUR)
            }
            line += g.line_step;
            weight += g.columns * C;
        }
        line += g.plane_step - g.lines * g.line_step;
    }
}

INLINE void f32_linear_block(const struct f32_linear g, const int32_t *aligned, const int32_t *units, const int32_t *weight,
                             const int32_t *exponents, const int32_t *bias, int32_t *y, int P, int C) {
    for (int row = 0; row < g.rows; row++)
        for (int first = 0; first < g.positions; first += P) {
            int start = first + P > g.positions ? g.positions - P : first;
            uint32_t low[8], high[8];
            UNROLL_ALL for (int i = 0; i < C * P; i++) low[i] = high[i] = 0;
            f32_taps(g, aligned + row * g.row_step + start * g.position_step, weight, low, high, P, C);
            int32_t *target = y + row * g.row_out + start * g.position_out;
            UNROLL_ALL for (int j = 0; j < C; j++)
                UNROLL_ALL for (int p = 0; p < P; p++) {
                    uint32_t unit = (uint32_t)units[row * g.row_unit + (start + p) * g.position_unit];
                    int64_t sum = (int64_t)((uint64_t)high[j * P + p] << 32 | low[j * P + p]);
                    int32_t result = f32_scaled(sum, (int32_t)(unit + (uint32_t)exponents[j]));
                    target[j * g.channel_out + p * g.position_out] = f32_finished(result, bias ? bias + j : bias, g.relu);
                }
        }
}

/* y[channel, position] = bias[channel] + sum over taps of aligned[position, tap] * weight[channel, tap] * 2^(unit + exponent). Weights
 * lie as those of linear(): by block of C channels, then tap, then channel. C * P is at most 8, P at most 4 and the positions. */
INLINE void f32_linear(const struct f32_linear g, const int32_t *aligned, const int32_t *units, const int32_t *weight,
                       const int32_t *exponents, const int32_t *bias, int32_t *y, int channels, int P, int C) {
    const int taps = g.planes * g.lines * g.columns, whole = channels / C * C;
    for (int j = 0; j < whole; j += C)
        f32_linear_block(g, aligned, units, weight + j * taps, exponents + j, bias ? bias + j : bias, y + j * g.channel_out, P, C);
    if (whole < channels)
        f32_linear_block(g, aligned, units, weight + whole * taps, exponents + whole, bias ? bias + whole : bias,
                         y + whole * g.channel_out, P, channels - whole);
}

/* The sum of the products with a NaN or an infinity; *found says whether there are any. */
static __attribute__((noinline, unused)) int32_t f32_special_sum(const struct f32_linear *g, const int32_t *x, const int32_t *weight,
                                                                int weight_step, int floats, int32_t *found) {
    int32_t sum = 0;
    for (int plane = 0; plane < g->planes; plane++)
        for (int row = 0; row < g->lines; row++)
            for (int c = 0; c < g->columns; c++, weight += weight_step) {
                int32_t value = x[plane * g->plane_step + row * g->line_step + c * g->column_step], factor = *weight;
                if (f32_field(value) != 255 && !(floats && f32_field(factor) == 255)) continue;
                *found = 1;
                sum = f32_add(sum, f32_mul(value, floats ? factor : f32_from_i32(factor)));
            }
    return sum;
}

/* Puts right the results of f32_linear whose sums hold NaN or infinities. Here x and, if floats is set, the weights are the floats that
 * were aligned; else weights are the integers, which are 0 only for 0. C: of the blocks in which weights lie; all channels if they lie
 * in rows, one for each tap. */
static __attribute__((noinline, unused)) void f32_linear_special(const struct f32_linear *g, const int32_t *x, const int32_t *weight,
                                                                int floats, const int32_t *bias, int32_t *y, int channels, int C) {
    const int taps = g->planes * g->lines * g->columns;
    for (int j = 0; j < channels; j++) {
        int block = j / C * C, width = block + C > channels ? channels - block : C;
        for (int row = 0; row < g->rows; row++)
            for (int position = 0; position < g->positions; position++) {
                int32_t found = 0;
                int32_t sum = f32_special_sum(g, x + row * g->row_step + position * g->position_step,
                                              weight + block * taps + (j - block), width, floats, &found);
                if (!found) continue;
                int32_t *target = y + row * g->row_out + position * g->position_out + j * g->channel_out;
                *target = f32_finished(sum, bias ? bias + j : bias, g->relu);
            }
    }
}

/* The sum of numbers, rounded once: integers of 30 bits. */
FLOAT int32_t f32_sum(const int32_t *x, int count, int step) {
    int32_t special = 0, sum = 0, largest = f32_largest(x, 1, count, step, 0, 0, &special);
    if (special) {
        for (int i = 0; i < count; i++)
            if (f32_field(x[i * step]) == 255) sum = f32_add(sum, x[i * step]);
        return sum;
    }
    int64_t total = 0;
    UNROLL_FOUR for (int i = 0; i < count; i++) total += f32_aligned(x[i * step], largest + 2);
    return f32_scaled(total, largest - 156);
}

#endif
