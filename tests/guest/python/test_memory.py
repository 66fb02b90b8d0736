"""Memory of guests in Python: random programs of views, copies, swaps, branches and early returns use nothing after it was given back, and
give back everything.

They are compiled so that memory is overwritten when it is given back, and so that a block that is held at the end is a panic.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from tests.guest.python.dispatch import FOLDER, cases_of, elf_text, module_of, stdin_of
from zkvm import guest
from zkvm.guest import toolchain
from zkvm.guest.python.build import RUNTIME, load, translate

HELPERS = """
import numpy as np
from zkvm import guest

TABLE = np.arange(6, dtype=np.int32)


def part(a, n):
    if n > 3:
        return a[1:]
    if n < -3:
        return a[::-1]
    for x in a * 2:
        if x > 50:
            return a + x
    return a


def both(a, b, n):
    for i in range(len(a)):
        if a[i] == n:
            return b.copy(), a[:i]
    return (b, a) if n % 2 else (a, b + 0)


def total(pair):
    first, second = pair
    return first.sum() - second.sum()
"""
STATEMENTS = (
    "a = b", "b = a[::-1]", "a = a + 1", "b = part(a, n)", "a = part(b * 2, n)", "a, b = b, a", "a, b = both(a, b, n)",
    "pair = (a, b)", "pair = (pair[1], pair[0])", "a = pair[0]", "a, b = pair", "n += int(total(pair) % 7) - 3",
    "n += int(total((a + b[:1], b)) % 5) - 2", "a = a if n > 0 else b[1:] + n", "b = TABLE[1:4] + n", "m[1] = m[0]",
    "a = m[n % 3]", "b = m[:, 1].copy()", "m[:, 0] = n", "a[:1] += n", "b[::-1][:1] = a[:1]",
    "a = np.concatenate((a, b))[:6]", "n = (n * 3 + len(a) - len(b)) % 11 - 5", "a = np.sort(a - b[:1])",
    "pair = (np.zeros(2, np.int32), pair[0])", "b = b[b > n]", "total(both(a, b, n))", "m = m + m[:1]",
    "a = a[a >= a[0]] if len(a) > 0 else b",
)  # fmt: skip


def block(rng: random.Random, depth: int, in_loop: bool, indent: str) -> list[str]:
    lines = []
    for _ in range(rng.randrange(2, 6)):
        kind = rng.random()
        if depth and kind < 0.2:
            lines += [f"{indent}if n > {rng.randrange(-4, 4)}:", *block(rng, depth - 1, in_loop, indent + "    ")]
            lines += [f"{indent}else:", *block(rng, depth - 1, in_loop, indent + "    ")]
        elif depth and kind < 0.3:
            head = rng.choice(["for x in part(a, n) + 1:", "for i in range(3):", "for row in m * 2:", "for x, y in zip(a + 1, b):"])
            lines += [indent + head, *block(rng, depth - 1, True, indent + "    ")]
        elif in_loop and kind < 0.4:
            lines += [f"{indent}if n == {rng.randrange(-3, 3)}:", f"{indent}    {rng.choice(['break', 'continue', 'return a, b, n'])}"]
        else:
            lines.append(indent + rng.choice(STATEMENTS))
    return lines


def program(rng: random.Random, count: int) -> str:
    functions = []
    for number in range(count):
        start = [f"def f{number}(a, b, m, n):", "    pair = (b, a)"]
        functions.append("\n".join([*start, *block(rng, 3, False, "    "), "    guest.commit((pair, m))", "    return a, b, n"]))
    cases = "\n".join(f"    if case == {number}:\n        guest.commit(f{number}(a, b, m, n))" for number in range(count))
    reads = "a, b = guest.read(np.int32, 5), guest.read(np.int32, 4)\n    m, n = guest.read(np.int32, (3, 4)), int(guest.read(np.int32))"
    main = f"def main():\n    case = guest.read(np.uint32)\n    {reads}\n{cases}\n"
    return HELPERS + "\n\n" + "\n\n\n".join([*functions, main])


def checked_elf(folder: Path, module: ModuleType) -> bytes:
    """The program with checks of its memory."""
    (folder / "guest.c").write_text(translate(module.main))
    defines = {"PY_CHECK_MEMORY": "1"}
    return toolchain.build(
        [folder / "guest.c"], folder / "out.elf", include_directories=[RUNTIME], defines=defines, optimization="1"
    ).read_bytes()


@needs_compiler
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_random_programs_use_and_give_back_memory_rightly(seed: int) -> None:
    count, rng = 12, np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "main.py").write_text(program(random.Random(seed), count))
        module = load(Path(name) / "main.py")
        elf = checked_elf(Path(name), module)
        ended = 0
        for number in range(count):
            for _ in range(4):
                data = rng.integers(-6, 7, 5 + 4 + 12 + 1, dtype=np.int32).tobytes()
                stdin = np.uint32(number).tobytes() + data
                expected, session = guest.run(module.main, stdin), zkvm.execute(elf, stdin, max_cycles=10**7)
                said = session.stderr.decode()
                assert (session.journal, session.exit_code) == (expected.journal, expected.exit_code), (number, expected.error, said)
                ended += session.exit_code == 0
        assert ended > count, "most runs end in an error"


@needs_compiler
@pytest.mark.parametrize("file", ["language_cases", "array_cases", "tensor_cases"])
def test_no_construct_keeps_memory(file: str, tmp_path: Path) -> None:
    (tmp_path / f"{file}.py").write_text((FOLDER / f"{file}.py").read_text())
    (tmp_path / "main.py").write_text(elf_text(file))
    elf = checked_elf(tmp_path, load(tmp_path / "main.py"))
    data = np.random.default_rng(1).integers(1, 100, 1024, dtype=np.int32).tobytes()
    for case in cases_of(file):
        expected = guest.run(getattr(module_of(file), case), data)
        session = zkvm.execute(elf, stdin_of(file, case, data))
        assert (session.journal, session.exit_code) == (expected.journal, 0), (case, expected.error, session.stderr)
