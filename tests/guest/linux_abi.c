/* What a program built against the Linux ABI by another RV32IM toolchain does at its edges: the start-up and exit path of newlib's
 * libgloss for Linux (crt0, sbrk by brk, stdio that asks fstat and ioctl whether it writes to a terminal, close at the end).
 * No header and no start-up code of the SDK. */
typedef unsigned int word;

__asm__(
    ".globl _start\n"
    "_start:\n"
    ".option push\n.option norelax\n"
    "    la gp, __global_pointer$\n"
    ".option pop\n"
    "    lw a0, 0(sp)\n"     /* argc */
    "    addi a1, sp, 4\n"   /* argv, its end, envp */
    "    li a2, 0\n"
    "    call main\n"
    "    tail finish\n");

enum { IOCTL = 29, CLOSE = 57, LSEEK = 62, READ = 63, WRITE = 64, FSTAT = 80, EXIT = 93, EXIT_GROUP = 94, GETTIMEOFDAY = 169, BRK = 214 };
enum { ENOSYS = 38, EBADF = 9, TCGETS = 0x5401 };

static int error; /* errno: .bss */
static char greeting[] = "hello from another libc\n"; /* .data */
static word checks;

static int call(word number, word a, word b, word c) {
    register word a7 __asm__("a7") = number;
    register word a0 __asm__("a0") = a;
    register word a1 __asm__("a1") = b;
    register word a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    int result = (int)a0;
    if (result < 0 && result > -4096) {
        error = -result;
        return -1;
    }
    return result;
}

/* newlib's sbrk: asks for the break once, then moves it. */
static char *sbrk(int increment) {
    static char *end;
    if (!end) end = (char *)call(BRK, 0, 0, 0);
    char *wanted = end + increment;
    if ((char *)call(BRK, (word)wanted, 0, 0) != wanted) return (char *)-1;
    char *old = end;
    end = wanted;
    return old;
}

static void expect(int index, int result, int wanted, int number) {
    if (result == wanted && (result >= 0 || error == number)) checks |= 1u << index;
}

int main(int argc, char **argv) {
    char status[128], terminal[64];
    expect(0, argc, 0, 0);
    expect(1, argv[0] == 0 && argv[1] == 0, 1, 0);
    expect(2, call(FSTAT, 1, (word)status, 0), -1, ENOSYS); /* __smakebuf: how large a buffer for stdout? */
    expect(3, call(IOCTL, 1, TCGETS, (word)terminal), -1, ENOSYS); /* isatty */
    expect(4, call(LSEEK, 0, 0, 1), -1, ENOSYS);
    expect(5, call(GETTIMEOFDAY, (word)status, 0, 0), -1, ENOSYS);
    expect(6, call(WRITE, 7, (word)greeting, 1), -1, EBADF);
    expect(7, call(READ, 5, (word)status, 1), -1, EBADF);
    char *buffer = sbrk(4096);
    int got = 0, count;
    while ((count = call(READ, 0, (word)(buffer + got), 1000)) > 0) got += count;
    call(WRITE, 1, (word)greeting, sizeof greeting - 1);
    for (int i = 0; i < got; i++) buffer[i] ^= 32;
    call(WRITE, 3, (word)buffer, (word)got);
    return 0;
}

/* exit: flush, close what is open, leave. */
__attribute__((used)) void finish(int code) {
    for (int file = 0; file < 3; file++) expect(8 + file, call(CLOSE, (word)file, 0, 0), -1, ENOSYS);
    call(WRITE, 3, (word)&checks, sizeof checks);
    call(EXIT_GROUP, (word)code, 0, 0);
    for (;;) call(EXIT, (word)code, 0, 0);
}
