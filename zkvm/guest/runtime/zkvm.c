/* The calls of zkvm.h that are more than one system call. */
#include <zkvm.h>

void zkvm_read_exact(void *buffer, size_t length) {
    uint8_t *to = buffer;
    while (length != 0) {
        size_t count = zkvm_read(to, length);
        if (count == 0) zkvm_panic("the input ended early");
        to += count;
        length -= count;
    }
}

void zkvm_log(const char *text) {
    zkvm_print(text, strlen(text));
    zkvm_print("\n", 1);
}

void zkvm_log_i32(const char *text, int32_t value) {
    char digits[12]; /* sign, ten digits, newline */
    char *at = digits + sizeof digits;
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    *--at = '\n';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0) *--at = '-';
    zkvm_print(text, strlen(text));
    zkvm_print(at, (size_t)(digits + sizeof digits - at));
}

void zkvm_panic(const char *message) {
    zkvm_syscall(ZKVM_SYS_WRITE, ZKVM_FD_ERROR, (uint32_t)(uintptr_t)message, strlen(message));
    zkvm_syscall(ZKVM_SYS_WRITE, ZKVM_FD_ERROR, (uint32_t)(uintptr_t)"\n", 1);
    zkvm_exit(1);
}

void *zkvm_allocate(size_t length) {
    uint32_t start = ((uint32_t)zkvm_syscall(ZKVM_SYS_BRK, 0, 0, 0) + 15u) & ~15u;
    uint32_t end = start + (uint32_t)length;
    if (end < start || (uint32_t)zkvm_syscall(ZKVM_SYS_BRK, end, 0, 0) != end) zkvm_panic("out of memory");
    return (void *)(uintptr_t)start;
}
