/* Atomic operations of a machine with one thread and no interrupts: plain loads and stores. Taken by musl in place of its own for
 * RV32, whose instructions (the A extension) this machine does not have. */
#define a_cas a_cas
static inline int a_cas(volatile int *place, int expected, int value) {
    int old = *place;
    if (old == expected) *place = value;
    return old;
}

#define a_barrier a_barrier
static inline void a_barrier(void) {}

#define a_crash a_crash
static inline void a_crash(void) {
    __asm__ volatile("ebreak");
    __builtin_unreachable();
}
