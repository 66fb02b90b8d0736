/* What translated Python calls. Included once, by the file that the translator writes.
 *
 * `where` is the place in the Python source that a panic names: a constant, so a check costs a comparison and a branch. */
#ifndef ZKVM_PYTHON_H
#define ZKVM_PYTHON_H

#include <stdbool.h>
#include <zkvm.h>
#include <zkvm_blake3.h>
#include <zkvm_poseidon2.h>

/* Nothing below is used by every program. */
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wunused-parameter"
#pragma clang diagnostic ignored "-Wunused-variable"
#pragma clang diagnostic ignored "-Wunused-but-set-variable"
#pragma clang diagnostic ignored "-Wunused-label"

#define PY_RARE(condition) __builtin_expect((condition), 0)
/* Their instructions count for the line of Python that they are for. */
#define PY_INLINE __attribute__((nodebug)) static inline
#define PY_COLD __attribute__((noinline, cold, noreturn)) static void

PY_COLD py_panic(const char *where, const char *message) {
    zkvm_printf("%s: %s\n", where, message);
    zkvm_exit(1);
}

PY_COLD py_index_panic(const char *where, int32_t index, uint32_t axis, uint32_t length) {
    zkvm_printf("%s: IndexError: index %d is out of bounds for axis %u with size %u\n", where, (int)index, (unsigned)axis, (unsigned)length);
    zkvm_exit(1);
}

PY_COLD py_length_panic(const char *where, int32_t left, int32_t right) {
    zkvm_printf("%s: ValueError: lengths %d and %d do not fit together\n", where, (int)left, (int)right);
    zkvm_exit(1);
}

PY_COLD py_overflow_panic(const char *where) {
    py_panic(where, "OverflowError: an int beyond 32 bits; np.int64 and np.uint64 have 64");
}

PY_COLD py_range_panic(const char *where) {
    py_panic(where, "OverflowError: the number is out of bounds for the type");
}

PY_COLD py_zero_panic(const char *where) {
    py_panic(where, "ZeroDivisionError: division by zero");
}

/* ---- memory: blocks with a count of their users, in classes of powers of two, given back to their class. ---- */

typedef struct py_block {
    uint32_t users;
    uint32_t order; /* the class: 2^order bytes, this header among them; behind it the next free block of the class */
} py_block;

#define PY_HEADER 16u
#define PY_ORDERS 32u
#define PY_CHUNK 65536u
static py_block *py_free_blocks[PY_ORDERS];
static uint8_t *py_fresh;
static uint32_t py_fresh_left;

/* Memory that was never written, so it is zero. Taken from the host in pieces: a call costs more than some words. */
static void *py_fresh_memory(uint32_t length, const char *where) {
    if (length > py_fresh_left) {
        uint32_t piece = length > PY_CHUNK ? length : PY_CHUNK;
        uint32_t start = ((uint32_t)zkvm_syscall(ZKVM_SYS_BRK, 0, 0, 0) + 15u) & ~15u, end = start + piece;
        if (PY_RARE(end < start || (uint32_t)zkvm_syscall(ZKVM_SYS_BRK, end, 0, 0) != end)) py_panic(where, "MemoryError: the heap is used up");
        py_fresh = (uint8_t *)(uintptr_t)start;
        py_fresh_left = piece;
    }
    void *taken = py_fresh;
    py_fresh += length;
    py_fresh_left -= length;
    return taken;
}

#ifdef PY_CHECK_MEMORY
/* For tests: memory that is given back is overwritten, and main panics at its end if something still holds a block. */
static uint32_t py_blocks_in_use;
#define PY_TAKEN() (py_blocks_in_use++)
#define PY_GIVEN_BACK(block) \
    (py_blocks_in_use--, memset((uint8_t *)(block) + PY_HEADER, 0xA5, (1u << (block)->order) - PY_HEADER))
#define PY_END() (py_blocks_in_use != 0 ? py_panic("end", "memory was not given back") : (void)0)
#else
#define PY_TAKEN() ((void)0)
#define PY_GIVEN_BACK(block) ((void)0)
#define PY_END() ((void)0)
#endif

/* A block of count * width bytes with one user; zeroed on demand. */
__attribute__((noinline)) static py_block *py_allocate(uint32_t count, uint32_t width, bool zeroed, const char *where) {
    uint64_t wanted = (uint64_t)count * width + PY_HEADER;
    if (PY_RARE(wanted > (1u << 28))) py_panic(where, "MemoryError: the array is larger than the heap");
    uint32_t length = (uint32_t)wanted, order = 5;
    while ((1u << order) < length) order++;
    py_block *block = py_free_blocks[order];
    if (block != NULL) {
        py_free_blocks[order] = *(py_block **)(block + 1);
        if (zeroed) memset((uint8_t *)block + PY_HEADER, 0, length - PY_HEADER);
    } else {
        block = py_fresh_memory(1u << order, where);
    }
    block->users = 1;
    block->order = order;
    PY_TAKEN();
    return block;
}

