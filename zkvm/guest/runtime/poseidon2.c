/* Poseidon2, hashes and trees: the call, and what it means where the machine does not know it. See zkvm_poseidon2.h.
 *
 * A hash is a sponge that overwrites. Elements 8 to 11 of the state are its capacity: at first (domain + 2^32 kind, 0, 0, 0), where the
 * kind is HASH. A block is 56 bytes, elements 0 to 6 of eight bytes each, low byte first. Element 7 has bit i where the bytes of element i
 * are p or more as a number, so that blocks that differ are states that differ; in the last block, which is filled up with zeros,
 * also 256 (1 + its bytes). There is a last block, if need be of no bytes; each is written over elements 0 to 7 and permuted. The digest is elements
 * 0 to 3 then. Two digests are elements 0 to 7 of one such block with the kind COMPRESS. */
#include <zkvm_poseidon2.h>

#define WIDTH 12
#define HALF_ROUNDS 4
#define INNER_ROUNDS 22
#define BLOCK_BYTES 56u
#define BLOCK_ELEMENTS 7
#define HASH 1u
#define COMPRESS 2u

/* --- the permutation in C: instance and names as in zkvm/riscv/isa/poseidon2.py ------------------------------------------------- */

#define P 0xffffffff00000001u
#define EPSILON 0xffffffffu /* 2^64 mod p */

/* What each round adds; tools/poseidon2_constants.py makes the numbers. */
static const uint64_t outer[2 * HALF_ROUNDS * WIDTH] = {
    0x13dcf33aba214f46u, 0x30b3b654a1da6d83u, 0x1fc634ada6159b56u, 0x937459964dc03466u, 0xedd2ef2ca7949924u, 0xede9affde0e22f68u,
    0x8515b9d6bac9282du, 0x6b5c07b4e9e900d8u, 0x1ec66368838c8a08u, 0x9042367d80d1fbabu, 0x400283564a3c3799u, 0x4a00be0466bca75eu,
    0x7913beee58e3817fu, 0xf545e88532237d90u, 0x22f8cb8736042005u, 0x6f04990e247a2623u, 0xfe22e87ba37c38cdu, 0xd20e32c85ffe2815u,
    0x117227674048fe73u, 0x4e9fb7ea98a6b145u, 0xe0866c232b8af08bu, 0x00bbc77916884964u, 0x7031c0fb990d7116u, 0x240a9e87cf35108fu,
    0x2e6363a5a12244b3u, 0x5e1c3787d1b5011cu, 0x4132660e2a196e8bu, 0x3a013b648d3d4327u, 0xf79839f49888ea43u, 0xfe85658ebafe1439u,
    0xb6889825a14240bdu, 0x578453605541382bu, 0x4508cda8f6b63ce9u, 0x9c3ef35848684c91u, 0x0812bde23c87178cu, 0xfe49638f7f722c14u,
    0x8e3f688ce885cbf5u, 0xb8e110acf746a87du, 0xb4b2e8973a6dabefu, 0x9e714c5da3d462ecu, 0x6438f9033d3d0c15u, 0x24312f7cf1a27199u,
    0x23f843bb47acbf71u, 0x9183f11a34be9f01u, 0x839062fbb9d45dbfu, 0x24b56e7e6c2e43fau, 0xe1683da61c962a72u, 0xa95c63971a19bfa7u,
    0xc68be7c94882a24du, 0xaf996d5d5cdaedd9u, 0x9717f025e7daf6a5u, 0x6436679e6e7216f4u, 0x8a223d99047af267u, 0xbb512e35a133ba9au,
    0xfbbf44097671aa03u, 0xf04058ebf6811e61u, 0x5cca84703fac7ffbu, 0x9b55c7945de6469fu, 0x8e05bf09808e934fu, 0x2ea900de876307d7u,
    0x7748fff2b38dfb89u, 0x6b99a676dd3b5d81u, 0xac4bb7c627cf7c13u, 0xadb6ebe5e9e2f5bau, 0x2d33378cafa24ae3u, 0x1e5b73807543f8c2u,
    0x09208814bfebb10fu, 0x782e64b6bb5b93ddu, 0xadd5a48eac90b50fu, 0xadd4c54c736ea4b1u, 0xd58dbb86ed817fd8u, 0x6d5ed1a533f34dddu,
    0x28686aa3e36b7cb9u, 0x591abd3476689f36u, 0x047d766678f13875u, 0xa2a11112625f5b49u, 0x21fd10a3f8304958u, 0xf9b40711443b0280u,
    0xd2697eb8b2bde88eu, 0x3493790b51731b3fu, 0x11caf9dd73764023u, 0x7acfb8f72878164eu, 0x744ec4db23cefc26u, 0x1e00e58f422c6340u,
    0x21dd28d906a62ddau, 0xf32a46ab5f465b5fu, 0xbfce13201f3f7e6bu, 0xf30d2e7adb5304e2u, 0xecdf4ee4abad48e9u, 0xf94e82182d395019u,
    0x4ee52e3744d887c5u, 0xa1341c7cac0083b2u, 0x2302fb26c30c834au, 0xaea3c587273bf7d3u, 0xf798e24961823ec7u, 0x962deba3e9a2cd94u,
};
static const uint64_t inner[INNER_ROUNDS] = {
    0x4adf842aa75d4316u, 0xf8fbb871aa4ab4ebu, 0x68e85b6eb2dd6aebu, 0x07a0b06b2d270380u, 0xd94e0228bd282de4u, 0x8bdd91d3250c5278u,
    0x209c68b88bba778fu, 0xb5e18cdab77f3877u, 0xb296a3e808da93fau, 0x8370ecbda11a327eu, 0x3f9075283775dad8u, 0xb78095bb23c6aa84u,
    0x3f36b9fe72ad4e5fu, 0x69bc96780b10b553u, 0x3f1d341f2eb7b881u, 0x4e939e9815838818u, 0xda366b3ae2a31604u, 0xbc89db1e7287d509u,
    0x6102f411f9ef5659u, 0x58725c5e7ac1f0abu, 0x0df5856c798883e7u, 0xf7bb62a8da4c961bu,
};
static const uint64_t diagonal[WIDTH] = { /* -2, 1, 2, 1/2, 3, 4, -1/2, -3, -4, 1/4, -1/4, 1/8 */
    0xfffffffeffffffffu, 0x0000000000000001u, 0x0000000000000002u, 0x7fffffff80000001u, 0x0000000000000003u, 0x0000000000000004u,
    0x7fffffff80000000u, 0xfffffffefffffffeu, 0xfffffffefffffffdu, 0xbfffffff40000001u, 0x3fffffffc0000000u, 0xdfffffff20000001u,
};

