/* Tensors: products of matrices, rescaled, that cost a proof a fraction of what the same loops cost as instructions.
 *
 * A tensor is a list of vectors of 8 int16. Of C channels and P positions, vector `block * C + c` holds positions
 * 8 block .. 8 block + 7 of channel c; a flat list of numbers has one position. Lanes beyond the last position are computed like
 * all others, and nobody reads them. A tensor is made by one call and never changes.
 *
 *     #include <zkvm_tensor.h>
 *     ZKVM_VECTORS(weights) = { {1, 2, 3}, {-4, 5, 6} };  // by tap: 3 channels, the other lanes 0
 *     ZKVM_CHANNELS(scale) = { {0, 1 << 30, 1 << 30}, {5, 1 << 30, 1 << 30}, {0, -(1 << 29), 1 << 30} };
 *     static const zkvm_import input = ZKVM_IMPORT(.vectors = 2);
 *     static const zkvm_linear layer = ZKVM_LINEAR(.blocks = ZKVM_BLOCKS(1), .channels = 3, .taps = 2, .x_stride = 2,
 *         .w = ZKVM_AT(weights), .w_stride = 2, .channel_list = ZKVM_AT(scale), .bounds = ZKVM_BOUNDS(0, 32767));
 *     static const zkvm_export output = ZKVM_EXPORT(.vectors = 3, .words = 1, .x_stride = 1);
 *     int main(void) {
 *         int32_t scores[3];
 *         zkvm_tensor x = zkvm_tensor_import(&input);
 *         zkvm_tensor y = zkvm_tensor_linear(&layer, x, ZKVM_CONSTANT_VECTORS);
 *         zkvm_tensor_export(&output, y, scores);
 *         zkvm_commit(scores, sizeof scores);
 *         return 0;
 *     }
 *
 * Descriptors are constants: `static const`, at file scope. Vectors and channels are read by these calls only; a load from them
 * traps. A machine that does not know the call answers -ENOSYS, as emulators do: then the same functions compute in C, on the heap,
 * to the same bits. What a call does not allow has no proof: the run traps, the C code panics where it looks.
 */
#ifndef ZKVM_TENSOR_H
#define ZKVM_TENSOR_H

#include <zkvm.h>

