/* Commits its whole input, moved in pieces of every size and to every offset within a word, so that partial words, odd
 * lengths and buffers that begin anywhere all occur. */
#include <zkvm.h>

#define LONGEST 37

static uint8_t buffer[LONGEST + 4] __attribute__((aligned(4)));

int main(void) {
    uint32_t round = 0;
    for (;;) {
        uint32_t offset = round & 3;
        uint32_t length = 1 + (round * 5) % LONGEST;
        size_t count = zkvm_read(buffer + offset, length);
        if (count == 0) return 0;
        zkvm_commit(buffer + offset, count);
        round++;
    }
}
