/* Heap sort of int32. */
#include <zkvm.h>

static void sift(int32_t *a, int32_t start, int32_t end) {
    int32_t root = start;
    while (2 * root + 1 < end) {
        int32_t child = 2 * root + 1;
        if (child + 1 < end && a[child] < a[child + 1]) child++;
        if (a[root] >= a[child]) return;
        int32_t held = a[root];
        a[root] = a[child];
        a[child] = held;
        root = child;
    }
}

int main(void) {
    uint32_t n = zkvm_read_u32();
    zkvm_assert(n < 1u << 20);
    int32_t *a = zkvm_allocate(4 * n);
    zkvm_read_exact(a, 4 * n);
    for (int32_t start = (int32_t)n / 2 - 1; start >= 0; start--) sift(a, start, (int32_t)n);
    for (int32_t end = (int32_t)n - 1; end > 0; end--) {
        int32_t held = a[0];
        a[0] = a[end];
        a[end] = held;
        sift(a, 0, end);
    }
    zkvm_commit(a, 4 * n);
    return 0;
}
