"""The page on guests in Python: its table is that of the tests, its examples run and do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import zkvm
from tests.guest.compiled import needs_compiler
from tests.guest.python.dispatch import cases_of
from tests.guest.python.sources import built
from zkvm.guest import tensors
from zkvm.guest.python import calls, io, numpy_functions, tensor_calls

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "python-guests.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_table_is_current() -> None:
    done = subprocess.run([sys.executable, "tools/python_constructs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_case_has_a_description_and_an_example() -> None:
    sys.path.insert(0, str(ROOT))
    from tools.python_constructs import CASES, FILES, rows

    for name in FILES.values():
        found = rows(CASES / f"{name}.py")
        assert len(found) == len(cases_of(name))
        assert all(what and "`" in example for what, example in found)


def test_the_page_names_what_guests_call() -> None:
    for name in (*(rule.__name__ for rule in tensor_calls.RULES), *(kind.__name__ for kind in tensor_calls.MAKERS), "encode", "t.numbers"):
        assert f"`{name}(" in PAGE or f"tensors.{name}(" in PAGE
    for function in (io.read, io.read_available, io.commit, io.log, io.panic, io.cycles, io.run):
        assert f"`{function.__name__}(" in PAGE
    assert {io.read, io.commit, io.log, io.panic} <= set(calls.RULES)


def test_every_function_of_numpy_is_named_in_a_case() -> None:
    """What nobody compares with CPython is not there."""
    folder = Path(__file__).resolve().parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    missing = [name for name in numpy_functions.RULES if hasattr(np, name) and not re.search(rf"\b{name}\b", text)]
    assert missing == []


@needs_compiler
def test_the_first_example() -> None:
    elf = built(EXAMPLES[0])
    rows = np.array([[1, 2, 3, 4], [5, -6, 7, 8], [0, 0, 9, -9]], np.int32)
    assert zkvm.execute(elf, np.uint32(3).tobytes() + rows.tobytes()).journal == np.int64(1).tobytes()
    refused = zkvm.execute(elf, np.uint32(1001).tobytes())
    line = EXAMPLES[0].splitlines().index(next(line for line in EXAMPLES[0].splitlines() if "assert" in line)) + 1
    assert (refused.exit_code, refused.stderr) == (1, f"main.py:{line}: AssertionError: too many rows\n".encode())


@needs_compiler
def test_the_second_example(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text("import numpy as np\n" + EXAMPLES[1] + "print(info.receipt.journal.hex())\n")
    done = subprocess.run(
        [sys.executable, "host.py"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout == np.uint32(144).tobytes().hex() + "\n", done.stderr


@needs_compiler
def test_the_third_example() -> None:
    elf, x = built(EXAMPLES[2]), np.arange(98) - 20
    hidden = np.maximum((np.arange(-392, 392).reshape(8, 98) // 8 @ x + np.arange(8) * 100 + 64) >> 7, 0)
    assert zkvm.execute(elf, tensors.encode(x)).journal == np.argmax((hidden[:4] * 4 + 4) >> 3).tobytes()
    assert zkvm.execute(elf, tensors.encode(x * 300)).stderr.endswith(b"AssertionError: a value saturates\n")
