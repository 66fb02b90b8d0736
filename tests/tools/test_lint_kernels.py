"""The kernel lint finds what it is for, and the kernels pass it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "lint_kernels.py"


def load_tool() -> ModuleType:
    specification = importlib.util.spec_from_file_location("lint_kernels", TOOL)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["lint_kernels"] = module
    specification.loader.exec_module(module)
    return module


lint = load_tool()
ALIASES = {"WORDS": "uint64[::1]"}


def complaints(body: str, decorator: str = "@njit(void(uint64, WORDS, int64), nogil=True)") -> list[str]:
    source = f"ONE = np.uint64(1)\n{decorator}\ndef kernel(value, words, count):\n    {body}\n"
    return [text for _, text in lint.check_source(source, ALIASES)]


@pytest.mark.parametrize(
    "body",
    [
        "return value + 1",
        "return 2 * words[3]",
        "return words[count] >> 32",
        "value += 1",
        "x = value\n    return x & 255",
        "return (value * ONE) - 1",
        "for i in range(count):\n        value = value + i",
        "for i in range(count):\n        words[i] += i",
        "return ONE << 3",
        "return -1 + value",
    ],
)
def test_bare_integers_are_found(body: str) -> None:
    assert any("bare integer" in text for text in complaints(body))


def test_division_and_options_are_found() -> None:
    assert any("floating point" in text for text in complaints("return count / count"))
    assert any("fastmath" in text for text in complaints("pass", "@njit(nogil=True, fastmath=True)"))
    assert any("parallel" in text for text in complaints("pass", "@njit(nogil=True, parallel=True)"))
    assert any("nogil=True" in text for text in complaints("pass", "@njit"))
    assert any("cache" in text for text in complaints("pass", "@njit(nogil=True, cache=True)"))


def test_entries_are_checked_like_other_kernels() -> None:
    entry = "@entry(void(uint64, readonly(uint64), int64))"
    assert complaints("return words[count] * value", entry) == []
    assert any("bare integer" in text for text in complaints("return words[3] + 1", entry))
    assert any("bare integer" in text for text in complaints("return value + 1", entry))


@pytest.mark.parametrize(
    "body",
    [
        "return value + ONE",
        "return words[count + 1] * value",
        "return count // 8 + 1",
        "return value >> np.uint64(32)",
        "for i in range(count):\n        words[8 * i + 1] = value",
    ],
)
def test_good_code_passes(body: str) -> None:
    assert complaints(body) == []


def test_annotations_are_read_without_a_signature() -> None:
    source = "@njit(nogil=True)\ndef f(a: np.uint64, b: NDArray[np.uint64], n: int):\n    return a + 1, b[n] + 1, n + 1\n"
    assert len(lint.check_source(source, {})) == 2


def test_the_kernels_pass() -> None:
    assert lint.main([]) == 0
    assert lint.type_aliases([lint.ast.parse("WORDS = uint64[::1]\nX = 3\n")]) == {"WORDS": "uint64[::1]"}
