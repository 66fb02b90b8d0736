/* Convolution of an image of int32 with a constant kernel of 3 x 3. */
#include <zkvm.h>

static const int32_t kernel[3][3] = {{1, 2, 1}, {2, -7, 3}, {1, 2, 5}};

int main(void) {
    uint32_t n = zkvm_read_u32();
    zkvm_assert(n >= 3 && n < 1u << 10);
    int32_t *image = zkvm_allocate(4 * n * n), *out = zkvm_allocate(4 * (n - 2) * (n - 2));
    zkvm_read_exact(image, 4 * n * n);
    for (uint32_t y = 0; y < n - 2; y++) {
        for (uint32_t x = 0; x < n - 2; x++) {
            int32_t total = 0;
            for (uint32_t i = 0; i < 3; i++)
                for (uint32_t j = 0; j < 3; j++) total += image[(y + i) * n + x + j] * kernel[i][j];
            out[y * (n - 2) + x] = total;
        }
    }
    zkvm_commit(out, 4 * (n - 2) * (n - 2));
    return 0;
}
