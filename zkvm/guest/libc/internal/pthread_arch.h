/* The description of the only thread lies at a fixed address (state.c), so the library needs no thread pointer. */
struct __pthread;
extern struct __pthread __zkvm_thread;

static inline uintptr_t __get_tp(void) {
    return (uintptr_t)&__zkvm_thread;
}

#define MC_PC __gregs[0]
