/* BLAKE3: see zkvm_blake3.h. Chunks of 16 blocks are leaves of a tree that is as full as can be on the left. */
#include <zkvm_blake3.h>

#define BLOCK_BYTES 64u
#define CHUNK_BLOCKS 16u
#define VALUE_BYTES 32u

const uint32_t zkvm_blake3_initial[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

static inline uint32_t rotated(uint32_t x, int by) {
    return (x >> by) | (x << (32 - by));
}

#define MIX(a, b, c, d, x, y)   \
    do {                        \
        a += b + (x);           \
        d = rotated(d ^ a, 16); \
        c += d;                 \
        b = rotated(b ^ c, 12); \
        a += b + (y);           \
        d = rotated(d ^ a, 8);  \
        c += d;                 \
        b = rotated(b ^ c, 7);  \
    } while (0)

void zkvm_blake3_compress_in_c(zkvm_blake3_input *input) {
    /* Which message word each round uses, in order: the permutation applied again and again. Unrolled, the indices cost nothing. */
    static const uint8_t order[7][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
        {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
        {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
        {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
        {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
        {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};
    const uint32_t *block = input->block;
    uint32_t s[16];
    for (int i = 0; i < 8; i++) s[i] = input->chaining[i];
    for (int i = 0; i < 4; i++) s[8 + i] = zkvm_blake3_initial[i];
    s[12] = input->counter[0], s[13] = input->counter[1], s[14] = input->length, s[15] = input->flags;
    _Pragma("clang loop unroll(full)") for (int round = 0; round < 7; round++) {
        const uint8_t *at = order[round];
        MIX(s[0], s[4], s[8], s[12], block[at[0]], block[at[1]]);
        MIX(s[1], s[5], s[9], s[13], block[at[2]], block[at[3]]);
        MIX(s[2], s[6], s[10], s[14], block[at[4]], block[at[5]]);
        MIX(s[3], s[7], s[11], s[15], block[at[6]], block[at[7]]);
        MIX(s[0], s[5], s[10], s[15], block[at[8]], block[at[9]]);
        MIX(s[1], s[6], s[11], s[12], block[at[10]], block[at[11]]);
        MIX(s[2], s[7], s[8], s[13], block[at[12]], block[at[13]]);
        MIX(s[3], s[4], s[9], s[14], block[at[14]], block[at[15]]);
    }
    for (int i = 0; i < 8; i++) input->chaining[i] = s[i] ^ s[i + 8];
}

void zkvm_blake3_compress(zkvm_blake3_input *input) {
    /* The call returns 0; a machine that does not know it returns an error and leaves the words alone. */
    if (zkvm_syscall(ZKVM_SYS_BLAKE3, (uint32_t)(uintptr_t)input, 0, 0) != 0) zkvm_blake3_compress_in_c(input);
}

static inline void copy_words(uint32_t *target, const uint32_t *source, int count) {
    _Pragma("clang loop unroll(full)") for (int i = 0; i < count; i++) target[i] = source[i];
}

static void begin_chunk(zkvm_blake3 *hash) {
    copy_words(hash->input.chaining, zkvm_blake3_initial, 8);
    hash->blocks = hash->filled = 0;
}

/* Compresses the block; `flags` beside that of a chunk's start. */
static void end_block(zkvm_blake3 *hash, uint32_t flags) {
    hash->input.length = hash->filled;
    hash->input.flags = flags | (hash->blocks == 0 ? ZKVM_BLAKE3_CHUNK_START : 0);
    zkvm_blake3_compress(&hash->input);
    hash->blocks++;
    hash->filled = 0;
}

/* The chaining value becomes that of the parent of the last finished subtree and itself. */
static void join(zkvm_blake3 *hash, uint32_t flags) {
    zkvm_blake3_input *input = &hash->input;
    copy_words(input->block + 8, input->chaining, 8);
    copy_words(input->block, hash->stack[--hash->depth], 8);
    copy_words(input->chaining, zkvm_blake3_initial, 8);
    input->counter[0] = input->counter[1] = 0;
    input->length = BLOCK_BYTES;
    input->flags = ZKVM_BLAKE3_PARENT | flags;
    zkvm_blake3_compress(input);
}

/* Ends a chunk that is not the last: it is joined with the finished subtrees of its size. */
static void end_chunk(zkvm_blake3 *hash) {
    end_block(hash, ZKVM_BLAKE3_CHUNK_END);
    uint32_t chunks = hash->input.counter[0] + 1;
    for (uint32_t rest = chunks; (rest & 1) == 0 && hash->depth != 0; rest >>= 1) join(hash, 0);
    copy_words(hash->stack[hash->depth++], hash->input.chaining, 8);
    hash->input.counter[0] = chunks;
    begin_chunk(hash);
}

void zkvm_blake3_start(zkvm_blake3 *hash) {
    hash->input.counter[0] = hash->input.counter[1] = hash->depth = 0;
    begin_chunk(hash);
}

void zkvm_blake3_update(zkvm_blake3 *hash, const void *data, size_t length) {
    const uint8_t *from = data;
    while (length != 0) {
        if (hash->filled == BLOCK_BYTES) {
            if (hash->blocks == CHUNK_BLOCKS - 1) end_chunk(hash);
            else end_block(hash, 0);
        }
        uint32_t room = BLOCK_BYTES - hash->filled;
        uint32_t taken = length < room ? (uint32_t)length : room;
        if (taken == BLOCK_BYTES && (uintptr_t)from % 4 == 0) copy_words(hash->input.block, (const uint32_t *)(const void *)from, 16);
        else memcpy((uint8_t *)hash->input.block + hash->filled, from, taken);
        hash->filled += taken;
        from += taken;
        length -= taken;
    }
}

void zkvm_blake3_finish(zkvm_blake3 *hash, uint8_t digest[ZKVM_BLAKE3_BYTES]) {
    memset((uint8_t *)hash->input.block + hash->filled, 0, BLOCK_BYTES - hash->filled);
    end_block(hash, ZKVM_BLAKE3_CHUNK_END | (hash->depth == 0 ? ZKVM_BLAKE3_ROOT : 0));
    while (hash->depth != 0) join(hash, hash->depth == 1 ? ZKVM_BLAKE3_ROOT : 0);
    memcpy(digest, hash->input.chaining, VALUE_BYTES);
}

void zkvm_blake3_hash(uint8_t digest[ZKVM_BLAKE3_BYTES], const void *data, size_t length) {
    zkvm_blake3 hash;
    zkvm_blake3_start(&hash);
    zkvm_blake3_update(&hash, data, length);
    zkvm_blake3_finish(&hash, digest);
}
