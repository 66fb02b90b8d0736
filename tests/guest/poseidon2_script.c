/* Hashes what the input says: domain, length, place in a word, bytes of each part; then the data. Ends at a length of 2^32 - 1.
 * Commits each digest, what it and the one before compress to, and in the end a state from the input, permuted. */
#include <zkvm_poseidon2.h>

static uint32_t buffer[1024];

int main(void) {
    zkvm_digest last = {{0}}, digest, both;
    for (;;) {
        uint32_t domain = zkvm_read_u32(), length = zkvm_read_u32(), place = zkvm_read_u32(), part = zkvm_read_u32();
        if (length == 0xffffffffu) break;
        zkvm_assert(length + place <= sizeof buffer);
        uint8_t *data = (uint8_t *)buffer + place;
        zkvm_read_exact(data, length);
        if (part == 0) {
            zkvm_assert(domain == 0);
            zkvm_poseidon2_hash(data, length, &digest);
        } else {
            zkvm_poseidon2_hasher hasher;
            zkvm_poseidon2_begin(&hasher, domain);
            for (uint32_t done = 0; done < length; done += part) {
                zkvm_poseidon2_add(&hasher, data + done, length - done < part ? length - done : part);
            }
            zkvm_poseidon2_end(&hasher, &digest);
        }
        zkvm_assert(zkvm_digest_is_canonical(&digest));
        zkvm_commit(&digest, sizeof digest);
        zkvm_poseidon2_compress(&last, &digest, &both);
        zkvm_commit(&both, sizeof both);
        zkvm_poseidon2_compress(&digest, &last, &last); /* one of both is where the result goes */
        zkvm_commit(&last, sizeof last);
        last = digest;
    }
    zkvm_poseidon2_state state;
    zkvm_read_exact(&state, sizeof state);
    zkvm_commit_u32((uint32_t)zkvm_digest_is_canonical((const zkvm_digest *)&state));
    zkvm_poseidon2_permute(&state);
    zkvm_commit(&state, sizeof state);
    return 0;
}
