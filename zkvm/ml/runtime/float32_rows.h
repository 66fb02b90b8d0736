/* Functions of whole rows of floats: sums, normalisation, softmax, running sums, and trees. zkvm/ml/operations/floatreduce.py and
 * floatrows.py say the same in Python. */
#ifndef ZKVM_ML_FLOAT32_ROWS_H
#define ZKVM_ML_FLOAT32_ROWS_H

#include <float32_dot.h>
#include <float32_elementary.h>

/* The float whose key is this word. */
SMALL int32_t f32_from_key(int32_t key) {
    uint32_t sign = (uint32_t)(key >> 31), word = (((uint32_t)key ^ sign) - sign) | (sign & F32_SIGN);
    return f32_is_nan((int32_t)word) ? F32_NAN : (int32_t)word;
}

/* The sum of magnitudes, or of squares, of which a factor has so many bits, if there are NaN or infinities: the largest one. */
static __attribute__((noinline, unused)) int32_t f32_sum_rare(const int32_t *x, int count) {
    uint32_t most = 0;
    for (int i = 0; i < count; i++)
        if (f32_size(x[i]) > most) most = f32_size(x[i]);
    return most > F32_SIZE_INFINITY ? F32_NAN : F32_INFINITY;
}

FLOAT int32_t f32_sum_absolute(const int32_t *x, int count) {
    int32_t special = 0, largest = f32_largest(x, 1, count, 1, 0, 0, &special);
    if (special) return f32_sum_rare(x, count);
    int64_t total = 0;
    UNROLL_FOUR for (int i = 0; i < count; i++) total += f32_aligned(x[i] & INT32_MAX, largest + 2);
    return f32_scaled(total, largest - 156);
}

FLOAT int32_t f32_sum_square(const int32_t *x, int count, int bits) {
    int32_t special = 0, largest = f32_largest(x, 1, count, 1, 0, 0, &special);
    if (special) return f32_sum_rare(x, count);
    uint64_t total = 0;
    UNROLL_FOUR for (int i = 0; i < count; i++) {
        int32_t number = f32_aligned(x[i], largest + 32 - bits);
        total += (uint64_t)((int64_t)number * number);
    }
    return f32_scaled((int64_t)total, 2 * (largest - 126 - bits));
}

/* y[i] = e[i] / sum of e, e[i] = the exponential of x[i] minus the largest x. */
FLOAT void f32_softmax(const int32_t *x, int32_t *y, int count, int step) {
    int32_t largest = x[0];
    for (int i = 1; i < count; i++) largest = f32_max(largest, x[i * step]);
    for (int i = 0; i < count; i++) y[i * step] = f32_exp(f32_sub(x[i * step], largest));
    int32_t sum = f32_sum(y, count, step);
    for (int i = 0; i < count; i++) y[i * step] = f32_div(y[i * step], sum);
}

/* y = (x - mean) / sqrt(variance + epsilon), where the mean is 0 if centred is not set. */
FLOAT void f32_normalize(const int32_t *x, int32_t *y, int count, int32_t length, int32_t epsilon, int centred, int bits) {
    int32_t mean = centred ? f32_div(f32_sum(x, count, 1), length) : 0;
    for (int i = 0; i < count; i++) y[i] = centred ? f32_sub(x[i], mean) : x[i];
    int32_t variance = f32_div(f32_sum_square(y, count, bits), length);
    int32_t factor = f32_div(F32_ONE, f32_sqrt(f32_add(variance, epsilon)));
    for (int i = 0; i < count; i++) y[i] = f32_mul(y[i], factor);
}

/* Running sums; those before each element if exclusive is set. */
FLOAT void f32_running_sum(const int32_t *x, int32_t *y, int count, int step, int exclusive) {
    int32_t sum = 0;
    for (int i = 0; i < count; i++) {
        int32_t first = f32_is_nan(x[0]) ? F32_NAN : x[0], next = i ? f32_add(sum, x[i * step]) : first;
        y[i * step] = exclusive ? sum : next;
        sum = next;
    }
}

#endif
