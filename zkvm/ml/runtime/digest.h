/* Salted BLAKE3 digests of words: the salt is read from the private input, the digest is committed to the journal.
 * Specification: J. O'Connor, J.-P. Aumasson, S. Neves, Z. Wilcox-O'Hearn, "BLAKE3", 2020, section 2. */
#ifndef ZKVM_ML_DIGEST_H
#define ZKVM_ML_DIGEST_H

#include <zkvm.h>

#define DIGEST_SALT_WORDS 8
#define BLAKE3_CHUNK_START 1
#define BLAKE3_CHUNK_END 2
#define BLAKE3_PARENT 4
#define BLAKE3_ROOT 8

static const uint32_t blake3_iv[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

struct digest {
    uint32_t stack[24][8]; /* chaining values of finished subtrees, largest first */
    int depth;
    uint32_t chunks;     /* finished chunks */
    uint32_t value[8];   /* chaining value inside the current chunk */
    uint32_t block[16];
    int words;           /* in the current block */
    int blocks;          /* compressed in the current chunk */
};

static inline uint32_t blake3_rotate(uint32_t x, int by) {
    return (x >> by) | (x << (32 - by));
}

#define BLAKE3_MIX(a, b, c, d, x, y)          \
    do {                                      \
        a += b + (x);                         \
        d = blake3_rotate(d ^ a, 16);         \
        c += d;                               \
        b = blake3_rotate(b ^ c, 12);         \
        a += b + (y);                         \
        d = blake3_rotate(d ^ a, 8);          \
        c += d;                               \
        b = blake3_rotate(b ^ c, 7);          \
    } while (0)

/* Compresses one block; the first eight words of the result replace `value`. */
static void blake3_compress(uint32_t value[8], const uint32_t block[16], uint32_t counter, uint32_t length, uint32_t flags) {
    /* Which message word each round uses, in order: the permutation applied again and again. Unrolled, the indices cost nothing. */
    static const uint8_t order[7][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
        {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
        {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
        {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
        {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
        {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};
    uint32_t s[16];
    for (int i = 0; i < 8; i++) s[i] = value[i];
    for (int i = 0; i < 4; i++) s[8 + i] = blake3_iv[i];
    s[12] = counter, s[13] = 0, s[14] = length, s[15] = flags;
    _Pragma("clang loop unroll(full)") for (int round = 0; round < 7; round++) {
        const uint8_t *at = order[round];
        BLAKE3_MIX(s[0], s[4], s[8], s[12], block[at[0]], block[at[1]]);
        BLAKE3_MIX(s[1], s[5], s[9], s[13], block[at[2]], block[at[3]]);
        BLAKE3_MIX(s[2], s[6], s[10], s[14], block[at[4]], block[at[5]]);
        BLAKE3_MIX(s[3], s[7], s[11], s[15], block[at[6]], block[at[7]]);
        BLAKE3_MIX(s[0], s[5], s[10], s[15], block[at[8]], block[at[9]]);
        BLAKE3_MIX(s[1], s[6], s[11], s[12], block[at[10]], block[at[11]]);
        BLAKE3_MIX(s[2], s[7], s[8], s[13], block[at[12]], block[at[13]]);
        BLAKE3_MIX(s[3], s[4], s[9], s[14], block[at[14]], block[at[15]]);
    }
    for (int i = 0; i < 8; i++) value[i] = s[i] ^ s[i + 8];
}

static inline void digest_copy(uint32_t *target, const uint32_t *source, int count) {
    for (int i = 0; i < count; i++) target[i] = source[i];
}

/* target = parent of left and right. */
static void digest_join(uint32_t target[8], const uint32_t left[8], const uint32_t right[8], uint32_t flags) {
    uint32_t block[16], value[8];
    digest_copy(block, left, 8);
    digest_copy(block + 8, right, 8);
    digest_copy(value, blake3_iv, 8);
    blake3_compress(value, block, 0, 64, BLAKE3_PARENT | flags);
    digest_copy(target, value, 8);
}

static void digest_block(struct digest *d, uint32_t flags) {
    uint32_t length = 4 * (uint32_t)d->words;
    for (int i = d->words; i < 16; i++) d->block[i] = 0;
    blake3_compress(d->value, d->block, d->chunks, length, flags | (d->blocks == 0 ? BLAKE3_CHUNK_START : 0));
    d->blocks++;
    d->words = 0;
}

/* Ends the current chunk, which is not the last: its value joins the finished subtrees of its size. */
static void digest_chunk(struct digest *d) {
    digest_block(d, BLAKE3_CHUNK_END);
    d->chunks++;
    for (uint32_t count = d->chunks; (count & 1) == 0; count >>= 1) digest_join(d->value, d->stack[--d->depth], d->value, 0);
    digest_copy(d->stack[d->depth++], d->value, 8);
    digest_copy(d->value, blake3_iv, 8);
    d->blocks = 0;
}

static void digest_words(struct digest *d, const int32_t *words, int count) {
    for (int i = 0; i < count; i++) {
        if (d->words == 16) {
            if (d->blocks == 15) digest_chunk(d);
            else digest_block(d, 0);
        }
        d->block[d->words++] = (uint32_t)words[i];
    }
}

static void digest_start(struct digest *d) {
    int32_t salt[DIGEST_SALT_WORDS];
    d->depth = d->words = d->blocks = 0;
    d->chunks = 0;
    digest_copy(d->value, blake3_iv, 8);
    zkvm_read_exact(salt, sizeof salt);
    digest_words(d, salt, DIGEST_SALT_WORDS);
}

static void digest_commit(struct digest *d) {
    digest_block(d, BLAKE3_CHUNK_END | (d->depth == 0 ? BLAKE3_ROOT : 0));
    while (d->depth > 0) {
        d->depth--;
        digest_join(d->value, d->stack[d->depth], d->value, d->depth == 0 ? BLAKE3_ROOT : 0);
    }
    zkvm_commit(d->value, 32);
}

#endif
