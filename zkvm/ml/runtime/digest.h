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
    static const uint8_t order[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
    uint32_t m[16], next[16], s[16];
    for (int i = 0; i < 16; i++) m[i] = block[i];
    for (int i = 0; i < 8; i++) s[i] = value[i];
    for (int i = 0; i < 4; i++) s[8 + i] = blake3_iv[i];
    s[12] = counter, s[13] = 0, s[14] = length, s[15] = flags;
    for (int round = 0;; round++) {
        BLAKE3_MIX(s[0], s[4], s[8], s[12], m[0], m[1]);
        BLAKE3_MIX(s[1], s[5], s[9], s[13], m[2], m[3]);
        BLAKE3_MIX(s[2], s[6], s[10], s[14], m[4], m[5]);
        BLAKE3_MIX(s[3], s[7], s[11], s[15], m[6], m[7]);
        BLAKE3_MIX(s[0], s[5], s[10], s[15], m[8], m[9]);
        BLAKE3_MIX(s[1], s[6], s[11], s[12], m[10], m[11]);
        BLAKE3_MIX(s[2], s[7], s[8], s[13], m[12], m[13]);
        BLAKE3_MIX(s[3], s[4], s[9], s[14], m[14], m[15]);
        if (round == 6) break;
        for (int i = 0; i < 16; i++) next[i] = m[order[i]];
        for (int i = 0; i < 16; i++) m[i] = next[i];
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
