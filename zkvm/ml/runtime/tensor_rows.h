/* What instructions compute for rows of tensors. zkvm/ml/operations/tensor_rows.py says the same in numpy.
 *
 * It takes as many instructions whatever the numbers are, and no comparisons, logic or products: a receipt opens every column of every
 * table that is there, and these tables have 123. `kept` hides a number's source, in which the optimizer would see a comparison. */
#ifndef ZKVM_ML_TENSOR_ROWS_H
#define ZKVM_ML_TENSOR_ROWS_H

#include "integer.h"

#define FULL_SUM 32767
#define SUM_BITS 15

INLINE uint32_t kept(uint32_t number) {
    __asm__("" : "+r"(number));
    return number;
}

/* 0 of 0, and 1 of a number from 1 to 2^bits. */
INLINE uint32_t any_of(uint32_t number, uint32_t bits) {
    return kept(number + (((uint32_t)1 << bits) - 1)) >> bits;
}

/* floor(sqrt(value)) of a value from 1 on, by Newton's method from a power of two above the root, at most twice as large: four steps from
 * above leave less than one too much. */
INLINE uint32_t root_of_word(uint32_t value) {
    uint32_t rest = value, even = 0;
    UNROLL_FOUR for (uint32_t bits = 16; bits != 1; bits >>= 1) {
        uint32_t shift = kept(any_of(rest >> bits, bits)) * bits;
        rest >>= shift;
        even += shift;
    }
    uint32_t root = (uint32_t)2 << (kept(even) >> 1);
    UNROLL_FOUR for (int step = 0; step < 4; step++) root = (root + value / root) >> 1;
    return root - (kept(value / root - root) >> 31);
}

/* Which of a row's sums counts, which are `step` apart: the first that was not cut. Each is a fraction of the one before, so those that
 * were cut come first. */
INLINE uint32_t place_of(const int32_t *sums, int ranges, int step) {
    uint32_t place = 0;
    UNROLL_ALL for (int i = 0; i < ranges - 1; i++) place += kept((uint32_t)sums[step * i] + 1) >> SUM_BITS;
    return place;
}

/* floor(2^(31 + bits) / divisor) / 2^shift, in two parts. The quotient has two digits, of which the second has `bits`, because the
 * library's division of 64 bits takes much longer. */
INLINE void put_reciprocal(uint32_t divisor, int bits, uint32_t shift, int32_t *parts) {
    uint32_t dividend = (uint32_t)1 << 31, rest = kept(dividend) % divisor;
    uint32_t number = ((dividend / divisor << bits) + (rest << bits) / divisor) >> shift;
    uint32_t upper = kept(number >> SUM_BITS);
    parts[0] = (int32_t)(number - (upper << SUM_BITS));
    parts[1] = (int32_t)upper;
}

/* The reciprocal of each row's sum in the first range in which it was not cut, in two parts of 15 bits. A sum is at least 2^13. */
INLINE void row_reciprocals(const int32_t *sums, int32_t *parts, int rows, int ranges) {
    UNROLL_NOT for (int r = 0; r < rows; r++, sums += ranges, parts += 2) {
        uint32_t place = place_of(sums, ranges, 1);
        put_reciprocal((uint32_t)sums[place], 12, 2 * place, parts);
    }
}

/* 2^bits over the root of each position's sum of squares and epsilon, likewise, of the diagonals of 8 by 8 products for each range; of the
 * ranges behind the first `skipped`, in whose units epsilon is. */
INLINE void row_deviations(const int32_t *products, int32_t *parts, int rows, int ranges, int first, int bits, uint32_t epsilon,
                           uint32_t least, int skipped) {
    UNROLL_NOT for (int r = 0; r < rows; r++, products += 9, parts += 2) {
        uint32_t place = place_of(products, ranges, 64), begin = (uint32_t)skipped % (uint32_t)ranges;
        if (!__builtin_constant_p(skipped) || begin) place = (uint32_t)choose(place < begin, (int32_t)begin, (int32_t)place);
        uint32_t root = root_of_word(((uint32_t)products[64 * place] << 16) + (epsilon >> (4 * (place - begin))));
        /* A sum above one that was cut is at least 2047, so its root is. A larger epsilon leaves no smaller root either; one that is private
         * must not decide what is executed. */
        int needed = !__builtin_constant_p(epsilon) || least > 2047 || epsilon < least * least;
        if (needed) root = (uint32_t)choose(root < least, (int32_t)least, (int32_t)root);
        put_reciprocal(root, bits - 23, 2 * (place + (uint32_t)first), parts);
    }
}

#endif
