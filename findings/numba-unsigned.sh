#!/bin/sh
# Software:   numba 0.68.1 with llvmlite 0.50.0 and numpy 2.4.6, CPython 3.11, Linux x86_64
# Guess:      an array of uint64 keeps its meaning in compiled functions: a + 1, a // 3, a % 3 are those of numpy, or at the worst, as numba
#             types uint64 with int64 as float64, rounded to 53 bits. So elements of a field of nearly 2^64 elements are safe.
# Behaviour:  for elements from 2^63 on (half of the Goldilocks field) they are not rounded but wrong: numbers are read as signed on the way,
#             results are negative floats. np.sign and np.median of such arrays are wrong too, with no literal in sight. No
#             warning. With np.uint64(1) and np.uint64(3) in place of 1 and 3 the first three are right.
# Seen:       of 2^64 - 2^32: numpy +1 18446744069414584321, //3 6148914689804861440, %3 0, sign 1, median 1.8e+19
#             of 2^64 - 2^32: numba +1 -4294967295.0, //3 -1431655766.0, %3 2.0, sign 18446744073709551615, median 9.2e+18
# Here:       constants of kernels are typed (zkvm/stark/field/), and tests give them numbers above 2^63.
set -u
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" || exit 2
"$folder/env/bin/pip" install --quiet numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6 || exit 2
cat > "$folder/show.py" <<'PYTHON'
import numba
import numpy as np

functions = {
    "+1": lambda a: a + 1,
    "//3": lambda a: a // 3,
    "%3": lambda a: a % 3,
    "sign": lambda a: np.sign(a),
}
elements = np.full(4, 2**64 - 2**32, np.uint64)
for name, compiled in (("numpy", lambda function: function), ("numba", numba.njit)):
    found = [f"{label} {compiled(function)(elements)[0]}" for label, function in functions.items()]
    print(f"of 2^64 - 2^32: {name}", ", ".join(found) + f", median {compiled(lambda a: np.median(a))(elements):.2g}")
PYTHON
"$folder/env/bin/python" "$folder/show.py" > "$folder/seen" || exit 2
cat "$folder/seen"
cat > "$folder/expected" <<'TEXT'
of 2^64 - 2^32: numpy +1 18446744069414584321, //3 6148914689804861440, %3 0, sign 1, median 1.8e+19
of 2^64 - 2^32: numba +1 -4294967295.0, //3 -1431655766.0, %3 2.0, sign 18446744073709551615, median 9.2e+18
TEXT
cmp -s "$folder/seen" "$folder/expected"
