/* What instructions compute for rows of tensors. zkvm/ml/operations/tensor_rows.py says the same in numpy. */
#ifndef ZKVM_ML_TENSOR_ROWS_H
#define ZKVM_ML_TENSOR_ROWS_H

#include "integer.h"

#define FULL_SUM 32767

/* floor(sqrt(value)), by Newton's method from a power of two above the root, at most twice as large: four steps from above leave less than
 * one too much. As many instructions for every value. */
INLINE uint32_t root_of_word(uint32_t value) {
    uint32_t rest = value, bits = 1;
    UNROLL_FOUR for (uint32_t step = 8; step != 0; step >>= 1) {
        uint32_t large = 0u - (uint32_t)(rest >> (2 * step) != 0);
        __asm__("" : "+r"(large));
        rest >>= 2 * step & large;
        bits += step & large;
    }
    uint32_t root = (uint32_t)1 << bits, radicand = value | (value == 0);
    UNROLL_FOUR for (int step = 0; step < 4; step++) root = (root + radicand / root) >> 1;
    return root - (root > value / root);
}

/* The reciprocal of each row's sum in the first range in which it was not cut, in two parts of 15 bits. A sum is at least 2^13. The
 * quotient has two digits, of 2^12 and less, because the library's division of 64 bits takes much longer. */
INLINE void row_reciprocals(const int32_t *sums, int32_t *parts, int rows, int ranges) {
    UNROLL_NOT for (int r = 0; r < rows; r++, sums += ranges, parts += 2) {
        int32_t sum = sums[0], shift = 0;
        for (int i = 1; i < ranges; i++) {
            int32_t full = sum == FULL_SUM;
            sum = choose(full, sums[i], sum);
            shift += 2 * full;
        }
        uint32_t dividend = (uint32_t)1 << 31, divisor = (uint32_t)sum;
        uint32_t number = (((dividend / divisor) << 12) + ((dividend % divisor) << 12) / divisor) >> shift;
        parts[0] = (int32_t)(number & FULL_SUM);
        parts[1] = (int32_t)(number >> 15);
    }
}

/* 2^bits over the root of each position's sum of squares and epsilon, likewise, of the diagonals of 8 by 8 products for each range. */
INLINE void row_deviations(const int32_t *products, int32_t *parts, int rows, int ranges, int first, int bits, uint32_t epsilon,
                           uint32_t least) {
    UNROLL_NOT for (int r = 0; r < rows; r++, products += 9, parts += 2) {
        int32_t sum = products[0], shift = 0;
        for (int i = 1; i < ranges; i++) {
            int32_t full = sum == FULL_SUM;
            sum = choose(full, products[64 * i], sum);
            shift += 2 * full;
        }
        uint32_t root = root_of_word(((uint32_t)sum << 16) + (epsilon >> (2 * shift)));
        root = (uint32_t)choose(root < least, (int32_t)least, (int32_t)root);
        uint32_t dividend = (uint32_t)1 << 31;
        uint32_t number = (((dividend / root) << (bits - 23)) + ((dividend % root) << (bits - 23)) / root) >> (shift + 2 * first);
        parts[0] = (int32_t)(number & FULL_SUM);
        parts[1] = (int32_t)(number >> 15);
    }
}

#endif
