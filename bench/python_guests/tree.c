/* Decisions of a tree of depth 8 over rows of 16 features, with constant thresholds (the tables are those of tree.py). */
#include <zkvm.h>

#define NODES 255
static const int32_t features[NODES] = {FEATURES};
static const int32_t thresholds[NODES] = {THRESHOLDS};

int main(void) {
    uint32_t n = zkvm_read_u32();
    zkvm_assert(n < 1u << 16);
    int32_t (*rows)[16] = zkvm_allocate(64 * n), counts[256] = {0};
    zkvm_read_exact(rows, 64 * n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t node = 0;
        while (node < NODES) node = 2 * node + (rows[i][features[node]] <= thresholds[node] ? 1 : 2);
        counts[node - NODES]++;
    }
    zkvm_commit(counts, sizeof counts);
    return 0;
}