PY_INLINE void py_retain(py_block *block) {
    if (block != NULL) block->users++;
}

PY_INLINE void py_release(py_block *block) {
    if (block == NULL || --block->users != 0) return;
    PY_GIVEN_BACK(block);
    *(py_block **)(block + 1) = py_free_blocks[block->order];
    py_free_blocks[block->order] = block;
}

PY_INLINE void *py_data(py_block *block) {
    return (uint8_t *)block + PY_HEADER;
}

/* Elements of arrays. Memory that is given back holds elements of another type later, which the compiler must not take for other memory. */
#define PY_ITEM(T) typedef T __attribute__((may_alias)) py_item_##T;
PY_ITEM(int8_t)
PY_ITEM(int16_t)
PY_ITEM(int32_t)
PY_ITEM(int64_t)
PY_ITEM(uint8_t)
PY_ITEM(uint16_t)
PY_ITEM(uint32_t)
PY_ITEM(uint64_t)
PY_ITEM(float)
PY_ITEM(double)
typedef bool __attribute__((may_alias)) py_item_bool;

/* ---- int: exact within 32 bits, or a panic ---- */

#define PY_CHECKED(name, builtin) \
    PY_INLINE int32_t name(int32_t a, int32_t b, const char *where) { \
        int32_t result; \
        if (PY_RARE(builtin(a, b, &result))) py_overflow_panic(where); \
        return result; \
    }
PY_CHECKED(py_add, __builtin_add_overflow)
PY_CHECKED(py_sub, __builtin_sub_overflow)
PY_CHECKED(py_mul, __builtin_mul_overflow)

/* Of two that are not negative: the sum fits 32 bits without a sign. */
PY_INLINE int32_t py_add_natural(int32_t a, int32_t b, const char *where) {
    uint32_t result = (uint32_t)a + (uint32_t)b;
    if (PY_RARE(result > INT32_MAX)) py_overflow_panic(where);
    return (int32_t)result;
}

/* By a constant above zero: a comparison of the other factor. */
PY_INLINE int32_t py_mul_known(int32_t a, int32_t constant, const char *where) {
    if (PY_RARE(a > INT32_MAX / constant || a < INT32_MIN / constant)) py_overflow_panic(where);
    return (int32_t)((uint32_t)a * (uint32_t)constant);
}

PY_INLINE int32_t py_mul_known_natural(int32_t a, int32_t constant, const char *where) {
    if (PY_RARE((uint32_t)a > (uint32_t)(INT32_MAX / constant))) py_overflow_panic(where);
    return (int32_t)((uint32_t)a * (uint32_t)constant);
}

PY_INLINE int32_t py_floordiv(int32_t a, int32_t b, const char *where) {
    if (PY_RARE(b == 0)) py_zero_panic(where);
    if (PY_RARE(b == -1)) return py_sub(0, a, where);
    int32_t quotient = a / b;
    return quotient - ((a % b != 0) & ((a ^ b) < 0));
}

PY_INLINE int32_t py_mod(int32_t a, int32_t b, const char *where) {
    if (PY_RARE(b == 0)) py_zero_panic(where);
    if (PY_RARE(b == -1)) return 0;
    int32_t rest = a % b;
    return rest != 0 && (rest ^ b) < 0 ? rest + b : rest;
}

PY_INLINE int32_t py_lshift(int32_t a, int32_t b, const char *where) {
    if (PY_RARE(b < 0)) py_panic(where, "ValueError: negative shift count");
    if (a == 0) return 0;
    if (PY_RARE(b > 31 || (int32_t)((uint32_t)a << b) >> b != a)) py_overflow_panic(where);
    return (int32_t)((uint32_t)a << b);
}

PY_INLINE int32_t py_rshift(int32_t a, int32_t b, const char *where) {
    if (PY_RARE(b < 0)) py_panic(where, "ValueError: negative shift count");
    return a >> (b > 31 ? 31 : b);
}

PY_INLINE int32_t py_pow(int32_t a, int32_t b, const char *where) {
    if (PY_RARE(b < 0)) py_panic(where, "ValueError: an int to a negative power is a float: write float(x) and divide");
    int32_t result = 1;
    for (; b != 0; b >>= 1) {
        if (b & 1) result = py_mul(result, a, where);
        if (b > 1) a = py_mul(a, a, where);
    }
    return result;
}

