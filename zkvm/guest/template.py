"""A new guest project: a program, a host that proves it, and what to type."""

from __future__ import annotations

import re
from pathlib import Path

from zkvm.errors import UsageError
from zkvm.files import write_folder

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

GUEST = """/* NAME: proves that the journal's number is the sum of squares of private numbers.
 *
 * Input: a count, then that many unsigned integers. Journal: the count and the sum. */
#include <zkvm.h>

#define MAX_COUNT 1000

int main(void) {
    static uint32_t numbers[MAX_COUNT];
    uint32_t count = zkvm_read_u32();
    if (count > MAX_COUNT) zkvm_panic("too many numbers");
    zkvm_read_exact(numbers, count * sizeof numbers[0]); /* one call for all: a call costs more than a word */

    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += numbers[i] * numbers[i];

    zkvm_commit_u32(count);
    zkvm_commit_u32(sum);
    return 0;
}
"""

PYTHON_GUEST = '''"""NAME: proves that the journal's number is the sum of squares of private numbers.

Input: a count, then that many unsigned integers. Journal: the count and the sum.
"""

import numpy as np

from zkvm import guest

MAX_COUNT = 1000


def main() -> None:
    """What is proven."""
    count = guest.read(np.uint32)
    assert count <= MAX_COUNT, "too many numbers"
    numbers = guest.read(np.uint32, int(count))

    total = np.uint32(0)
    for number in numbers:
        total += number * number

    guest.commit(count)
    guest.commit(total)
'''

PYTHON_TEST = '''"""The guest under CPython: python -m pytest, without a proof and without a build."""

import numpy as np
from main import main
from zkvm import guest


def test_squares_add_up() -> None:
    stdin = np.array([3, 3, 4, 12], np.uint32).tobytes()
    assert guest.run(main, stdin).journal == np.array([3, 169], np.uint32).tobytes()


def test_too_many_numbers_are_refused() -> None:
    run = guest.run(main, np.uint32(1001).tobytes())
    assert (run.exit_code, run.error) == (1, "AssertionError: too many numbers")
'''

HOST = '''"""Proves a run of the guest NAME and verifies the receipt, as a stranger would."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import zkvm

ELF = Path(__file__).resolve().parent / "NAME.elf"


def main() -> None:
    """Private numbers in, a public sum of squares out."""
    numbers = np.array([3, 4, 12], np.uint32)
    env = zkvm.ExecutorEnv().write_u32(len(numbers)).write(numbers)
    info = zkvm.prove(ELF, env)
    info.receipt.save(ELF.with_suffix(".receipt"))

    # The verifier knows the image ID (from the ELF that it trusts) and gets the receipt, not the numbers.
    receipt = zkvm.Receipt.load(ELF.with_suffix(".receipt"))
    receipt.verify(zkvm.compute_image_id(ELF))
    count, total = struct.unpack("<II", receipt.journal)
    print(f"proven: the squares of {count} private numbers add up to {total} ({info.cycles} cycles, {info.seconds['total']:.1f} s)")


if __name__ == "__main__":
    main()
'''

MAKEFILE = """# make run builds the guest, proves it and verifies the receipt.
.PHONY: run profile clean

run: NAME.elf
	python host.py

NAME.elf: main.c
	zkvm build main.c -o NAME.elf

profile: NAME.elf input.bin
	zkvm profile NAME.elf --input input.bin --out profile.html

# count 3, then 3, 4, 12
input.bin:
	python -c "import struct, sys; sys.stdout.buffer.write(struct.pack('<4I', 3, 3, 4, 12))" > input.bin

clean:
	rm -f NAME.elf NAME.receipt input.bin profile.html
"""

README = """# NAME

`main.c` is the guest: what it does is proven, what it reads stays private. `host.py` gives it its input, proves the run and verifies
the receipt.

```sh
pip install 'zkvm[prove,guest]'
zkvm build main.c -o NAME.elf      # the same bytes on every machine
python host.py                     # prove and verify
zkvm image-id NAME.elf             # what a verifier must know
zkvm run NAME.elf --input input.bin --execute-only
zkvm profile NAME.elf --input input.bin --out profile.html
```

`make run` and `make profile` do the same. Input: a count, then that many unsigned 32-bit integers, little-endian.
"""

IGNORED = """*.elf
*.receipt
input.bin
profile.html
"""

FILES = {"main.c": GUEST, "host.py": HOST, "Makefile": MAKEFILE, "README.md": README, ".gitignore": IGNORED}
PYTHON_FILES = {
    "main.py": PYTHON_GUEST,
    "test_main.py": PYTHON_TEST,
    **{file: FILES[file].replace("main.c", "main.py") for file in ("host.py", "Makefile", "README.md", ".gitignore")},
}


def new_project(folder: Path, python: bool = False) -> list[Path]:
    """Write a project into a directory that does not exist yet, or is empty; its name is the project's.

    Args:
        folder: the directory.
        python: the guest is in Python, not in C.

    Raises:
        UsageError: the name is no identifier, or something is there.
    """
    name = folder.name
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r}: a name of letters, digits, - and _ is needed, a letter first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty directory")
    try:
        return write_folder(
            folder, {file: text.replace("NAME", name).encode() for file, text in (PYTHON_FILES if python else FILES).items()}
        )
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
