// Attention in tensor calls, written by hand: 32 tokens see themselves and what is before them, and the last one's result is public.
//
// Input: queries, keys and values, 64 vectors each, int16 in units of 2^-10. Queries and keys: vector 16 block + d has dimension d of tokens
// 8 block to 8 block + 7. Values: vector 32 block + t has dimensions 8 block to 8 block + 7 of token t. Journal: 16 words, in the same units.
//
// Each stage is a function of its own, so that a profile shows what each costs.
#include <zkvm_tensor.h>

namespace {

constexpr uint32_t TOKENS = 32, DIMENSIONS = 16, BLOCKS = TOKENS / 8, VECTORS = BLOCKS * DIMENSIONS;
constexpr int LEAST = -32768, GREATEST = 32767;

// --- constants ---------------------------------------------------------------------------------------------------------------------

// exp(-k / 256) in units of 2^-15, for 0 <= k < STEPS; the entry for -(STEPS - 1) is the first.
constexpr int STEPS = 4096;

struct Exponentials {
    int16_t entries[STEPS];
};

constexpr double exponential(double x) {
    double term = 1, sum = 1;  // of x / 16, whose 16th power it is
    for (int n = 1; n < 9; n++) sum += term *= x / 16 / n;
    for (int n = 0; n < 4; n++) sum *= sum;
    return sum;
}

constexpr Exponentials exponentials() {
    Exponentials made{};
    for (int k = 0; k < STEPS; k++) made.entries[STEPS - 1 - k] = static_cast<int16_t>(GREATEST * exponential(-k / 256.0) + 0.5);
    return made;
}

__attribute__((aligned(16), section(".tensor.functions.exponentials"))) constexpr Exponentials table = exponentials();
// A function begins with its entry for -32768; entries that nobody asks for need not be there.
#define EXPONENTIAL (ZKVM_AT(&table) - 2 * (32768 - (STEPS - 1)))

// A factor of one is 4 with the multiplier 2^30. Of each block and key, for 8 tokens: 4 where the token sees the key; and where it does not.
struct Mask {
    int16_t seen[TOKENS * BLOCKS][8], hidden[TOKENS * BLOCKS][8], least[8], one[8], minus_one[8], ranges[TOKENS][8];
};

constexpr Mask masks() {
    Mask made{};
    for (uint32_t block = 0; block < BLOCKS; block++) {
        for (uint32_t key = 0; key < TOKENS; key++) {
            for (uint32_t lane = 0; lane < 8; lane++) {
                made.seen[TOKENS * block + key][lane] = 8 * block + lane >= key ? 4 : 0;
                made.hidden[TOKENS * block + key][lane] = 8 * block + lane >= key ? 0 : 4;
            }
        }
    }
    for (int lane = 0; lane < 8; lane++) {
        made.least[lane] = LEAST;
        made.one[lane] = 4;
        made.minus_one[lane] = -4;
    }
    // Sums in units of 2, of 8 and of 32: whatever a sum is, one of them has 13 bits.
    for (auto &vector : made.ranges) vector[0] = 16, vector[1] = 4, vector[2] = 1;
    return made;
}

__attribute__((aligned(16), section(".tensor.vectors.masks"))) constexpr Mask vectors = masks();

// As many channels of one kind as a list needs.
template <uint32_t COUNT> struct Channels {
    zkvm_channel rows[COUNT];
};

template <uint32_t COUNT> constexpr Channels<COUNT> channels(int32_t multiplier) {
    Channels<COUNT> made{};
    for (auto &row : made.rows) row = {0, multiplier, static_cast<uint32_t>(multiplier)};
    return made;
}

#define CHANNEL_LIST(name) __attribute__((aligned(16), section(".tensor.channels." #name))) constexpr auto name
CHANNEL_LIST(exact) = channels<TOKENS>(1 << 30);
CHANNEL_LIST(scores_scale) = channels<TOKENS>(1 << 18);       // products in 2^-20, over sqrt(16), to 2^-8
CHANNEL_LIST(sums_scale) = channels<3>(1 << 27);              // a sum over 32, times its factor
CHANNEL_LIST(probabilities_scale) = channels<TOKENS>(1 << 3); // 2^44 / sum times e, to 2^-15
CHANNEL_LIST(result_scale) = channels<DIMENSIONS>(1 << 17);   // from 2^-25 to 2^-10

// --- stages ------------------------------------------------------------------------------------------------------------------------

constexpr uint32_t ALL = ZKVM_BOUNDS(LEAST, GREATEST);
const zkvm_import part = ZKVM_IMPORT(.vectors = VECTORS);
const zkvm_linear scores_call = ZKVM_LINEAR(.blocks = BLOCKS, .channels = TOKENS, .taps = DIMENSIONS, .x_stride = DIMENSIONS,
    .w_stride = DIMENSIONS, .channel_list = ZKVM_AT(&scores_scale), .bounds = ALL);
const zkvm_combine mask_call = ZKVM_COMBINE(.blocks = BLOCKS, .channels = TOKENS, .weight = 1, .x_stride = TOKENS,
    .w = ZKVM_AT(&vectors.seen), .w_stride = TOKENS, .channel_list = ZKVM_AT(&exact), .bounds = ALL, .y = ZKVM_AT(&vectors.least),
    .v = ZKVM_AT(&vectors.hidden), .steps = ZKVM_W_STEPS);
const zkvm_maximum maximum_call = ZKVM_MAXIMUM(.vectors = BLOCKS, .taps = TOKENS, .x_stride = TOKENS, .step = 1);
const zkvm_combine difference_call = ZKVM_COMBINE(.blocks = BLOCKS, .channels = TOKENS, .weight = 1, .x_stride = TOKENS,
    .w = ZKVM_AT(&vectors.one), .channel_list = ZKVM_AT(&exact), .bounds = ZKVM_BOUNDS(1 - STEPS, 0), .y_stride = 1,
    .v = ZKVM_AT(&vectors.minus_one));
const zkvm_apply exponential_call = ZKVM_APPLY(.vectors = BLOCKS * TOKENS, .x_stride = 1, .function = EXPONENTIAL);
const zkvm_linear sums_call = ZKVM_LINEAR(.blocks = BLOCKS, .channels = 3, .taps = TOKENS, .x_stride = TOKENS,
    .w = ZKVM_AT(&vectors.ranges), .w_stride = 0, .channel_list = ZKVM_AT(&sums_scale), .bounds = ALL);
const zkvm_export sums_words = ZKVM_EXPORT(.vectors = 3 * BLOCKS, .words = 8, .x_stride = 1);
const zkvm_load factors_words = ZKVM_LOAD(.vectors = 2 * BLOCKS, .words = 8);
const zkvm_multiply probabilities_call = ZKVM_MULTIPLY(.blocks = BLOCKS, .channels = TOKENS, .weight = 1 << 15, .x_stride = TOKENS,
    .w_stride = 2, .channel_list = ZKVM_AT(&probabilities_scale), .bounds = ALL, .y_stride = TOKENS, .v = 16, .steps = ZKVM_Y_STEPS);
const zkvm_linear result_call = ZKVM_LINEAR(.blocks = BLOCKS, .channels = DIMENSIONS, .taps = TOKENS, .x_stride = TOKENS,
    .w_stride = TOKENS, .channel_list = ZKVM_AT(&result_scale), .bounds = ALL);
const zkvm_export last_words = ZKVM_EXPORT(.vectors = DIMENSIONS, .words = 8, .x = 16 * (BLOCKS - 1) * DIMENSIONS, .x_stride = 1);

[[gnu::noinline]] zkvm_tensor masked_scores(zkvm_tensor queries, zkvm_tensor keys) {
    return zkvm_tensor_combine(&mask_call, zkvm_tensor_linear(&scores_call, queries, keys), ZKVM_CONSTANT_VECTORS);
}

[[gnu::noinline]] zkvm_tensor exponentials_of(zkvm_tensor scores) {
    zkvm_tensor largest = zkvm_tensor_maximum(&maximum_call, scores);
    return zkvm_tensor_apply(&exponential_call, zkvm_tensor_combine(&difference_call, scores, largest));
}

// 2^44 over the sum of each token, in two parts of 15 bits: ordinary code.
[[gnu::noinline]] zkvm_tensor reciprocals(zkvm_tensor powers) {
    static int32_t sums[BLOCKS][3][8], factors[BLOCKS][2][8];
    zkvm_tensor_export(&sums_words, zkvm_tensor_linear(&sums_call, powers, ZKVM_CONSTANT_VECTORS), &sums[0][0][0]);
    for (uint32_t block = 0; block < BLOCKS; block++) {
        for (uint32_t lane = 0; lane < 8; lane++) {
            uint32_t range = 0;  // the finest in which the sum is not cut
            while (range < 2 && sums[block][range][lane] == GREATEST) range++;
            uint32_t reciprocal = (1u << 31) / static_cast<uint32_t>(sums[block][range][lane]) << (12 - 2 * range);
            factors[block][0][lane] = static_cast<int32_t>(reciprocal & 0x7fff);
            factors[block][1][lane] = static_cast<int32_t>(reciprocal >> 15);
        }
    }
    return zkvm_tensor_load(&factors_words, &factors[0][0][0]);
}

[[gnu::noinline]] zkvm_tensor weighted_values(zkvm_tensor powers, zkvm_tensor factors, zkvm_tensor values) {
    return zkvm_tensor_linear(&result_call, zkvm_tensor_multiply(&probabilities_call, powers, factors), values);
}

}  // namespace

int main() {
    zkvm_tensor queries = zkvm_tensor_import(&part), keys = zkvm_tensor_import(&part), values = zkvm_tensor_import(&part);
    zkvm_tensor powers = exponentials_of(masked_scores(queries, keys));
    zkvm_tensor result = weighted_values(powers, reciprocals(powers), values);
    static int32_t last[DIMENSIONS][8];
    zkvm_tensor_export(&last_words, result, &last[0][0]);
    for (auto &dimension : last) zkvm_commit(&dimension[7], sizeof dimension[7]);
    return 0;
}
