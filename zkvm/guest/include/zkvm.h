/* zkvm guest SDK: what a proven program can call.
 *
 * A guest is a freestanding RV32IM program. It reads its private input, computes, and commits its public output to the
 * journal; the receipt proves that this program, on some input, wrote exactly this journal and ended with this exit code.
 * The calls are those of Linux on RISC-V, so the same ELF also runs under a user-mode emulator.
 *
 *     #include <zkvm.h>
 *     int main(void) {
 *         uint32_t x = zkvm_read_u32();
 *         zkvm_commit_u32(x * x);
 *         return 0;
 *     }
 *
 * Integers in input and journal are little-endian. Memory starts as zero; misaligned access, access outside memory and
 * stores to constants make a run unprovable. Floating point and 64-bit division work, in software and slowly.
 */
#ifndef ZKVM_H
#define ZKVM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#if !__STDC_HOSTED__
int main(void); /* C linkage: a freestanding C++ main has none by itself */
#endif
#define ZKVM_NORETURN [[noreturn]]
#define ZKVM_RESTRICT __restrict
#else
#define ZKVM_NORETURN _Noreturn
#define ZKVM_RESTRICT restrict
#endif

#define ZKVM_FD_INPUT 0   /* private input, supplied by the host */
#define ZKVM_FD_OUTPUT 1  /* shown by the host, not proven */
#define ZKVM_FD_ERROR 2   /* shown by the host, not proven */
#define ZKVM_FD_JOURNAL 3 /* public and proven */

#define ZKVM_SYS_READ 63
#define ZKVM_SYS_WRITE 64
#define ZKVM_SYS_EXIT 93
#define ZKVM_SYS_BRK 214
#define ZKVM_SYS_CYCLES 4096 /* Linux has no such call */

/* One system call: its result, or minus a Linux error number. */
static inline int32_t zkvm_syscall(uint32_t number, uint32_t first, uint32_t second, uint32_t third) {
    register uint32_t a7 __asm__("a7") = number;
    register uint32_t a0 __asm__("a0") = first;
    register uint32_t a1 __asm__("a1") = second;
    register uint32_t a2 __asm__("a2") = third;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return (int32_t)a0;
}

/* Ends the run. The exit code is public; a verifier demands 0 unless told otherwise. */
ZKVM_NORETURN static inline void zkvm_exit(int32_t code) {
    zkvm_syscall(ZKVM_SYS_EXIT, (uint32_t)code, 0, 0);
    __builtin_unreachable();
}

/* Reads up to `length` bytes of the private input; returns how many came.
 *
 * Nothing proves that the host hands over all that it has: whoever proves chooses the bytes and, in each call, their
 * number. 0 means "no more", as far as the host says. */
static inline size_t zkvm_read(void *buffer, size_t length) {
    return (size_t)zkvm_syscall(ZKVM_SYS_READ, ZKVM_FD_INPUT, (uint32_t)(uintptr_t)buffer, (uint32_t)length);
}

/* Reads exactly `length` bytes; panics if the input ends before. */
void zkvm_read_exact(void *buffer, size_t length);

/* Reads four bytes as one integer; panics if the input ends before. */
static inline uint32_t zkvm_read_u32(void) {
    uint32_t value;
    zkvm_read_exact(&value, sizeof value);
    return value;
}

/* How many instructions the run has executed before this call. Proven, like every result of a call but the input's bytes: a
 * guest may decide by it. What it depends on, it tells: a count that is committed says something about the private input. */
static inline uint64_t zkvm_cycles(void) {
    return (uint32_t)zkvm_syscall(ZKVM_SYS_CYCLES, 0, 0, 0);
}

/* Appends `length` bytes to the journal. The bytes may be constants. */
static inline void zkvm_commit(const void *data, size_t length) {
    zkvm_syscall(ZKVM_SYS_WRITE, ZKVM_FD_JOURNAL, (uint32_t)(uintptr_t)data, (uint32_t)length);
}

/* Appends one integer, four bytes, to the journal. */
static inline void zkvm_commit_u32(uint32_t value) {
    zkvm_commit(&value, sizeof value);
}

/* Shows bytes on the host's standard output. Not proven: for people who debug. */
static inline void zkvm_print(const void *data, size_t length) {
    zkvm_syscall(ZKVM_SYS_WRITE, ZKVM_FD_OUTPUT, (uint32_t)(uintptr_t)data, (uint32_t)length);
}

/* Shows a text and a newline on the host's standard output. Not proven. */
void zkvm_log(const char *text);

/* Shows a text, a number in decimal and a newline on the host's standard output. Not proven. */
void zkvm_log_i32(const char *text, int32_t value);

/* Formats a text as printf does and shows it on the host's standard error; returns its length. Not proven.
 * Knows all of C's conversions but those of floating point, for which it shows (float), and of wide characters. printf of <stdio.h>
 * knows them all; this one is smaller. */
__attribute__((format(printf, 1, 2))) int zkvm_printf(const char *format, ...);
int zkvm_vprintf(const char *format, va_list arguments);

/* Shows a message on the host's standard error and ends the run with exit code 1. */
ZKVM_NORETURN void zkvm_panic(const char *message);

/* Panics with file, line and text of a condition that does not hold. Not removed by any build. */
#define ZKVM_TEXT_OF(line) #line
#define ZKVM_LINE(line) ZKVM_TEXT_OF(line)
#define zkvm_assert(condition) \
    ((condition) ? (void)0 : zkvm_panic(__FILE__ ":" ZKVM_LINE(__LINE__) ": assertion failed: " #condition))

/* Takes `length` zeroed bytes, aligned to 16, from the heap; panics if there are no more. They are never given back. */
void *zkvm_allocate(size_t length);

/* The parts of the C library that compilers call on their own. */
void *memcpy(void *ZKVM_RESTRICT target, const void *ZKVM_RESTRICT source, size_t length);
void *memmove(void *target, const void *source, size_t length);
void *memset(void *target, int value, size_t length);
int memcmp(const void *left, const void *right, size_t length);
size_t strlen(const char *text);

#ifdef __cplusplus
}
#endif

#endif
