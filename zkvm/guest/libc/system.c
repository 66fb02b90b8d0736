/* Calls of an operating system that a guest has in another form. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include "stdio_impl.h"
#include "syscall.h"

#define CYCLES_CALL 4096
#define CYCLES_PER_SECOND 1000000 /* CLOCKS_PER_SEC: clock() counts instructions */
#define NANOSECONDS_PER_CYCLE 1000
#define ABORTED 134 /* what a shell shows for SIGABRT */

/* readv and writev: as many reads and writes as there are pieces, up to the first that is not whole. */
long __zkvm_vector_call(long number, long file, long pieces, long count) {
    const struct iovec *piece = (const struct iovec *)pieces;
    long total = 0;
    for (; count > 0; count--, piece++) {
        if (piece->iov_len == 0) continue;
        long done = __syscall3(number, file, (long)piece->iov_base, (long)piece->iov_len);
        if (done < 0) return total != 0 ? total : done;
        total += done;
        if ((size_t)done < piece->iov_len) break;
    }
    return total;
}

/* Lines appear when they are whole, in the order of other output, without asking whether somebody looks. */
size_t __stdout_write(FILE *file, const unsigned char *bytes, size_t length) {
    file->write = __stdio_write;
    return __stdio_write(file, bytes, length);
}

_Noreturn void abort(void) {
    for (;;) __syscall1(SYS_exit_group, ABORTED);
}

/* Clocks that count from the start count instructions, which is proven. Nobody knows the time of the day. */
int __clock_gettime(clockid_t clock, struct timespec *time) {
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID) {
        errno = ENOSYS;
        return -1;
    }
    uint32_t cycles = (uint32_t)__syscall0(CYCLES_CALL);
    time->tv_sec = cycles / CYCLES_PER_SECOND;
    time->tv_nsec = (long)(cycles % CYCLES_PER_SECOND * NANOSECONDS_PER_CYCLE);
    return 0;
}
weak_alias(__clock_gettime, clock_gettime);

clock_t clock(void) {
    return (clock_t)__syscall0(CYCLES_CALL);
}

time_t time(time_t *place) {
    if (place) *place = -1;
    return -1;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)time, (void)zone;
    errno = ENOSYS;
    return -1;
}
