/* System calls of this machine. Those that gather and scatter become several reads and writes, which are proven; every other call that
 * does not exist answers -ENOSYS, and that is proven too. */
#define __SYSCALL_LL_E(x) ((union { long long ll; long l[2]; }){.ll = x}).l[0], ((union { long long ll; long l[2]; }){.ll = x}).l[1]
#define __SYSCALL_LL_O(x) __SYSCALL_LL_E((x))

long __zkvm_vector_call(long number, long file, long pieces, long count);

static inline long __syscall3(long n, long a, long b, long c) {
    if (n == 65 || n == 66) return __zkvm_vector_call(n - 2, a, b, c); /* readv, writev */
    register long a7 __asm__("a7") = n;
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return a0;
}

static inline long __syscall0(long n) {
    return __syscall3(n, 0, 0, 0);
}

static inline long __syscall1(long n, long a) {
    return __syscall3(n, a, 0, 0);
}

static inline long __syscall2(long n, long a, long b) {
    return __syscall3(n, a, b, 0);
}

/* No call that exists has more than three arguments. */
static inline long __syscall4(long n, long a, long b, long c, long d) {
    (void)d;
    return __syscall3(n, a, b, c);
}

static inline long __syscall5(long n, long a, long b, long c, long d, long e) {
    (void)d, (void)e;
    return __syscall3(n, a, b, c);
}

static inline long __syscall6(long n, long a, long b, long c, long d, long e, long f) {
    (void)d, (void)e, (void)f;
    return __syscall3(n, a, b, c);
}

#define IPC_64 0
