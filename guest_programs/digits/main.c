/* Classifies a private 8 x 8 image of a handwritten digit with a small neural network, 64-32-10, in integers.
 *
 * Input: 64 bytes, the pixels row by row, each 0..16. Journal: the label as uint32, then the ten logits as int32, all
 * little-endian. The model is part of the program, so the image ID says which model answered.
 * tools/train_digits.py wrote weights.h, has the reference, and proves that no allowed image overflows 32 bits. */
#include <zkvm.h>

#include "weights.h"

static int32_t pixels[PIXELS];
static int32_t hidden[HIDDEN];
static int32_t logits[LABELS];

static void read_image(void) {
    uint8_t bytes[PIXELS];
    zkvm_read_exact(bytes, sizeof bytes);
    for (int i = 0; i < PIXELS; i++) {
        if (bytes[i] > PIXEL_MAX) zkvm_panic("a pixel is not in 0..16");
        pixels[i] = bytes[i];
    }
}

/* bias + inner product, in int32: exact, see check_bounds in the training script. Unrolled, because here every executed
 * instruction is paid for, and pointers and counters are a third of them otherwise. */
static inline int32_t affine(const int8_t *weights, const int32_t *values, int count, int32_t bias) {
    int32_t sum = bias;
#pragma clang loop unroll_count(8)
    for (int i = 0; i < count; i++) sum += weights[i] * values[i];
    return sum;
}

/* A sum in weight x pixel units becomes an activation 0..255: scaled, rounded half up, and cut at both ends (ReLU). */
static inline int32_t requantize(int32_t sum, int32_t multiplier) {
    int32_t scaled = (sum * multiplier + (1 << (SHIFT - 1))) >> SHIFT;
    if (scaled < 0) return 0;
    return scaled > ACTIVATION_MAX ? ACTIVATION_MAX : scaled;
}

int main(void) {
    read_image();
    for (int j = 0; j < HIDDEN; j++) hidden[j] = requantize(affine(weights1[j], pixels, PIXELS, bias1[j]), multiplier1[j]);
    uint32_t label = 0;
    for (int j = 0; j < LABELS; j++) {
        logits[j] = affine(weights2[j], hidden, HIDDEN, bias2[j]);
        if (logits[j] > logits[label]) label = (uint32_t)j;
    }
    zkvm_commit_u32(label);
    zkvm_commit(logits, sizeof logits);
    return 0;
}
