/* The calls of zkvm_tensor.h that digest: as in tensor.c. */
#include <zkvm_poseidon2.h>

#include "tensor.h"

#define DIGEST_TAG 0x7a6b
#define RATE 8
#define INT16_BITS 16
#define INT16_PACKED 3
#define BYTE_BITS 8
#define BYTE_PACKED 7

/* A state that says what is digested: so many rows of three vectors of int16, and of seven vectors of bytes. */
static zkvm_poseidon2_state state_for(uint32_t rows, uint32_t byte_rows) {
    zkvm_poseidon2_state state = {{0}};
    state.words[16] = DIGEST_TAG;
    state.words[18] = rows;
    state.words[20] = byte_rows;
    return state;
}

/* An element of the field: `count` lanes of so many bits, the upper ones, without their signs. */
static uint64_t packed(const int16_t *lanes, uint32_t count, uint32_t bits) {
    uint64_t element = 0;
    for (uint32_t lane = 0; lane < count; lane++) element |= (uint64_t)((lanes[lane] + 32768) >> (INT16_BITS - bits)) << bits * lane;
    return element;
}

static void absorb(zkvm_poseidon2_state *state, const int16_t *lanes, uint32_t rows, uint32_t count, uint32_t bits) {
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t element = 0; element < RATE; element++, lanes += count) {
            uint64_t word = packed(lanes, count, bits);
            state->words[2 * element] = (uint32_t)word;
            state->words[2 * element + 1] = (uint32_t)(word >> 32);
        }
        zkvm_poseidon2_permute(state);
    }
}

IN_C void digest_in_c(const zkvm_tensor_digest_check *descriptor, zkvm_tensor x) {
    check_operand(x, descriptor->x, (uint64_t)3 * descriptor->rows + 1);
    zkvm_poseidon2_state state = state_for(descriptor->rows, 0);
    const int16_t *lanes = lanes_at(x.handle, descriptor->x), *given = lanes + (size_t)RATE * INT16_PACKED * descriptor->rows;
    absorb(&state, lanes, descriptor->rows, INT16_PACKED, INT16_BITS);
    for (uint32_t element = 0; element < 4; element++) {
        uint64_t word = packed(given + 4 * element, 4, INT16_BITS);
        if (state.words[2 * element] != (uint32_t)word || state.words[2 * element + 1] != (uint32_t)(word >> 32)) {
            zkvm_panic("vectors are not the digest of those before them");
        }
    }
}

CALL void zkvm_tensor_digest(const zkvm_tensor_digest_check *descriptor, zkvm_tensor x) {
    tensor_call(descriptor, x.handle, 0);
    if (machine != SERVED) digest_in_c(descriptor, x);
}

IN_C zkvm_tensor import_digested_in_c(const zkvm_import_digested *call) {
    if (call->rows == 0) zkvm_panic("a digested import has no row of int16");
    if (call->rows >= 1u << 27 || call->byte_rows >= 1u << 27) zkvm_panic("a tensor has too many vectors");
    uint32_t bytes = BYTE_PACKED * LANES * call->byte_rows, lanes = INT16_PACKED * LANES * call->rows;
    zkvm_tensor made = make(BYTE_PACKED * call->byte_rows + INT16_PACKED * call->rows + 2);
    int16_t *small = lanes_at(made.handle, 0), *large = small + bytes, *digest = large + lanes;
    int8_t row[BYTE_PACKED * LANES];
    for (uint32_t lane = 0; lane < bytes; lane += sizeof row) {
        zkvm_read_exact(row, sizeof row);
        for (uint32_t k = 0; k < sizeof row; k++) small[lane + k] = (int16_t)(row[k] * (1 << BYTE_BITS));
    }
    zkvm_read_exact(large, lanes * sizeof *large);
    zkvm_poseidon2_state state = state_for(call->rows, call->byte_rows);
    absorb(&state, small, call->byte_rows, BYTE_PACKED, BYTE_BITS);
    absorb(&state, large, call->rows, INT16_PACKED, INT16_BITS);
    for (uint32_t lane = 0; lane < 16; lane++) {
        digest[lane] = (int16_t)((int32_t)(state.words[lane / 2] >> 16 * (lane % 2) & 0xffff) - 32768);
    }
    return made;
}

CALL zkvm_tensor zkvm_tensor_import_digested(const zkvm_import_digested *descriptor) {
    uint32_t id = tensor_call(descriptor, 0, 0);
    return machine == SERVED ? (zkvm_tensor){id} : import_digested_in_c(descriptor);
}
