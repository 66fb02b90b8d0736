"""Building guests in Python: the same bytes everywhere, files that import others, lines of Python in profiles, functions as guests."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.cli.running import invoke
from tests.guest.compiled import needs_compiler
from tests.guest.python.sources import built, translated
from zkvm.errors import GuestTrap
from zkvm.guest.python.build import build, load
from zkvm.guest.template import PYTHON_FILES, new_project

ROOT = Path(__file__).resolve().parents[3]
MAIN = '''"""Scores of a row."""

from dataclasses import dataclass

import numpy as np
from parts.weights import WEIGHTS, score
from zkvm import guest

MASK = np.array([1, 0, 1], np.bool_)
NAMES = {name: number for number, name in enumerate({"a", "b", "c"})}


@dataclass(frozen=True)
class Answer:
    label: np.int64
    total: np.int64


def main() -> None:
    x = guest.read(np.int32, 3)
    answer = Answer(np.argmax(WEIGHTS @ x), score(x[MASK]))
    guest.log("label", answer.label)
    guest.commit(answer)
'''
PARTS = """import numpy as np

WEIGHTS = np.linspace(-5, 5, 12).reshape(4, 3).astype(np.int32)


def score(values):
    total = np.int64(0)
    for value in values:
        total += np.int64(value) * value
    return total
"""


def project(folder: Path) -> Path:
    (folder / "parts").mkdir(parents=True)
    (folder / "main.py").write_text(MAIN)
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "weights.py").write_text(PARTS)
    return folder / "main.py"


@needs_compiler
def test_the_same_bytes_in_every_folder_and_on_every_machine(tmp_path: Path) -> None:
    settings = [
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "2", "NPY_DISABLE_CPU_FEATURES": "AVX2 AVX512F FMA3", "USER": "other", "TZ": "Asia/Tokyo", "LANG": "C"},
        {"PYTHONHASHSEED": "3", "PYTHONOPTIMIZE": "1", "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
    ]
    elves = []
    for number, extra in enumerate(settings):
        source = project(tmp_path / f"{'long ' * number}folder")
        command = [sys.executable, "-m", "zkvm", "build", source.name, "-o", "out.elf"]
        env = {**os.environ, "PYTHONPATH": str(ROOT), **extra}
        done = subprocess.run(command, cwd=source.parent, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        elves.append((source.parent / "out.elf").read_bytes())
    assert elves[0] == elves[1] == elves[2]
    assert str(tmp_path).encode() not in elves[0]
    x = np.array([3, -1, 2], np.int32)
    session = zkvm.execute(elves[0], x.tobytes())
    assert session.journal == np.array([3, 13], np.int64).tobytes()
    assert session.stdout == b"label 3\n"
    assert zkvm.check(elves[0], x.tobytes()) == []


@needs_compiler
def test_a_new_project_builds_and_proves(tmp_path: Path) -> None:
    assert invoke("new", tmp_path / "squares", "--python").code == 0
    folder = tmp_path / "squares"
    assert sorted(path.name for path in folder.iterdir()) == sorted(PYTHON_FILES)
    assert not any("NAME" in path.read_text() for path in folder.iterdir())
    built = invoke("build", folder / "main.py", "-o", folder / "squares.elf", "--json")
    assert built.code == 0, built.err
    assert set(built.json["built_with"]) == {"zkvm", "ziglang", "numpy", "python"}
    for command in ([sys.executable, "host.py"], [sys.executable, "-m", "pytest", "-q", "test_main.py", "-p", "no:cacheprovider"]):
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "add up to 169" in done.stdout or "2 passed" in done.stdout


@needs_compiler
def test_debug_information_is_outside_the_image(tmp_path: Path) -> None:
    source = project(tmp_path / "one")
    assert invoke("build", source, "-o", tmp_path / "debug.elf").code == 0
    assert invoke("build", source, "-o", tmp_path / "strip.elf", "--strip").code == 0
    assert (tmp_path / "strip.elf").stat().st_size < (tmp_path / "debug.elf").stat().st_size
    assert zkvm.compute_image_id(tmp_path / "strip.elf") == zkvm.compute_image_id(tmp_path / "debug.elf")


@needs_compiler
def test_profiles_have_the_lines_of_python(tmp_path: Path) -> None:
    source = project(tmp_path / "one")
    assert invoke("build", source, "-o", tmp_path / "guest.elf").code == 0
    profile = zkvm.profile(tmp_path / "guest.elf", np.array([3, -1, 2], np.int32).tobytes())
    lines = {(entry.file, entry.line) for entry in profile.lines}
    assert ("main.py", MAIN.splitlines().index("    guest.commit(answer)") + 1) in lines
    assert ("parts/weights.py", PARTS.splitlines().index("        total += np.int64(value) * value") + 1) in lines


@needs_compiler
def test_a_trap_has_the_lines_of_python() -> None:
    text = """
import numpy as np
from zkvm import guest
def deeper(n: int) -> int:
    return 0 if n < 0 else deeper(n + 1) * n + 1
def main() -> None:
    guest.commit(deeper(int(guest.read(np.uint8))))