/* ---- numpy's integers: they wrap; with PY_CHECKS those with a sign panic instead ---- */

#ifdef PY_CHECKS
#define PY_WRAPS(SIGNED, overflow, where) \
    (SIGNED && PY_RARE(overflow) ? py_panic(where, "OverflowError: a signed integer of numpy leaves its width (--checks)") : (void)0)
#else
#define PY_WRAPS(SIGNED, overflow, where) ((void)0)
#endif

#define PY_WRAPPING_OPERATOR(name, sign, builtin, T, U, W, SIGNED) \
    PY_INLINE T py_##name##_##T(T a, T b, const char *where) { \
        T result; \
        PY_WRAPS(SIGNED, builtin(a, b, &result), where); \
        return (T)((W)(U)a sign (W)(U)b); \
    }
#define PY_WRAPPING(T, U, W, BITS, SIGNED) \
    PY_WRAPPING_OPERATOR(add, +, __builtin_add_overflow, T, U, W, SIGNED) \
    PY_WRAPPING_OPERATOR(sub, -, __builtin_sub_overflow, T, U, W, SIGNED) \
    PY_WRAPPING_OPERATOR(mul, *, __builtin_mul_overflow, T, U, W, SIGNED) \
    PY_INLINE T py_lshift_##T(T a, T b, const char *where) { \
        T result = (U)b < BITS ? (T)((W)(U)a << (U)b) : (T)0; \
        PY_WRAPS(SIGNED, a != 0 && ((U)b >= BITS || (T)(result >> b) != a), where); \
        return result; \
    } \
    PY_INLINE T py_rshift_##T(T a, T b, const char *where) { return (U)b < BITS ? (T)(a >> b) : (T)(SIGNED && a < 0 ? -1 : 0); } \
    PY_INLINE T py_floordiv_##T(T a, T b, const char *where) { \
        if (PY_RARE(b == 0)) py_zero_panic(where); \
        if (SIGNED && PY_RARE(b == (T)-1)) return py_sub_##T(0, a, where); \
        T quotient = (T)(a / b); \
        return (T)(quotient - (SIGNED && (a % b != 0) & ((a ^ b) < 0))); \
    } \
    PY_INLINE T py_mod_##T(T a, T b, const char *where) { \
        if (PY_RARE(b == 0)) py_zero_panic(where); \
        if (SIGNED && PY_RARE(b == (T)-1)) return 0; \
        T rest = (T)(a % b); \
        return SIGNED && rest != 0 && (rest ^ b) < 0 ? (T)(rest + b) : rest; \
    } \
    PY_INLINE T py_pow_##T(T a, T b, const char *where) { \
        if (SIGNED && PY_RARE(b < 0)) py_panic(where, "ValueError: integers to negative integer powers are not allowed"); \
        T result = 1; \
        for (; b != 0; b = (T)(b >> 1)) { \
            if (b & 1) result = py_mul_##T(result, a, where); \
            if (b > 1) a = py_mul_##T(a, a, where); \
        } \
        return result; \
    }
PY_WRAPPING(int8_t, uint8_t, uint32_t, 8u, 1)
PY_WRAPPING(int16_t, uint16_t, uint32_t, 16u, 1)
PY_WRAPPING(int32_t, uint32_t, uint32_t, 32u, 1)
PY_WRAPPING(int64_t, uint64_t, uint64_t, 64u, 1)
PY_WRAPPING(uint8_t, uint8_t, uint32_t, 8u, 0)
PY_WRAPPING(uint16_t, uint16_t, uint32_t, 16u, 0)
PY_WRAPPING(uint32_t, uint32_t, uint32_t, 32u, 0)
PY_WRAPPING(uint64_t, uint64_t, uint64_t, 64u, 0)

/* An integer of any type as one of another, or a panic. */
#define PY_FIT(T, value, where) \
    ({ \
        __typeof__(value) py_given = (value); \
        T py_taken = (T)py_given; \
        if (PY_RARE((__typeof__(value))py_taken != py_given || (py_taken < 0) != (py_given < 0))) py_range_panic(where); \
        py_taken; \
    })

/* -1, 0 or 1: a uint64 compared with a signed integer. */
PY_INLINE int32_t py_compare_mixed(uint64_t a, int64_t b) {
    return b < 0 || a > (uint64_t)b ? 1 : a < (uint64_t)b ? -1 : 0;
}

#include "python_floats.h"

/* ---- indices, slices, ranges ---- */

