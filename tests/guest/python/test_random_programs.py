"""Random expressions over numbers of all types and arrays: a guest commits what CPython commits, or panics and does not answer wrongly."""

from __future__ import annotations

import importlib.util
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from zkvm import guest
from zkvm.guest.python.build import build, load, translate
from zkvm.guest.python.diagnostics import RefusedError

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LITERALS = ("0", "1", "2", "3", "7", "-1", "-5", "100", "255", "65535", "0.5", "-1.25", "3.0", "True")
PYTHON_ONLY = ("OverflowError", "ZeroDivisionError", "ValueError: negative shift count", "ValueError: an int to a negative power")
"""Panics where CPython may have an answer: an int beyond 32 bits, or numpy's division by zero, which is 0 with a warning."""


def random_value(rng: random.Random, names: list[str]) -> str:
    return rng.choice(names) if rng.random() < 0.8 else rng.choice(LITERALS)


def random_expression(rng: random.Random, names: list[str]) -> str:
    a, b, c = (random_value(rng, names) for _ in range(3))
    dtype = rng.choice((*INTEGERS, "float32", "float64"))
    return rng.choice(
        [
            f"{a} {rng.choice(['+', '-', '*'])} {b}",
            f"{a} {rng.choice(['//', '%', '/'])} {b}",
            f"{a} {rng.choice(['&', '|', '^'])} {b}",
            f"{a} {rng.choice(['<<', '>>'])} {b}",
            f"{a} {rng.choice(['<', '<=', '==', '!=', '>', '>='])} {b}",
            f"{rng.choice(['-', '~', 'abs'])}({a})",
            f"np.{dtype}({a})",
            f"({a} if {b} > {c} else {a})",
            f"np.{rng.choice(['minimum', 'maximum', 'add', 'multiply'])}({a}, {b})",
            f"np.where({a} > {b}, {c}, {a})",
            f"np.sum({a}) + {b}",
            f"{a} ** 2",
        ]
    )


def random_function(rng: random.Random, name: str) -> str:
    lines = [f"def {name}():"]
    names = []
    for number in range(4):
        dtype = rng.choice((*INTEGERS, "float32", "float64"))
        names.append(f"x{number}")
        shape = rng.choice(["", "", ", 3", ", (2, 3)"])
        read = f"guest.read(np.{'int32' if 'float' in dtype else dtype}{shape})"
        if "float" in dtype:
            read += f".astype(np.{dtype}) / np.{dtype}({rng.choice([1, 3, 1000])})"
        elif not shape and rng.random() < 0.3:
            read = f"int({read} % np.{dtype}({rng.choice([5, 100])}))"
        lines.append(f"    x{number} = {read}")
    for number in range(5):
        lines.append(f"    y{number} = {random_expression(rng, names)}")
        # NaN has no sign that both would agree on.
        lines.append(f"    guest.commit(y{number} == y{number})")
        lines.append(f"    guest.commit(np.where(y{number} == y{number}, y{number}, 0))")
        names.append(f"y{number}")
    return "\n".join(lines)


def programs(seed: int, count: int, folder: Path) -> str:
    """A file of random functions that have a translation, and a main that runs the one whose number it reads."""
    rng = random.Random(seed)
    head = "import numpy as np\nfrom zkvm import guest\n\n\n"
    found: list[str] = []
    while len(found) < count:
        text = random_function(rng, f"f{len(found)}")
        (folder / "trial.py").write_text(f"{head}{text}\n\n\nmain = f{len(found)}\n")
        try:
            translate(load(folder / "trial.py").main)
        except RefusedError:
            continue
        found.append(text)
    cases = "\n".join(f"    if case == {number}:\n        f{number}()" for number in range(count))
    return head + "\n\n\n".join(found) + f"\n\n\ndef main():\n    case = guest.read(np.uint32)\n{cases}\n"


@needs_compiler
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_random_programs(seed: int) -> None:
    count, rng = 40, np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "main.py").write_text(programs(seed, count, folder))
        elf = build(folder / "main.py", folder / "main.elf", optimization="2").read_bytes()
        spec = importlib.util.spec_from_file_location(f"random_programs_{seed}", folder / "main.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module
        spec.loader.exec_module(module)
        same = 0
        for number in range(count):
            for limit in (2**31 - 1, 100, 3):
                data = rng.integers(-limit, limit, 64, dtype=np.int32).tobytes()
                expected = guest.run(getattr(module, f"f{number}"), data)
                session = zkvm.execute(elf, np.uint32(number).tobytes() + data)
                said, where = session.stderr.decode(), (number, limit, expected.error)
                if session.exit_code == 0:
                    assert expected.exit_code == 0, where
                    assert session.journal == expected.journal, where
                    same += 1
                else:
                    assert expected.journal.startswith(session.journal), (where, said)
                    assert any(text in said for text in PYTHON_ONLY) or expected.error.partition(":")[0] in said, (where, said)
        assert same > count, "most runs end in an error"
