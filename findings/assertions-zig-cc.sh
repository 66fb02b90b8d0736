#!/bin/sh
# Software:   ziglang 0.17.1 (zig cc, Clang 22), Python 3.11, Linux x86-64
# Guess:      zig cc is Clang with another driver, so assert() stays in a program unless it is compiled with -DNDEBUG. And a file that is compiled twice
#             gives its warnings twice.
# Behaviour:  at every level of optimisation but 0 zig cc defines NDEBUG, so that assertions are gone. What was compiled before comes from a cache, without its warnings.
# Seen:       NDEBUG at -O0 -O1 -O2 -O3 -Os: no yes yes yes yes; warnings of one file compiled twice: 1 0
# Here:       guests are compiled with -UNDEBUG (zkvm/guest/toolchain.py). Warnings are shown once.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'ziglang==0.17.1' || exit 2
cd "$folder"
export ZIG_GLOBAL_CACHE_DIR="$folder/cache"
zig() {
    venv/bin/python -m ziglang cc "$@"
}
printf '#ifdef NDEBUG\nyes\n#else\nno\n#endif\n' > assertions.c
answers=""
for level in 0 1 2 3 s; do answers="$answers $(zig "-O$level" -E assertions.c | tail -n 1)"; done
printf 'int f(void) { int unused = 3; return 0; }\n' > warned.c
counts=""
for name in first second; do counts="$counts $(zig -Wall -c warned.c -o $name.o 2>&1 | grep -c 'warning: unused' || true)"; done
seen="NDEBUG at -O0 -O1 -O2 -O3 -Os:$answers; warnings of one file compiled twice:$counts"
echo "$seen"
[ "$seen" = "NDEBUG at -O0 -O1 -O2 -O3 -Os: no yes yes yes yes; warnings of one file compiled twice: 1 0" ]
