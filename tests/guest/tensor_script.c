/* Runs a script of tensor calls that is its input, on machines that do not know the call: descriptors and constants are in memory.
 *
 * Input: numbers of vectors, channels, rows of patterns, entries and words, the addresses that descriptors use for the first four; these; then steps until
 * the input ends: a descriptor of fourteen words, two operands (places of earlier steps, -1: constants), an offset into the words, and what
 * an import reads. Journal: of each step the numbers of its tensor, and what it cut if it rescales; then
 * the words. */
#include <zkvm_tensor.h>

enum { MAX_STEPS = 32 };

struct step {
    uint32_t words[14];
    int32_t first, second, offset;
};

static zkvm_tensor made[MAX_STEPS];

static void *read_array(uint32_t bytes) {
    void *array = zkvm_allocate(bytes);
    zkvm_read_exact(array, bytes);
    return array;
}

static void commit_tensor(zkvm_tensor tensor, uint32_t vectors) {
    zkvm_export all = ZKVM_EXPORT(.vectors = vectors, .words = 8, .x_stride = 1);
    int32_t *numbers = zkvm_allocate(vectors * 32);
    zkvm_tensor_export(&all, tensor, numbers);
    zkvm_commit(numbers, vectors * 32);
}

int main(void) {
    uint32_t counts[9];
    zkvm_read_exact(counts, sizeof counts);
    uint32_t vectors = ZKVM_AT(read_array(counts[0] * 16)) - counts[5];
    uint32_t channels = ZKVM_AT(read_array(counts[1] * 16)) - counts[6];
    uint32_t patterns = ZKVM_AT(read_array(counts[2] * 32)) - counts[7];
    uint32_t functions = ZKVM_AT(read_array(counts[3] * 2)) - counts[8];
    int32_t *words = read_array(counts[4] * 4);
    struct step step;
    for (uint32_t number = 0; zkvm_read(&step, sizeof step) == sizeof step; number++) {
        zkvm_tensor x = step.first < 0 ? ZKVM_CONSTANT_VECTORS : made[step.first];
        zkvm_tensor w = step.second < 0 ? ZKVM_CONSTANT_VECTORS : made[step.second];
        uint32_t count = step.words[1];
        zkvm_assert(number < MAX_STEPS);
        if (x.handle == 0) step.words[4] += vectors;
        uint32_t combines = step.words[0] == ZKVM_TENSOR_COMBINE, multiplies = step.words[0] == ZKVM_TENSOR_MULTIPLY;
        if (w.handle == 0 || combines) step.words[6] += vectors;
        if (w.handle == 0 || combines) step.words[12] += vectors;
        uint32_t scaled = step.words[0] == ZKVM_TENSOR_SCALED || step.words[0] == ZKVM_TENSOR_SCALED_DEPTHWISE;
        uint32_t functional = step.words[0] == ZKVM_TENSOR_APPLY || step.words[0] == ZKVM_TENSOR_RELATIVE;
        uint32_t rescales = combines || multiplies || scaled || step.words[0] == ZKVM_TENSOR_LINEAR || step.words[0] == ZKVM_TENSOR_DEPTHWISE;
        if ((combines || multiplies) && (multiplies ? x.handle : w.handle) == 0) step.words[10] += vectors;
        uint32_t own = w.handle == 0 ? vectors : 0;
        step.words[8] += scaled ? own : step.words[0] == ZKVM_TENSOR_GATHER ? patterns : functional ? functions : channels;
        switch (step.words[0]) {
        case ZKVM_TENSOR_IMPORT:
            made[number] = zkvm_tensor_import((const zkvm_import *)step.words);
            break;
        case ZKVM_TENSOR_LOAD:
            made[number] = zkvm_tensor_load((const zkvm_load *)step.words, words + step.offset / 4);
            break;
        case ZKVM_TENSOR_LINEAR:
            made[number] = zkvm_tensor_linear((const zkvm_linear *)step.words, x, w);
            count *= step.words[2];
            break;
        case ZKVM_TENSOR_SCALED:
            made[number] = zkvm_tensor_scaled_linear((const zkvm_scaled_linear *)step.words, x, w);
            count *= step.words[2];
            break;
        case ZKVM_TENSOR_GATHER:
            made[number] = zkvm_tensor_gather((const zkvm_gather *)step.words, x, w);
            break;
        case ZKVM_TENSOR_MAXIMUM:
            made[number] = zkvm_tensor_maximum((const zkvm_maximum *)step.words, x);
            break;
        case ZKVM_TENSOR_APPLY:
            made[number] = zkvm_tensor_apply((const zkvm_apply *)step.words, x);
            break;
        case ZKVM_TENSOR_RELATIVE:
            made[number] = zkvm_tensor_relative((const zkvm_relative *)step.words, x, w);
            count *= step.words[2];
            break;
        case ZKVM_TENSOR_COMBINE:
            made[number] = zkvm_tensor_combine((const zkvm_combine *)step.words, x, w);
            count *= step.words[2];
            break;
        case ZKVM_TENSOR_MULTIPLY:
            made[number] = zkvm_tensor_multiply((const zkvm_combine *)step.words, x, w);
            count *= step.words[2];
            break;
        case ZKVM_TENSOR_DEPTHWISE:
        case ZKVM_TENSOR_SCALED_DEPTHWISE:
            made[number] = zkvm_tensor_depthwise((const zkvm_depthwise *)step.words, x, w);
            count *= step.words[2];
            break;
        case ZKVM_TENSOR_IMPORT_DIGESTED:
            made[number] = zkvm_tensor_import_digested((const zkvm_import_digested *)step.words);
            count = 3 * step.words[1] + 7 * step.words[2] + 2;
            break;
        case ZKVM_TENSOR_DIGEST:
            zkvm_tensor_digest((const zkvm_tensor_digest_check *)step.words, x);
            count = 0;
            break;
        default:
            zkvm_tensor_export((const zkvm_export *)step.words, x, words + step.offset / 4);
            count = 0;
        }
        if (count != 0) commit_tensor(made[number], count);
        if (rescales) zkvm_commit(&zkvm_tensor_cuts, sizeof zkvm_tensor_cuts);
    }
    zkvm_commit(words, counts[4] * 4);
    return 0;
}
