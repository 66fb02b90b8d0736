/* Standard output, lines of standard input as numbers, and what else of the library the tests look at. Every line begins with its name. */
#include <assert.h>
#include <complex.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

static _Thread_local int with_value = 7;
static _Thread_local char without[3];
static jmp_buf back;

static void at_the_end(void) {
    printf("end after main\n");
}

static void numbers(void) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        double x = strtod(line, NULL);
        printf("double %.17g|%f|%e|%g|%a|%10.3f|%-12.1e|%+g|%#.0f\n", x, x, x, x, x, x, x, x, x);
        printf("wide %.21Lg\n", (long double)x / 3);
        printf("math %a %a %a %a %a %a\n", sqrt(fabs(x)), floor(x), round(x), fmod(x, 7), ldexp(x, 3), trunc(x));
        printf("near %.15g %.15g %.15g %.15g %.15g\n", sin(x), exp(-fabs(x)), log1p(fabs(x)), atan2(x, 2), cbrt(x));
    }
}

static void words(void) {
    char text[] = "one,two;;three", *save, *copy = strdup("abcdef");
    for (char *word = strtok_r(text, ",;", &save); word; word = strtok_r(NULL, ",;", &save)) printf("word %s\n", word);
    printf("string %s %d %zu %s\n", strstr("a needle here", "needle"), memcmp("abc", "abd", 3) < 0, strcspn("hello", "l"), strrchr(copy, 'c'));
    int a, b;
    char word[10];
    int count = sscanf("12 0x1f rest", "%d %i %9s", &a, &b, word);
    printf("scan %d %d %d %s\n", count, a, b, word);
    printf("case %c%c %d %d\n", toupper('x'), tolower('Q'), isdigit('5') != 0, isspace('x') != 0);
    printf("integers %" PRId64 " %" PRIu64 " %jd %zu %td %hhd\n", INT64_MIN, UINT64_MAX, (intmax_t)-3, sizeof(int), (ptrdiff_t)4, (signed char)300);
    errno = 0;
    long large = strtol("99999999999", NULL, 10);
    printf("range %ld %d\n", large, errno == ERANGE);
    wchar_t wide[8];
    printf("wide characters %zu %ls\n", mbstowcs(wide, "abc", 8), L"text");
    free(copy);
}

static void no_system(void) {
    errno = 0;
    FILE *file = fopen("anything", "r");
    printf("file %d %s\n", file == NULL, strerror(errno));
    printf("clock %d %lld\n", clock() > 0, (long long)time(NULL));
    struct timespec now;
    printf("clocks %d %d\n", clock_gettime(CLOCK_MONOTONIC, &now), clock_gettime(CLOCK_REALTIME, &now));
    time_t moment = 1700000000;
    char text[40];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a", gmtime(&moment));
    printf("date %s %lld\n", text, (long long)mktime(gmtime(&moment)));
    printf("terminal %d environment %d\n", isatty(1), getenv("HOME") != NULL);
}

int main(int argc, char **argv) {
    volatile int jumps = 0;
    atexit(at_the_end);
    numbers();
    words();
    no_system();
    if (setjmp(back) < 3) longjmp(back, ++jumps);
    atomic_llong counter = 5;
    atomic_fetch_add(&counter, 1LL << 40);
    double complex root = csqrt(-4.0);
    printf("rest %d %lld %g %d %d %d\n", jumps, (long long)counter, cimag(root), with_value++, without[2], argc == 0 && (!argv || !argv[0]));
    printf("unterminated");
    return with_value;
}
