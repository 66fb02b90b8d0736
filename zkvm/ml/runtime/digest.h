/* Salted BLAKE3 digests of words: the salt is read from the private input, the digest is committed to the journal. */
#ifndef ZKVM_ML_DIGEST_H
#define ZKVM_ML_DIGEST_H

#include <zkvm.h>
#include <zkvm_blake3.h>

#define DIGEST_SALT_WORDS 8

struct digest {
    zkvm_blake3 hash;
};

static inline void digest_words(struct digest *d, const int32_t *words, int count) {
    zkvm_blake3_update(&d->hash, words, (size_t)count * sizeof *words);
}

static inline void digest_start(struct digest *d) {
    int32_t salt[DIGEST_SALT_WORDS];
    zkvm_blake3_start(&d->hash);
    zkvm_read_exact(salt, sizeof salt);
    digest_words(d, salt, DIGEST_SALT_WORDS);
}

static inline void digest_commit(struct digest *d) {
    uint32_t value[ZKVM_BLAKE3_BYTES / sizeof(uint32_t)];
    zkvm_blake3_finish(&d->hash, (uint8_t *)value);
    zkvm_commit(value, sizeof value);
}

#endif