#ifdef __cplusplus
extern "C" {
#define ZKVM_OR_ZERO = 0 /* what a descriptor need not say; in C that is so for all of it */
#define ZKVM_OR_ZEROS = {}
#else
#define ZKVM_OR_ZERO
#define ZKVM_OR_ZEROS
#endif

#define ZKVM_SYS_TENSOR 4097 /* Linux has no such call */

/* What the first word of a descriptor says. */
#define ZKVM_TENSOR_IMPORT 1
#define ZKVM_TENSOR_LOAD 2
#define ZKVM_TENSOR_LINEAR 3
#define ZKVM_TENSOR_EXPORT 4
#define ZKVM_TENSOR_GATHER 5
#define ZKVM_TENSOR_MAXIMUM 6
#define ZKVM_TENSOR_APPLY 7
#define ZKVM_TENSOR_COMBINE 8
#define ZKVM_TENSOR_MULTIPLY 9
#define ZKVM_TENSOR_DIGEST 10
#define ZKVM_TENSOR_SCALED 11
#define ZKVM_TENSOR_DEPTHWISE 12
#define ZKVM_TENSOR_SCALED_DEPTHWISE 13
#define ZKVM_TENSOR_RELATIVE 14
#define ZKVM_TENSOR_IMPORT_DIGESTED 15

/* What the last call that rescales sums cut (layers, depthwise ones, combinations, multiplications): how many of its elements would have been
 * greater than the greatest of its bounds, and how many smaller than the least. Lanes beyond the last position count like all others. */
struct zkvm_tensor_cuts {
    uint32_t above, below;
};
extern struct zkvm_tensor_cuts zkvm_tensor_cuts;

/* A tensor's handle; copy it as you like. */
typedef struct zkvm_tensor {
    uint32_t handle;
} zkvm_tensor;

/* The constant vectors of the program, as an operand. */
#define ZKVM_CONSTANT_VECTORS ((zkvm_tensor){0})

/* Constant vectors: `ZKVM_VECTORS(name) = { {8 int16}, ... };`. */
#define ZKVM_VECTORS(name) static const int16_t name[][8] __attribute__((aligned(16), section(".tensor.vectors." #name)))

/* How a channel's sums become elements: (sum + bias) * multiplier / 2^32, rounded half up. `limit` is at least |multiplier|, at most
 * 2^31 - 1, and the same for all channels of a list; |bias| < 2^48, |bias * multiplier| <= 2^61. */
struct zkvm_channel {
    int64_t bias;
    int32_t multiplier;
    uint32_t limit;
};

/* Constant channels: `ZKVM_CHANNELS(name) = { {bias, multiplier, limit}, ... };`. */
#define ZKVM_CHANNELS(name) static const struct zkvm_channel name[] __attribute__((aligned(16), section(".tensor.channels." #name)))

/* Constant patterns: `ZKVM_PATTERN(name) = { {8 places}, ... };`. A place is ZKVM_ELEMENT(vector, lane), or 0 for the number 0. The places of a
 * row are all of the first operand, or all of the second: then each is ZKVM_OF_SECOND(place), those of zeros too. Of constant vectors
 * the number of a vector is its address divided by 16. */
#define ZKVM_PATTERN(name) static const uint32_t name[][8] __attribute__((aligned(32), section(".tensor.patterns." #name)))
#define ZKVM_ELEMENT(vector, lane) (1u + 8u * (vector) + (lane))
#define ZKVM_OF_SECOND(place) (0x80000000u | (place))

/* A constant function of an int16: `ZKVM_FUNCTION(name) = { 65536 int16 };`, the entry for -32768 first. */
#define ZKVM_FUNCTION(name) static const int16_t name[] __attribute__((aligned(16), section(".tensor.functions." #name)))

/* Where constants are, for a descriptor. A row of vectors is 16 bytes: `ZKVM_AT(name) + 16 * k` is vector k. */
#define ZKVM_AT(name) ((uint32_t)(uintptr_t)(name))

/* How many blocks of 8 hold so many positions. */
#define ZKVM_BLOCKS(positions) (((positions) + 7u) / 8u)

/* The least and the greatest element of a result, from -32768 to 32767. */
#define ZKVM_BOUNDS(low, high) ((uint32_t)((low) + 32768) | (uint32_t)((high) + 32768) << 16)

/* A tensor of `vectors` vectors from the private input: 16 bytes each, little-endian, all 8 lanes. */
typedef struct zkvm_import {
    uint32_t operation, vectors;
} zkvm_import;
#define ZKVM_IMPORT(...) {.operation = ZKVM_TENSOR_IMPORT, __VA_ARGS__}
zkvm_tensor zkvm_tensor_import(const zkvm_import *descriptor);

/* A tensor of `vectors` vectors from memory: `words` is 8, a number for each element, or 1, a number for the first of each vector; the
 * others are 0. Numbers are those of an int16. */
typedef struct zkvm_load {
    uint32_t operation, vectors, words;
} zkvm_load;
#define ZKVM_LOAD(...) {.operation = ZKVM_TENSOR_LOAD, __VA_ARGS__}
zkvm_tensor zkvm_tensor_load(const zkvm_load *descriptor, const int32_t *numbers);

/* Elements of a tensor to memory: vectors number x / 16 + k * x_stride, k < vectors; of each the first (`words` 1) or all 8. */
typedef struct zkvm_export {
    uint32_t operation, vectors, words, reserved ZKVM_OR_ZERO, x ZKVM_OR_ZERO, x_stride;
} zkvm_export;
#define ZKVM_EXPORT(...) {.operation = ZKVM_TENSOR_EXPORT, __VA_ARGS__}
void zkvm_tensor_export(const zkvm_export *descriptor, zkvm_tensor x, int32_t *numbers);

/* A layer: for each position p and each channel c
 *
 *     sum = x[0][p] w[0][c] + ... + x[taps - 1][p] w[taps - 1][c]
 *     y[c][p] = min(max(floor(((sum + bias[c]) multiplier[c] + 2^31) / 2^32), low), high)
 *
 * Vector k of a block of 8 positions of x is number x / 16 + block * x_stride + k, and holds tap k. Vector k of 8 channels of w is
 * number w / 16 + (c / 8) * w_stride + k. With ZKVM_CONSTANT_VECTORS for an operand, its `x` or `w` is an address, ZKVM_AT; else a
 * place in the tensor, in bytes. From 1 to 2^16 channels; 1 <= taps * limit <= 2^32. Lanes of w beyond the last channel must give
 * sums of 0, as zeros do. The result has channels * blocks vectors. */
typedef struct zkvm_linear {
    uint32_t operation, blocks, channels, taps, x ZKVM_OR_ZERO, x_stride, w ZKVM_OR_ZERO, w_stride, channel_list, bounds;
} zkvm_linear;
#define ZKVM_LINEAR(...) {.operation = ZKVM_TENSOR_LINEAR, __VA_ARGS__}
zkvm_tensor zkvm_tensor_linear(const zkvm_linear *descriptor, zkvm_tensor x, zkvm_tensor w);

/* The same with channels that are vectors of w too, from `channel_list` on, in bytes: private ones, for example. Lanes 0 and 1 of a
 * channel's vector are the lower and the higher 16 bits of its bias, both with a sign, which counts 2^29 / limit; lane 2 is the
 * multiplier, which counts limit / 2^15; the others are 0. `limit` is a power of two from 2^15 to 2^29. */
typedef struct zkvm_scaled_linear {
    uint32_t operation, blocks, channels, taps, x ZKVM_OR_ZERO, x_stride, w ZKVM_OR_ZERO, w_stride, channel_list, bounds, limit;
} zkvm_scaled_linear;
#define ZKVM_SCALED_LINEAR(...) {.operation = ZKVM_TENSOR_SCALED, __VA_ARGS__}
zkvm_tensor zkvm_tensor_scaled_linear(const zkvm_scaled_linear *descriptor, zkvm_tensor x, zkvm_tensor w);

/* Sums over windows of one channel each, as of a depthwise convolution: for each block b, each channel c and each lane i
 *
 *     sum = over windows n < windows, rows r < 3 and taps k < 5 of s[i + k] weight[c][n][5 r + k]
 *     y[c] = min(max(floor(((sum + bias[c]) multiplier[c] + 2^31) / 2^32), low), high)
 *
 * s are the elements of channel c from block b on, one block behind the other, of the part of x that row r of window n begins with: vector
 * number x / 16 + n * window_stride + (0, second_row or third_row) + b * channels + c and those so many channels behind it. So a
 * convolution has one window of 3 x 3 taps for an image whose lines begin with whole blocks, second_row and third_row are the vectors of one
 * line and of two, and positions behind the end of a line are computed like all others. The 15 weights of a window are two vectors, the last
 * lane is not used: windows of channel 0 first, from w on. x has all its `channels` in each block and a block more than is computed;
 * `blocks` is even. 1 to 2^16 windows and channels; 1 <= 15 * windows * limit <= 2^32. The result has channels * blocks vectors. Channels are
 * constants, as of a layer; of ZKVM_SCALED_DEPTHWISE they are vectors of w from `channel_list` on, in bytes, with this `limit`. */
typedef struct zkvm_depthwise {
    uint32_t operation, blocks, channels, windows, x ZKVM_OR_ZERO, window_stride ZKVM_OR_ZERO, w ZKVM_OR_ZERO, second_row, channel_list, bounds;
    uint32_t limit ZKVM_OR_ZERO, third_row;
} zkvm_depthwise;
#define ZKVM_DEPTHWISE(...) {.operation = ZKVM_TENSOR_DEPTHWISE, __VA_ARGS__}
#define ZKVM_SCALED_DEPTHWISE(...) {.operation = ZKVM_TENSOR_SCALED_DEPTHWISE, __VA_ARGS__}
zkvm_tensor zkvm_tensor_depthwise(const zkvm_depthwise *descriptor, zkvm_tensor x, zkvm_tensor w);

/* A tensor from the private input, and its digest: 7 * byte_rows vectors of bytes with a sign, one byte of the input each lane, where it
 * counts 2^8, then 3 * rows vectors of int16, as of an import, then the two vectors of the digest of these, which the call makes: 64 bits in
 * four lanes, lane - 2^15 for each 16 bits. At least one row of int16. A digest hides nothing: export it, and publish a salted hash of it. With no rows
 * of bytes the digest is that of zkvm_tensor_digest. See docs/tensors.md. */
typedef struct zkvm_import_digested {
    uint32_t operation, rows, byte_rows ZKVM_OR_ZERO;
} zkvm_import_digested;
#define ZKVM_IMPORT_DIGESTED(...) {.operation = ZKVM_TENSOR_IMPORT_DIGESTED, __VA_ARGS__}
zkvm_tensor zkvm_tensor_import_digested(const zkvm_import_digested *descriptor);

/* Proves that two vectors are the digest of those before them: vectors x / 16 .. x / 16 + 3 rows - 1 of x are digested, three at a time,
 * and the two behind them say what comes out, 64 bits in four lanes, lane - 2^15 for each 16 bits. What is digested and the digest
 * come from the private input, say; export the digest and publish it, or a salted hash of it. See docs/tensors.md. */
typedef struct zkvm_tensor_digest_check {
    uint32_t operation, rows, reserved[2] ZKVM_OR_ZEROS, x ZKVM_OR_ZERO;
} zkvm_tensor_digest_check;
#define ZKVM_TENSOR_DIGEST_CHECK(...) {.operation = ZKVM_TENSOR_DIGEST, __VA_ARGS__}
void zkvm_tensor_digest(const zkvm_tensor_digest_check *descriptor, zkvm_tensor x);

/* A tensor of `vectors` vectors that are rows of a pattern: each of elements of x, or of y. `pattern` is ZKVM_AT of its first row. */
typedef struct zkvm_gather {
    uint32_t operation, vectors, reserved[6] ZKVM_OR_ZEROS, pattern;
} zkvm_gather;
#define ZKVM_GATHER(...) {.operation = ZKVM_TENSOR_GATHER, __VA_ARGS__}
zkvm_tensor zkvm_tensor_gather(const zkvm_gather *descriptor, zkvm_tensor x, zkvm_tensor y);

/* A tensor of `vectors` vectors: vector v holds, lane by lane, the largest of vectors x / 16 + v * x_stride + k * step, k < taps. */
typedef struct zkvm_maximum {
    uint32_t operation, vectors, reserved ZKVM_OR_ZERO, taps, x ZKVM_OR_ZERO, x_stride, reserved_too ZKVM_OR_ZERO, step;
} zkvm_maximum;
#define ZKVM_MAXIMUM(...) {.operation = ZKVM_TENSOR_MAXIMUM, __VA_ARGS__}
zkvm_tensor zkvm_tensor_maximum(const zkvm_maximum *descriptor, zkvm_tensor x);

/* A tensor of `vectors` vectors: vector v holds the function's entries for the elements of vector x / 16 + v * x_stride. `function` is
 * ZKVM_AT of it. */
typedef struct zkvm_apply {
    uint32_t operation, vectors, reserved[2] ZKVM_OR_ZEROS, x ZKVM_OR_ZERO, x_stride, reserved_too[2] ZKVM_OR_ZEROS, function;
} zkvm_apply;
#define ZKVM_APPLY(...) {.operation = ZKVM_TENSOR_APPLY, __VA_ARGS__}
zkvm_tensor zkvm_tensor_apply(const zkvm_apply *descriptor, zkvm_tensor x);

/* A tensor of `blocks` times `channels` vectors: vector b channels + c holds the function's entries for the elements of vector
 * x / 16 + (b channels + c) x_stride less those of vector w / 16 + b of the second operand. `function` is ZKVM_AT of its entry for
 * -65535: where no element is above the one that is taken from it, entries from there to the one for 0 are enough. */
typedef struct zkvm_relative {
    uint32_t operation, blocks, channels, reserved ZKVM_OR_ZERO, x ZKVM_OR_ZERO, x_stride, w ZKVM_OR_ZERO, reserved_too ZKVM_OR_ZERO, function;
} zkvm_relative;
#define ZKVM_RELATIVE(...) {.operation = ZKVM_TENSOR_RELATIVE, __VA_ARGS__}
zkvm_tensor zkvm_tensor_relative(const zkvm_relative *descriptor, zkvm_tensor x, zkvm_tensor w);

/* Element by element: for each block of 8 positions, each channel c and each lane
 *
 *     sum = x w + weight y v
 *     z[c] = min(max(floor(((sum + bias[c]) multiplier[c] + 2^31) / 2^32), low), high)
 *
 * x is vector number x / 16 + block * x_stride + c of its operand; y moves by y_stride with the block, and with the channel only if
 * `steps` has ZKVM_Y_STEPS; w and v move by w_stride, and with the channel if it has ZKVM_W_STEPS. 1 <= (1 + weight) * limit <= 2^32.
 * zkvm_tensor_combine takes x of its first operand, y of its second, and w and v of the constant vectors: weighted sums, masks.
 * zkvm_tensor_multiply takes x and y of its first operand, w and v of its second. The result has channels * blocks vectors. */
#define ZKVM_Y_STEPS 1u
#define ZKVM_W_STEPS 2u
typedef struct zkvm_combine {
    uint32_t operation, blocks, channels, weight ZKVM_OR_ZERO, x ZKVM_OR_ZERO, x_stride, w ZKVM_OR_ZERO, w_stride ZKVM_OR_ZERO;
    uint32_t channel_list, bounds, y ZKVM_OR_ZERO, y_stride ZKVM_OR_ZERO, v ZKVM_OR_ZERO, steps ZKVM_OR_ZERO;
} zkvm_combine;
typedef zkvm_combine zkvm_multiply;
#define ZKVM_COMBINE(...) {.operation = ZKVM_TENSOR_COMBINE, __VA_ARGS__}
#define ZKVM_MULTIPLY(...) {.operation = ZKVM_TENSOR_MULTIPLY, __VA_ARGS__}
zkvm_tensor zkvm_tensor_combine(const zkvm_combine *descriptor, zkvm_tensor x, zkvm_tensor y);
zkvm_tensor zkvm_tensor_multiply(const zkvm_multiply *descriptor, zkvm_tensor x, zkvm_tensor w);

#ifdef __cplusplus
}
#endif

#endif
