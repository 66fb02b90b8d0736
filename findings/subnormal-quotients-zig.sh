#!/bin/sh
# Software:   ziglang 0.17.1 (compiler_rt), CPython 3.11, Linux x86_64; the same functions serve every target without floats in hardware
# Guess:      __divsf3 and __divdf3 divide as IEEE 754 says: the nearest number, halves to even, as LLVM's functions of these names do
# Behaviour:  a quotient below the smallest normal number is rounded for 24 or 53 bits first, and then cut to those that it has: toward
#             zero, up to a whole unit in the last place off, and wrong about as often as not. Quotients that are normal are right.
# Seen:       float   of 100000 subnormal quotients differ from the processor's: 47541
#             double  of 100000 subnormal quotients differ from the processor's: 47482
# Here:       zkvm/guest/runtime/division.c takes the place of both functions in guests that divide floats; tests/guest/test_division.py
set -u
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
[ "$(uname -sm)" = "Linux x86_64" ] || exit 2
python3 -m venv "$folder/env" || exit 2
"$folder/env/bin/pip" install --quiet ziglang==0.17.1 || exit 2
cat > "$folder/show.c" <<'C'
#include <stdint.h>
#include <stdio.h>
#include <string.h>

float __divsf3(float a, float b);
double __divdf3(double a, double b);

static uint64_t state = 1;

static uint64_t next(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 11;
}

#define COUNT(name, T, U, bits, bias, divide) \
    static void name(void) { \
        int wrong = 0; \
        for (int i = 0; i < 100000; i++) { \
            U x = (U)next() & (((U)1 << bits) - 1), y = (U)next() & (((U)1 << bits) - 1); \
            x |= (U)1 << bits; /* the smallest normal exponent, by 2^4 or so: the quotient has some bits less than others */ \
            y |= (U)(bias + 4) << bits; \
            T a, b; \
            memcpy(&a, &x, sizeof a); \
            memcpy(&b, &y, sizeof b); \
            volatile T here = a / b; \
            wrong += divide(a, b) != here; \
        } \
        printf("%-7s of 100000 subnormal quotients differ from the processor's: %d\n", #T, wrong); \
    }
COUNT(floats, float, uint32_t, 23, 127, __divsf3)
COUNT(doubles, double, uint64_t, 52, 1023, __divdf3)

int main(void) {
    floats();
    doubles();
    return 0;
}
C
cd "$folder" || exit 2
env/bin/python -m ziglang cc -O1 -fno-sanitize=all show.c -o show || exit 2
./show > seen || exit 2
cat seen
cat > expected <<'TEXT'
float   of 100000 subnormal quotients differ from the processor's: 47541
double  of 100000 subnormal quotients differ from the processor's: 47482
TEXT
cmp -s seen expected