/* No axis is longer than the heap has bytes: py_size looks at all of them. So most sums of indices need no check. */
#define PY_LONGEST (1 << 28)
#define PY_ASSUME_LENGTH(length) __builtin_assume((length) >= 0 && (length) <= PY_LONGEST)

/* An index that is never negative. */
PY_INLINE uint32_t py_natural(uint32_t index, int32_t length, uint32_t axis, const char *where) {
    PY_ASSUME_LENGTH(length);
    if (PY_RARE(index >= (uint32_t)length)) py_index_panic(where, (int32_t)index, axis, (uint32_t)length);
    return index;
}

PY_INLINE uint32_t py_index(int32_t index, int32_t length, uint32_t axis, const char *where) {
    PY_ASSUME_LENGTH(length);
    uint32_t place = (uint32_t)(index < 0 ? index + length : index);
    if (PY_RARE(place >= (uint32_t)length)) py_index_panic(where, index, axis, (uint32_t)length);
    return place;
}

/* A bound of a slice with positive step, cut to the array. */
PY_INLINE int32_t py_bound(int32_t bound, int32_t length) {
    if (bound < 0) bound += length;
    return bound < 0 ? 0 : bound > length ? length : bound;
}

/* The same with negative step: from -1 to length - 1. */
PY_INLINE int32_t py_bound_down(int32_t bound, int32_t length) {
    if (bound < 0) bound += length;
    return bound < 0 ? -1 : bound >= length ? length - 1 : bound;
}

PY_INLINE int32_t py_range_length(int32_t start, int32_t stop, int32_t step, const char *where) {
    if (PY_RARE(step == 0)) py_panic(where, "ValueError: range() arg 3 must not be zero");
    uint32_t count = 0;
    if (step > 0 && start < stop) count = ((uint32_t)stop - (uint32_t)start - 1) / (uint32_t)step + 1;
    if (step < 0 && start > stop) count = ((uint32_t)start - (uint32_t)stop - 1) / (0u - (uint32_t)step) + 1;
    if (PY_RARE(count > INT32_MAX)) py_overflow_panic(where);
    return (int32_t)count;
}

PY_INLINE int32_t py_size(int32_t left, int32_t right, const char *where) {
    if (PY_RARE(left < 0 || right < 0)) py_panic(where, "ValueError: negative dimensions are not allowed");
    int32_t product;
    if (PY_RARE(left > PY_LONGEST || right > PY_LONGEST || __builtin_mul_overflow(left, right, &product))) py_panic(where, "MemoryError: the array is larger than the heap");
    return product;
}

/* The common length of two axes, one of which may be repeated. */
PY_INLINE int32_t py_broadcast(int32_t left, int32_t right, const char *where) {
    if (left == right || right == 1) return left;
    if (PY_RARE(left != 1)) py_length_panic(where, left, right);
    return right;
}

/* ---- input ---- */

static void py_read(void *buffer, uint32_t length, const char *where) {
    uint8_t *to = buffer;
    while (length != 0) {
        size_t count = zkvm_read(to, length);
        if (PY_RARE(count == 0)) py_panic(where, "the input ended early");
        to += count;
        length -= count;
    }
}

static uint32_t py_read_available(void *buffer, uint32_t length) {
    uint8_t *to = buffer;
    uint32_t total = 0;
    while (total != length) {
        size_t count = zkvm_read(to + total, length - total);
        if (count == 0) break;
        total += count;
    }
    return total;
}

/* ---- hashes ---- */

static void py_poseidon2_hash(uint8_t *digest, const void *data, uint32_t length) {
    zkvm_digest found;
    zkvm_poseidon2_hash(data, length, &found);
    memcpy(digest, &found, sizeof found);
}

static void py_poseidon2_compress(uint8_t *digest, const uint8_t *left, const uint8_t *right, const char *where) {
    zkvm_digest sides[2];
    memcpy(&sides[0], left, sizeof sides[0]);
    memcpy(&sides[1], right, sizeof sides[1]);
    if (!zkvm_digest_is_canonical(&sides[0]) || !zkvm_digest_is_canonical(&sides[1])) py_panic(where, "ValueError: no digest");
    zkvm_poseidon2_compress(&sides[0], &sides[1], &sides[0]);
    memcpy(digest, &sides[0], sizeof sides[0]);
}

/* ---- for people ---- */

static void py_log_int(int64_t value) {
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do *--at = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (value < 0) *--at = '-';
    zkvm_print(at, (size_t)(digits + sizeof digits - at));
}

static void py_log_uint64(uint64_t value) {
    char digits[24], *at = digits + sizeof digits;
    do *--at = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    zkvm_print(at, (size_t)(digits + sizeof digits - at));
}

#endif
