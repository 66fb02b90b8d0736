/* zkvm guest SDK: Poseidon2 over the field p = 2^64 - 2^32 + 1, width 12, as a system call.
 *
 * For hashes that are to be proven cheaply: a permutation is one row of two tables. The hash is not a standard one; the same
 * digests are computed outside by zkvm.poseidon2_hash and zkvm.poseidon2_compress. Where the call is unknown (another machine, an emulator)
 * the same is computed in C.
 */
#ifndef ZKVM_POSEIDON2_H
#define ZKVM_POSEIDON2_H

#include <zkvm.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZKVM_SYS_PERMUTE 4098 /* Linux has no such call */

/* 12 elements of the field, of each the low word first. Any 64 bits count mod p. */
typedef struct {
    uint32_t words[24];
} zkvm_poseidon2_state;

/* 32 bytes: four elements below p, little-endian. Aligned to words, so that digests can be hashed as they are. */
typedef struct {
    uint32_t words[8];
} zkvm_digest;

/* Permutes the state. All elements are below p then. */
void zkvm_poseidon2_permute(zkvm_poseidon2_state *state);

/* A hash that takes its bytes in parts. */
typedef struct {
    zkvm_poseidon2_state state;
    uint32_t held; /* bytes of the block that is not full yet, 1 to 56; 0: nothing was added so far */
    uint32_t block[14];
} zkvm_poseidon2_hasher;

/* Begins a hash. Hashes of different domains are unrelated; 0 if there is only one kind. */
void zkvm_poseidon2_begin(zkvm_poseidon2_hasher *hasher, uint32_t domain);

/* Adds bytes. It makes no difference how they are divided over calls; fastest are multiples of 56 at aligned addresses. */
void zkvm_poseidon2_add(zkvm_poseidon2_hasher *hasher, const void *data, size_t length);

/* Ends the hash. */
void zkvm_poseidon2_end(zkvm_poseidon2_hasher *hasher, zkvm_digest *digest);

/* The hash of bytes in domain 0, in one. */
void zkvm_poseidon2_hash(const void *data, size_t length, zkvm_digest *digest);

/* The digest of two digests, for trees: one permutation. It is unrelated to every hash of bytes. `digest` may be one of both.
 *
 * Elements count mod p: whoever takes digests from the input and needs them to be unique asks zkvm_digest_is_canonical. */
void zkvm_poseidon2_compress(const zkvm_digest *left, const zkvm_digest *right, zkvm_digest *digest);

/* Whether all four elements are below p, as those of every digest made here are. */
int zkvm_digest_is_canonical(const zkvm_digest *digest);

#ifdef __cplusplus
}
#endif

#endif
