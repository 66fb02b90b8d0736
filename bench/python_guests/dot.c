/* Dot product of two vectors of int32. */
#include <zkvm.h>

int main(void) {
    uint32_t n = zkvm_read_u32(), total = 0;
    zkvm_assert(n < 1u << 20);
    uint32_t *a = zkvm_allocate(4 * n), *b = zkvm_allocate(4 * n);
    zkvm_read_exact(a, 4 * n);
    zkvm_read_exact(b, 4 * n);
    for (uint32_t i = 0; i < n; i++) total += a[i] * b[i];
    zkvm_commit_u32(total);
    return 0;
}