"""
    with pytest.raises(GuestTrap) as caught:
        zkvm.execute(built(text), b"\1")
    assert caught.value.kind == "stack_overflow"
    assert {(frame.file, frame.line) for frame in caught.value.frames} >= {("main.py", 5), ("main.py", 7)}


@needs_compiler
def test_a_panic_shows_the_calls_with_lines_of_python() -> None:
    text = """
import numpy as np
from zkvm import guest
def score(x, limit: int):
    assert x[0] < limit, "too large"
    return x[0] * 2
def main() -> None:
    rows = guest.read(np.int32, (2, 3))
    for row in rows:
        guest.commit(score(row, 5))
"""
    elf = built(text)
    assert zkvm.profile(elf, np.ones(6, np.int32).tobytes()).ending == ()
    ending = zkvm.profile(elf, np.full(6, 9, np.int32).tobytes()).ending
    assert [(frame.file, frame.line) for frame in ending if frame.file == "main.py"] == [("main.py", 5), ("main.py", 10)]
    assert "score" in next(frame.function for frame in ending if frame.file == "main.py")


@zkvm.guest.program
def doubled() -> int:
    """A guest in a host's file."""
    x = zkvm.guest.read(np.uint32)
    assert x < 1000, "too large"
    zkvm.guest.commit(2 * x)
    return 3 if x == 7 else 0


@needs_compiler
def test_a_function_is_a_guest() -> None:
    stdin = np.uint32(21).tobytes()
    assert zkvm.guest.run(doubled, stdin) == zkvm.guest.Run(np.uint32(42).tobytes(), 0, "")
    info = zkvm.prove(doubled, stdin, params="fast")
    info.receipt.verify(zkvm.compute_image_id(doubled))
    assert info.receipt.journal == np.uint32(42).tobytes()
    assert zkvm.execute(doubled.elf(), np.uint32(7).tobytes()).exit_code == zkvm.guest.run(doubled, np.uint32(7).tobytes()).exit_code == 3
    refused = zkvm.execute(doubled, np.uint32(1000).tobytes())
    assert refused.exit_code == 1
    assert refused.stderr.endswith(b": AssertionError: too large\n")
    assert doubled.__name__ == "doubled"


def test_the_module_is_the_decorator() -> None:
    assert isinstance(zkvm.guest(lambda: 0), zkvm.guest.GuestFunction)  # type: ignore[operator]


@needs_compiler
def test_functions_of_floats_are_close_to_numpys() -> None:
    """They are the compiler's, not bit by bit numpy's, whose own depend on the processor."""
    names = ("exp", "log", "log2", "log10", "exp2", "sin", "cos", "tan")
    lines = ["import math", "import numpy as np", "from zkvm import guest", "def main():", "    x = guest.read(np.float64, 50)"]
    lines += [f"    guest.commit(np.{name}(x))\n    guest.commit(np.{name}(x.astype(np.float32)))" for name in names]
    lines += [f"    guest.commit(math.{name}(x[0]))" for name in ("exp", "log", "sin", "cos")]
    x = np.random.default_rng(1).uniform(0.01, 20, 50)
    journal = zkvm.execute(built("\n".join(lines)), x.tobytes()).journal
    at = 0
    for name in names:
        for values, ulps in ((x, 4), (x.astype(np.float32), 4)):
            found = np.frombuffer(journal[at : at + values.nbytes], values.dtype)
            at += values.nbytes
            expected = getattr(np, name)(values)
            assert np.all(np.abs(found - expected) <= ulps * np.spacing(np.maximum(np.abs(expected), np.finfo(values.dtype).eps))), name
    for name in ("exp", "log", "sin", "cos"):
        [found] = np.frombuffer(journal[at : at + 8])
        at += 8
        assert math.isclose(found, getattr(math, name)(x[0]), rel_tol=1e-15)


@needs_compiler
def test_names_that_c_does_not_have(tmp_path: Path) -> None:
    source = tmp_path / 'strange "name" \\ ü 100%.py'
    lines = ["from zkvm import guest", "def größe(ü):", "    assert ü < 3, 'zu groß: \"ü\" \\\\ 100%d ??/'", "    return ü"]
    source.write_text("\n".join([*lines, "def main():", "    guest.commit(größe(guest.cycles()))", ""]))
    session = zkvm.execute(build(source, tmp_path / "out.elf"), b"")
    assert session.stderr.decode() == f'{source.name}:3: AssertionError: zu groß: "ü" \\ 100%d ??/\n'


def test_a_file_that_was_imported_leaves_nothing_behind(tmp_path: Path) -> None:
    before, known = list(sys.path), set(sys.modules)
    source = project(tmp_path / "one")
    assert callable(load(source).main)
    assert sys.path == before
    assert not any(name.startswith("parts") for name in set(sys.modules) - known)


def test_no_function_is_translated_that_nothing_calls() -> None:
    text = "import numpy as np\nfrom zkvm import guest\ndef unused():\n    return [1]\ndef main():\n    guest.commit(1)\n"
    assert "unused" not in translated(text)
    assert "array_" not in translated(text)


def test_the_template_overwrites_nothing(tmp_path: Path) -> None:
    new_project(tmp_path / "there", python=True)
    assert invoke("new", tmp_path / "there", "--python").code == 2
