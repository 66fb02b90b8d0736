"""What cannot be a guest in Python is refused with file, line, the line itself, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import invoke
from tests.guest.python.sources import translated
from zkvm import guest
from zkvm.errors import GuestError, UsageError
from zkvm.guest.python.diagnostics import NODE_NAMES, RefusedError

HEAD = """import math
import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from zkvm import guest
from zkvm.guest import tensors

DENSE = tensors.Linear(np.ones((3, 4), np.int8), 1 / 4)
SUM = tensors.Sum(1 / 4)
MATMUL = tensors.Matmul(1 / 4)
PAIRS = tensors.Maximum(2)
LAST = tensors.Gather([11])
ITEMS = [1, 2, 3]
TABLE = np.arange(4, dtype=np.int32)
HALF = np.zeros(3, np.float16)
BIG = 2**70


@dataclass
class Loose:
    x: int


@dataclass(frozen=True)
class Point:
    x: int


@dataclass(frozen=True)
class Checked:
    x: int

    def __post_init__(self):
        assert self.x


def typed(x: np.int32, w: NDArray[np.uint8]) -> np.int32:
    return x


def many(*args):
    return 0


def sometimes(n):
    if n > 2:
        return n


def mixed(n):
    if n > 2:
        return n
    return 0.5


def endless(n):
    return endless(n)


def growing(t):
    return growing((t, t[1])) if t[1] == 0 else 1


def even(n):
    if n == 0:
        return 1
    return odd(n - 1)


def odd(n):
    if n == 0:
        return np.int64(0)
    return even(n - 1)


def main():
    n = int(guest.read(np.uint32))
    x = guest.read(np.int32, 4)
