#!/bin/sh
# Software:   numba 0.68.1 with llvmlite 0.50.0 and numpy 2.4.6, CPython 3.11, Linux x86_64
# Guess:      integers of a compiled function are those of numpy: they wrap at their width, and shifting everything out leaves 0, as the
#             function gives when it is not compiled. Then a program can look for an overflow afterwards: x + 1 < x.
# Behaviour:  sums, differences and products of signed integers carry LLVM's "nsw": an overflow is undefined, and the compiler reasons
#             that it does not happen, so x + 1 > x is true for the largest integer too. Shifts of the width and more are LLVM's as well:
#             1 << 70 is what the processor makes of it.
# Seen:       numpy   largest + 1 > largest: False   1 << 70: 0
#             numba   largest + 1 > largest: True   1 << 70: 64
# Here:       zkvm/guest/python/ translates guests in Python to C by rules of its own, in which numpy's integers wrap, and ints panic;
#             kernels compute with unsigned integers, whose overflow is defined.
set -u
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" || exit 2
"$folder/env/bin/pip" install --quiet numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6 || exit 2
cat > "$folder/show.py" <<'PYTHON'
import warnings

import numba
import numpy as np

warnings.simplefilter("ignore")


def grows(x):
    return x + 1 > x


def shift(x, n):
    return x << n


largest = np.int64(2**63 - 1)
for name, compiled in (("numpy", lambda function: function), ("numba", numba.njit)):
    grows_too, shifted = compiled(grows), compiled(shift)
    wide = shifted(np.int64(1), np.int64(70))
    print(f"{name}   largest + 1 > largest: {bool(grows_too(largest))}   1 << 70: {wide}")
PYTHON
"$folder/env/bin/python" "$folder/show.py" > "$folder/seen" || exit 2
cat "$folder/seen"
cat > "$folder/expected" <<'TEXT'
numpy   largest + 1 > largest: False   1 << 70: 0
numba   largest + 1 > largest: True   1 << 70: 64
TEXT
cmp -s "$folder/seen" "$folder/expected"
