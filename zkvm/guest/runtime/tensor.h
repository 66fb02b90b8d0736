/* What the calls in tensor.c and tensor_digest.c share: whether the machine knows them, and tensors of the program's own where it does not.
 *
 * There a handle is the address of the tensor's vectors, on the heap, behind 16 bytes that hold their number. So an operand begins
 * at handle + x, be it a tensor or, with the handle 0, constants. */
#ifndef ZKVM_RUNTIME_TENSOR_H
#define ZKVM_RUNTIME_TENSOR_H

#include <zkvm_tensor.h>

#define ENOSYS_RESULT ((uint32_t)-38)
#define LANES 8
#define VECTOR_BYTES 16

/* A call is short, and once in a program. What it means is computed apart from it, so that a call that the machine serves does not save the
 * registers that this takes. */
#define CALL __attribute__((noinline))
#define IN_C static __attribute__((noinline))

/* Whether the machine knows the call: each of the two files asks once. */
static enum { UNKNOWN, SERVED, NOT_SERVED } machine;

/* In a branch: it stays one. A receipt opens every column of every table that is there, so calls branch on equality, which every program
 * does, and need no comparisons and no logic. */
#define STAYS_BRANCH __asm__ volatile("")

static void know(uint32_t result) {
    if (machine != UNKNOWN) return;
    machine = SERVED;
    if (result == ENOSYS_RESULT) {
        STAYS_BRANCH;
        machine = NOT_SERVED;
    }
}

static inline uint32_t tensor_call(const void *descriptor, uint32_t first, uint32_t second) {
    if (machine == NOT_SERVED) return ENOSYS_RESULT;
    uint32_t result = (uint32_t)zkvm_syscall(ZKVM_SYS_TENSOR, (uint32_t)(uintptr_t)descriptor, first, second);
    know(result);
    return result;
}

/* The same of a call that rescales sums: the machine leaves in a1 and a2 how many of them it cut. */
static inline uint32_t rescaling_call(const void *descriptor, uint32_t first, uint32_t second) {
    if (machine == NOT_SERVED) {
        zkvm_tensor_cuts = (struct zkvm_tensor_cuts){0, 0};
        return ENOSYS_RESULT;
    }
    register uint32_t a7 __asm__("a7") = ZKVM_SYS_TENSOR;
    register uint32_t a0 __asm__("a0") = (uint32_t)(uintptr_t)descriptor;
    register uint32_t a1 __asm__("a1") = first;
    register uint32_t a2 __asm__("a2") = second;
    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1), "+r"(a2) : "r"(a7) : "memory");
    zkvm_tensor_cuts = (struct zkvm_tensor_cuts){a1, a2};
    know(a0);
    if (machine == NOT_SERVED) {
        STAYS_BRANCH;
        zkvm_tensor_cuts = (struct zkvm_tensor_cuts){0, 0};
    }
    return a0;
}

static int16_t *lanes_at(uint32_t handle, uint32_t offset) {
    return (int16_t *)(uintptr_t)(handle + offset);
}

static inline zkvm_tensor make(uint32_t vectors) {
    if (vectors >= 1u << 27) zkvm_panic("a tensor has too many vectors");
    uint32_t *header = zkvm_allocate((vectors + 1) * VECTOR_BYTES);
    *header = vectors;
    return (zkvm_tensor){(uint32_t)(uintptr_t)header + VECTOR_BYTES};
}

/* Panics if an operand does not begin at a vector, or does not have vector `last` from there on. */
static inline void check_operand(zkvm_tensor tensor, uint32_t offset, uint64_t last) {
    if (offset % VECTOR_BYTES != 0) zkvm_panic("an operand does not begin at a vector");
    if (tensor.handle == 0) return;
    uint32_t vectors = *(const uint32_t *)(uintptr_t)(tensor.handle - VECTOR_BYTES);
    if (last + offset / VECTOR_BYTES >= vectors) zkvm_panic("an operand has too few vectors");
}

#endif