/* All below p. */
static uint64_t add(uint64_t a, uint64_t b) {
    uint64_t room = P - b;
    return a >= room ? a - room : a + b;
}

static uint64_t multiply(uint64_t a, uint64_t b) {
    uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    uint64_t low_low = a_low * b_low, middle = a_high * b_low + (low_low >> 32), middle_low = a_low * b_high + (uint32_t)middle;
    uint64_t low = (middle_low << 32) | (uint32_t)low_low, high = a_high * b_high + (middle >> 32) + (middle_low >> 32);
    uint64_t top = high >> 32, difference = low - top, term = (uint32_t)high * (uint64_t)EPSILON;
    if (low < top) difference -= EPSILON;
    uint64_t total = difference + term;
    if (total < term) total += EPSILON;
    return total >= P ? total - P : total;
}

static uint64_t box(uint64_t x) {
    uint64_t square = multiply(x, x), cube = multiply(square, x);
    return multiply(multiply(cube, cube), x);
}

static uint64_t twice(uint64_t x) {
    return add(x, x);
}

static void mix_outer(uint64_t *s) {
    uint64_t places[4] = {0, 0, 0, 0};
    for (int k = 0; k < WIDTH; k += 4) {
        uint64_t a = s[k], b = s[k + 1], c = s[k + 2], d = s[k + 3], total = add(add(a, b), add(c, d));
        s[k] = add(total, add(a, twice(b)));
        s[k + 1] = add(total, add(b, twice(c)));
        s[k + 2] = add(total, add(c, twice(d)));
        s[k + 3] = add(total, add(d, twice(a)));
        for (int j = 0; j < 4; j++) places[j] = add(places[j], s[k + j]);
    }
    for (int k = 0; k < WIDTH; k++) s[k] = add(s[k], places[k % 4]);
}

static void outer_rounds(uint64_t *s, const uint64_t *constants) {
    for (int round = 0; round < HALF_ROUNDS; round++) {
        for (int k = 0; k < WIDTH; k++) s[k] = box(add(s[k], constants[round * WIDTH + k]));
        mix_outer(s);
    }
}

__attribute__((noinline)) static void permute_in_c(zkvm_poseidon2_state *state) {
    uint64_t s[WIDTH];
    for (int k = 0; k < WIDTH; k++) {
        s[k] = (uint64_t)state->words[2 * k + 1] << 32 | state->words[2 * k];
        if (s[k] >= P) s[k] -= P;
    }
    mix_outer(s);
    outer_rounds(s, outer);
    for (int round = 0; round < INNER_ROUNDS; round++) {
        s[0] = box(add(s[0], inner[round]));
        uint64_t total = 0;
        for (int k = 0; k < WIDTH; k++) total = add(total, s[k]);
        for (int k = 0; k < WIDTH; k++) s[k] = add(total, multiply(s[k], diagonal[k]));
    }
    outer_rounds(s, outer + HALF_ROUNDS * WIDTH);
    for (int k = 0; k < WIDTH; k++) {
        state->words[2 * k] = (uint32_t)s[k];
        state->words[2 * k + 1] = (uint32_t)(s[k] >> 32);
    }
}