"""
FIRST = HEAD.count("\n") + 1

REFUSED = {
    "try:\n    n = 1\nexcept ValueError:\n    pass": ("try has no translation", "zkvm.guest.panic"),
    "with open('x') as f:\n    pass": ("with has no translation", "no files"),
    "import os": ("import inside a function", "top of the file"),
    "from os import path": ("import inside a function", "top of the file"),
    "class A:\n    pass": ("a class inside a function", "frozen dataclass"),
    "def f():\n    pass": ("a function inside a function", "top of the file"),
    "f = lambda a: a": ("lambda", "a function at the top"),
    "global ITEMS": ("global", "return it"),
    "del n": ("del", "memory is given back"),
    "match n:\n    case 1:\n        pass": ("match", "elif"),
    "y = [i for i in range(3)]": ("a list comprehension", "np.empty"),
    "y = sum(i for i in range(3))": ("a generator expression", "a loop"),
    "y = {1: 2}": ("a dict", "an array"),
    "y = {1, 2}": ("a set", "array of flags"),
    "y = [1, 2]": ("a list", "np.array"),
    "y = f'{n}'": ("an f-string", "log takes several"),
    "y = (m := n)": (":=", "assignment of its own"),
    "many(*x)": ("* or ** in a call", "one by one"),
    "many(1)": ("any number of arguments", "names"),
    "print(n)": ("print is not there", "zkvm.guest.log"),
    "y = open('x')": ("open is not there", "zkvm.guest.read"),
    "y = random.random()": ("random", "python-guests.md"),
    "y = np.fft.fft(x)": ("fft is not there", "python-guests.md"),
    "y = np.median(x)": ("numpy.median is not there", "np.sort"),
    "y = np.nonzero(x)[0]": ("numpy.nonzero is not there", "np.flatnonzero"),
    "y = np.bitwise_xor.reduce(x)": ("ufunc.reduce is not there", "a loop"),
    "y = ITEMS[0]": ("a list of the module", "tuple or a numpy array"),
    "y = HALF[0]": ("float16", "np.float32"),
    "y = np.complex64(1)": ("a dtype that guests have not", "np.float32"),
    "y = BIG": ("beyond 64 bits", "np.uint64"),
    "y = n + 5000000000": ("out of bounds for int", "np.int64"),
    "y = np.uint8(256)": ("256 is out of bounds for np.uint8", "wider"),
    "y = x[0] + 5000000000": ("out of bounds for np.int32", "wider"),
    "TABLE[0] = 1": ("which is constant", "copy()"),
    "TABLE += 1": ("TABLE may not have a value here", "before"),
    "y = TABLE\n    y += 1": ("which is constant", "copy()"),
    "TABLE.sort()": ("which is constant", "np.sort"),
    "y = Loose(1)": ("the class Loose", "frozen=True"),
    "y = Checked(1)": ("__post_init__", "a function"),
    "y = Point(1)\n    y.x = 2": ("an assignment to a field", "replace"),
    "y = Point(1).z": ("no field z", "x"),
    "y = (1, 2)\n    y[0] = 3": ("a member of", "a new tuple"),
    "y = 1\n    y = 0.5": ("y is int, and float here", "0.0"),
    "y = np.int32(1)\n    y = y + np.int64(1)": ("y is np.int32, and np.int64 here", "np.int64"),
    "if n > 3:\n        z = 1\n    guest.commit(z)": ("z may not have a value here", "before"),
    "for i in range(n):\n        z = i\n    guest.commit(z)": ("z may not have a value here", "before"),
    "guest.commit(nothing)": ("nothing is not defined", ""),
    "y = typed(n, x)": ("typed's x is annotated int32, and is int", "a conversion"),
    "y = typed(x[0], x)": ("typed's w is annotated", "a conversion"),
    "y = sometimes(n)": ("ends without a return on some way", "a return"),
    "y = mixed(n)": ("the function returns int, and float here", "one type"),
    "y = endless(n)": ("calls itself before a return", "->"),
    "y = growing((n, n))": ("calls itself with ever new types", "one type"),
    "y = even(n - 5)": ("is called before its result's type is known", "->"),
    "y = typed(n)": ("missing a required argument", ""),
    "if x:\n        n = 1": ("the truth of an array", "np.any"),
    "if x > 3:\n        n = 1": ("the truth of an array", "np.any"),
    "y = 1 in 2": ("in of int", "a tuple or an array"),
    "y = n is 3": ("is", "=="),
    "y = (n > 3) + 1": ("add of bool and int", "int(...)"),
    "y = n & 0.5": ("and of int and float", "integers"),
    "y = ~0.5 * n": ("~ of a float", "integer"),
    "y = x @ 3": ("is int, not an array", ""),
    "y = x[0.5]": ("the index is float", "int(...)"),
    "y = x[0, 0]": ("2 indices of an array with 1 axes", ""),
    "y = x[::n]": ("a slice's step that is not a constant", "constant"),
    "y = x.tolist()": ("arrays have no method tolist", "astype"),
    "y = x.real": ("arrays have no real", "shape"),
    "y = np.sum(x, axis=n)": ("an axis that is no constant", "constant"),
    "y = np.zeros(3, np.float16)": ("a dtype that guests have not", "np.float32"),
    "y = np.zeros(3, np)": ("a dtype that guests have not", "np.float32"),
    "y = np.zeros(3, 'text')": ("a dtype that guests have not", "np.float32"),
    "y = np.sqrt(None)": ("an operator on None", "numbers"),
    "y = np.sort(None)": ("None, not an array", ""),
    "y = 2.0 ** n": ("a power of a float", "np.exp"),
    "raise ValueError(n)": ("a message that is not a constant text", "guest.log"),
    "guest.panic(str(n))": ("str is not there", ""),
    "guest.log(0.5)": ("log of float", "int(1000 * x)"),
    "guest.commit('text')": ("commit of text", "a number"),
    "y = guest.read(np.bool_)": ("read of truth values", "np.uint8"),
    "a, b = (1, 2, 3)": ("3 values for 2 names", ""),
    "for c in 'text':\n        pass": ("a loop over text", "range"),
    "y = math.gamma(n)": ("gamma is not there", ""),
    "y = 'a' + 'b'": ("an operator on text", "numbers"),
    "y = x[::2].reshape(2, 1)": ("do not lie one after the other", "copy()"),
    "y = x.reshape(2, 2).T.ravel()": ("do not lie one after the other", "flatten()"),
    "x += 0.5": ("np.float64 into an array of np.int32", "astype"),
    "y = np.argsort(x)": ("any", 'kind="stable"'),
    "y = np.sqrt(x.astype(np.int8))": ("np.float16", "np.float32"),
    "y = tensors.read(n)": ("shape that is not constant", "constants"),
    "y = tensors.read((3, 4, 5))": ("no shape of a tensor", ""),
    "y = tensors.read(())": ("no shape of a tensor", ""),
    "y = tensors.load(x, 4)": ("a tensor of array of np.int32", "np.int16"),
    "y = DENSE(x)": ("Linear takes 1 tensors", "tensors.read"),
    "y = DENSE(tensors.read(5))": ("4 channels are wanted, and there are 5", ""),
    "y = SUM(tensors.read(4))": ("Sum takes 2 tensors", "tensors.load"),
    "y = SUM(tensors.read(4), tensors.read((4, 1)))": ("tensors of one shape", ""),
    "y = MATMUL(tensors.read((4, 3)), tensors.read((4, 9)))": ("a multiple of 8", ""),
    "y = MATMUL(tensors.read(5), tensors.read((5, 8)))": ("at most 1 / 5", ""),
    "y = PAIRS(tensors.read(3))": ("3 channels cannot be compared by 2", ""),
    "y = LAST(tensors.read((2, 5)))": ("place 11 of a tensor of 10 elements", ""),
    "y = tensors.Linear(x, 1)": ("a layer made inside a function", "top of the file"),
    "y = tensors.read(3) + 1": ("an operator on tensor of 3", "numbers or arrays"),
    "y = tensors.read(3).mean()": ("tensors have no method mean", "numbers()"),
    "guest.commit(tensors.read(3))": ("commit of tensor of 3", "a number"),
    "y = tensors.read(3)\n    y = tensors.read(4)": ("y is tensor of 3, and tensor of 4 here", "another name"),
    "y = typed(x[0], tensors.read(3))": ("typed's w is annotated", "a conversion"),
    "return 0.5": ("main returns float", "exit code"),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text.partition("\n")[0])
def test_refusals(text: str) -> None:
    message, instead = REFUSED[text]
    indented = text if "\n    " in text and not text.startswith(("try", "with", "class", "def", "match")) else text.replace("\n", "\n    ")
    with pytest.raises(RefusedError) as caught:
        translated(f"{HEAD}    {indented}\n")
    said = str(caught.value)
    assert said.startswith("main.py:"), said
    assert message in said.partition("\n")[0], said
    assert instead in said.partition("instead: ")[2] if instead else True, said
    place, shown = said.split(": ")[0], said.split("\n")[1].strip()
    line = int(place.partition(":")[2])
    assert shown == f"{HEAD}    {indented}\n".split("\n")[line - 1].strip()
    if message.split(" ")[0] not in ("ends", "the", "calls", "main", "is") and "function returns" not in message:
        assert line >= FIRST, said


def test_a_guest_without_main(tmp_path: Path) -> None:
    (tmp_path / "guest.py").write_text("x = 1\n")
    outcome = invoke("build", tmp_path / "guest.py", "-o", tmp_path / "guest.elf")
    assert (outcome.code, outcome.out) == (3, "")
    assert "no function main" in outcome.err
    assert not (tmp_path / "guest.elf").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def main(n):\n    pass\n", "main.py:1: main has parameters"),
        ("x = 1 / 0\ndef main():\n    pass\n", "importing it failed: line 1: ZeroDivisionError"),
        ("def main(:\n", "importing it failed: SyntaxError"),
        ("import nothing_of_this_name\ndef main():\n    pass\n", "importing it failed: line 1: ModuleNotFoundError"),
        ("main = 3\n", "no function main"),
        ("main = lambda: None\n", "lambda has no translation"),
    ],
)
def test_files_that_are_no_guests(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "main.py").write_text(text)
    outcome = invoke("build", tmp_path / "main.py", "-o", tmp_path / "guest.elf", "--json")
    assert (outcome.code, outcome.json["exit_code"]) == (3, 3)
    assert message in outcome.json["error"]
    assert "Traceback" not in outcome.err


def test_usage(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("def main():\n    pass\n")
    (tmp_path / "more.c").write_text("")
    for more in ([tmp_path / "more.c"], ["-I", tmp_path], ["-D", "X=1"], ["--no-runtime"]):
        outcome = invoke("build", tmp_path / "main.py", *more, "-o", tmp_path / "guest.elf")
        assert outcome.code == 2
        assert "a Python file is built alone" in outcome.err
    missing = invoke("build", tmp_path / "missing.py", "-o", tmp_path / "guest.elf")
    assert (missing.code, "no such file" in missing.err) == (2, True)


def test_calls_outside_of_a_run() -> None:
    with pytest.raises(UsageError, match=r"zkvm\.guest\.run"):
        guest.commit(1)
    with pytest.raises(UsageError, match="a function is needed"):
        guest.program(3)  # type: ignore[arg-type]


def test_a_function_without_a_file_is_refused() -> None:
    space: dict[str, object] = {}
    exec("def main():\n    pass\n", space)
    with pytest.raises(GuestError, match="its source is not in a file"):
        guest.program(space["main"]).elf()  # type: ignore[arg-type]


def test_every_kind_of_node_that_is_refused_says_what_to_write() -> None:
    assert all(name and instead for name, instead in NODE_NAMES.values())
