/* Does what its input asks for on a buffer of 128 bytes, then commits the buffer and the results: the test's window into the
 * guest library. A request is five bytes: operation, target offset, source offset, length, value. */
#include <zkvm.h>

static uint8_t buffer[128] __attribute__((aligned(4)));

int main(void) {
    uint8_t request[5];
    zkvm_read_exact(buffer, sizeof buffer);
    for (uint32_t count = zkvm_read_u32(); count != 0; count--) {
        zkvm_read_exact(request, sizeof request);
        uint8_t *target = buffer + request[1];
        uint8_t *source = buffer + request[2];
        uint32_t length = request[3];
        if (request[0] == 0) memcpy(target, source, length);
        if (request[0] == 1) memmove(target, source, length);
        if (request[0] == 2) memset(target, request[4], length);
        if (request[0] == 3) zkvm_commit_u32((uint32_t)memcmp(target, source, length));
    }
    zkvm_commit(buffer, sizeof buffer);
    uint8_t *first = zkvm_allocate(5);
    uint8_t *second = zkvm_allocate(1);
    if (((uintptr_t)first & 15) != 0 || ((uintptr_t)second & 15) != 0 || second < first + 5) zkvm_panic("bad allocation");
    if (first[0] != 0 || first[4] != 0) zkvm_panic("memory is not zero");
    zkvm_log_i32("lowest ", INT32_MIN);
    zkvm_log_i32("zero ", 0);
    zkvm_log("end");
    return (int)strlen("seven..");
}
