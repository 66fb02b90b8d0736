/* What the input says: compressions of 28 words, in C and by the library, or hashes of bytes that come in pieces. */
#include <zkvm_blake3.h>

#define MOST 8192

static uint32_t room[MOST / 4];

static void compress(void) {
    zkvm_blake3_input input, in_c;
    zkvm_read_exact(&input, sizeof input);
    in_c = input;
    zkvm_blake3_compress(&input);
    zkvm_blake3_compress_in_c(&in_c);
    zkvm_commit(&input, sizeof input);
    zkvm_commit(&in_c, sizeof in_c);
}

/* `offset` bytes behind a word's begin, in pieces of `piece` bytes; 0: all at once. */
static void hash(uint32_t length, uint32_t piece, uint32_t offset) {
    uint8_t digest[ZKVM_BLAKE3_BYTES], *data = (uint8_t *)room + offset;
    zkvm_assert(offset < 4 && length <= MOST - 4);
    zkvm_read_exact(data, length);
    if (piece == 0) {
        zkvm_blake3_hash(digest, data, length);
    } else {
        zkvm_blake3 state;
        zkvm_blake3_start(&state);
        for (uint32_t done = 0; done < length; done += piece) {
            zkvm_blake3_update(&state, data + done, length - done < piece ? length - done : piece);
        }
        zkvm_blake3_finish(&state, digest);
    }
    zkvm_commit(digest, sizeof digest);
}

int main(void) {
    for (uint32_t count = zkvm_read_u32(); count != 0; count--) {
        if (zkvm_read_u32() == 0) {
            compress();
        } else {
            uint32_t length = zkvm_read_u32(), piece = zkvm_read_u32(), offset = zkvm_read_u32();
            hash(length, piece, offset);
        }
    }
    return 0;
}