/* --- the call --------------------------------------------------------------------------------------------------------------------- */

void zkvm_poseidon2_permute(zkvm_poseidon2_state *state) {
    register uint32_t number __asm__("a7") = ZKVM_SYS_PERMUTE;
    register uint32_t result __asm__("a0") = (uint32_t)(uintptr_t)state;
    __asm__ volatile("ecall" : "+r"(result) : "r"(number) : "memory");
    if (result != 0) permute_in_c(state);
}

/* --- hashes ----------------------------------------------------------------------------------------------------------------------- */

static void begin(zkvm_poseidon2_state *state, uint32_t domain, uint32_t kind) {
    state->words[16] = domain;
    state->words[17] = kind;
    for (int k = 18; k < 2 * WIDTH; k++) state->words[k] = 0;
}

/* Bit k where element k of a block is p or more as a number. */
__attribute__((noinline)) static uint32_t marks_of(const uint32_t *block) {
    uint32_t marks = 0;
    for (int k = 0; k < BLOCK_ELEMENTS; k++) {
        if (block[2 * k + 1] == 0xffffffffu && block[2 * k] != 0) marks |= 1u << k;
    }
    return marks;
}

/* Element by element, with a branch that is hardly ever taken: a compiler that computes the marks without one takes five instructions for each. */
static void take(zkvm_poseidon2_state *state, const uint32_t *block, uint32_t marks) {
#pragma GCC unroll 7
    for (int k = 0; k < BLOCK_ELEMENTS; k++) {
        uint32_t low = block[2 * k], high = block[2 * k + 1];
        state->words[2 * k] = low;
        state->words[2 * k + 1] = high;
        if (__builtin_expect(high == 0xffffffffu, 0)) goto marked;
    }
    goto full;
marked:
    memcpy(state->words, block, BLOCK_BYTES);
    marks |= marks_of(block);
full:
    state->words[2 * BLOCK_ELEMENTS] = marks;
    state->words[2 * BLOCK_ELEMENTS + 1] = 0;
    zkvm_poseidon2_permute(state);
}

static void give(const zkvm_poseidon2_state *state, zkvm_digest *digest) {
    memcpy(digest->words, state->words, sizeof digest->words);
}

void zkvm_poseidon2_begin(zkvm_poseidon2_hasher *hasher, uint32_t domain) {
    begin(&hasher->state, domain, HASH);
    hasher->held = 0;
}

void zkvm_poseidon2_add(zkvm_poseidon2_hasher *hasher, const void *data, size_t length) {
    const uint8_t *bytes = data;
    while (length != 0) {
        if (hasher->held == BLOCK_BYTES) {
            take(&hasher->state, hasher->block, 0);
            hasher->held = 0;
        }
        if (hasher->held == 0 && (uintptr_t)bytes % 4 == 0) {
            /* What is left behind the last of these blocks is at least a byte, so none of them ends the hash. */
            for (; length > BLOCK_BYTES; bytes += BLOCK_BYTES, length -= BLOCK_BYTES) {
                take(&hasher->state, (const uint32_t *)(const void *)bytes, 0);
            }
        }
        size_t room = BLOCK_BYTES - hasher->held, count = length < room ? length : room;
        memcpy((uint8_t *)hasher->block + hasher->held, bytes, count);
        hasher->held += (uint32_t)count;
        bytes += count;
        length -= count;
    }
}

void zkvm_poseidon2_end(zkvm_poseidon2_hasher *hasher, zkvm_digest *digest) {
    memset((uint8_t *)hasher->block + hasher->held, 0, BLOCK_BYTES - hasher->held);
    take(&hasher->state, hasher->block, 256 * (1 + hasher->held));
    give(&hasher->state, digest);
}

void zkvm_poseidon2_hash(const void *data, size_t length, zkvm_digest *digest) {
    zkvm_poseidon2_hasher hasher;
    zkvm_poseidon2_begin(&hasher, 0);
    zkvm_poseidon2_add(&hasher, data, length);
    zkvm_poseidon2_end(&hasher, digest);
}

void zkvm_poseidon2_compress(const zkvm_digest *left, const zkvm_digest *right, zkvm_digest *digest) {
    zkvm_poseidon2_state state;
    begin(&state, 0, COMPRESS);
    memcpy(state.words, left->words, sizeof left->words);
    memcpy(state.words + 8, right->words, sizeof right->words);
    zkvm_poseidon2_permute(&state);
    give(&state, digest);
}

int zkvm_digest_is_canonical(const zkvm_digest *digest) {
    for (int k = 0; k < 8; k += 2) {
        if (digest->words[k + 1] == 0xffffffffu && digest->words[k] != 0) return 0;
    }
    return 1;
}
