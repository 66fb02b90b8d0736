/* BLAKE3 for guests: the compression function, and the hash of bytes.
 * Specification: J. O'Connor, J.-P. Aumasson, S. Neves, Z. Wilcox-O'Hearn, "BLAKE3: one function, fast everywhere", 2020, section 2.
 *
 * The machine compresses in one system call. Where it does not know the call, under an emulator, the library computes the same in C.
 *
 *     uint8_t digest[ZKVM_BLAKE3_BYTES];
 *     zkvm_blake3_hash(digest, data, length);
 *     zkvm_commit(digest, sizeof digest);
 *
 * Bytes that begin at a multiple of 4 are hashed fastest.
 */
#ifndef ZKVM_BLAKE3_H
#define ZKVM_BLAKE3_H

#include <zkvm.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZKVM_SYS_BLAKE3 4099 /* Linux has no such call */

#define ZKVM_BLAKE3_BYTES 32
#define ZKVM_BLAKE3_CHUNK_START 1
#define ZKVM_BLAKE3_CHUNK_END 2
#define ZKVM_BLAKE3_PARENT 4
#define ZKVM_BLAKE3_ROOT 8
#define ZKVM_BLAKE3_KEYED 16

/* What one compression takes, as the machine reads it. */
typedef struct zkvm_blake3_input {
    uint32_t chaining[8];
    uint32_t block[16];
    uint32_t counter[2]; /* low word, high word */
    uint32_t length;     /* bytes of the block that are used */
    uint32_t flags;
} zkvm_blake3_input;

/* Chaining value of an unkeyed hash; also where a compression's constants come from. */
extern const uint32_t zkvm_blake3_initial[8];

/* Compresses: the first eight words of the result replace `input->chaining`. Input that the machine cannot write (constants) is refused. */
void zkvm_blake3_compress(zkvm_blake3_input *input);

/* The same in C, without the call. */
void zkvm_blake3_compress_in_c(zkvm_blake3_input *input);

/* A hash of bytes that come in pieces, of 2^32 KiB at most. */
typedef struct zkvm_blake3 {
    zkvm_blake3_input input; /* of the block that is being filled; its counter is that of the chunk */
    uint32_t filled;         /* bytes in it */
    uint32_t blocks;         /* compressed in the chunk */
    uint32_t depth;          /* finished subtrees */
    uint32_t stack[33][8];   /* their chaining values, the largest first */
} zkvm_blake3;

void zkvm_blake3_start(zkvm_blake3 *hash);
void zkvm_blake3_update(zkvm_blake3 *hash, const void *data, size_t length);

/* Writes the digest; the hash has to be started again before it is used again. */
void zkvm_blake3_finish(zkvm_blake3 *hash, uint8_t digest[ZKVM_BLAKE3_BYTES]);

/* The hash of bytes that are all there. */
void zkvm_blake3_hash(uint8_t digest[ZKVM_BLAKE3_BYTES], const void *data, size_t length);

#ifdef __cplusplus
}
#endif

#endif
