"""Refusals of what a guest in Python cannot be: file, line, what is wrong, what to write instead."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from zkvm.errors import GuestError


class RefusedError(GuestError):
    """The Python source cannot be a guest: the message has file, line, the line itself and what to write instead."""


@dataclass(frozen=True)
class Source:
    """A Python file whose functions are translated.

    Attributes:
        name: as messages and panics show it: the same wherever the file lies.
        lines: its text.
    """

    name: str
    lines: tuple[str, ...]

    def refusal(self, line: int, text: str, instead: str = "") -> RefusedError:
        """The error for a line.

        Args:
            line: its number, from 1.
            text: what is wrong.
            instead: what to write; '' if there is nothing.
        """
        shown = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""
        parts = [f"{self.name}:{line}: {text}", f"    {shown}" if shown else "", f"  instead: {instead}" if instead else ""]
        return RefusedError("\n".join(part for part in parts if part))


def quoted(text: str) -> str:
    """A text as a C string, every byte but plain ones by its number."""
    plain = "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?%' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{plain}"'


NODE_NAMES: dict[type[ast.AST], tuple[str, str]] = {
    ast.Try: ("try", "a panic ends the run: check with if before, and call zkvm.guest.panic"),
    ast.With: ("with", "a guest has no files and no locks"),
    ast.Import: ("import inside a function", "import at the top of the file"),
    ast.ImportFrom: ("import inside a function", "import at the top of the file"),
    ast.ClassDef: ("a class inside a function", "a frozen dataclass or NamedTuple at the top of the file"),
    ast.FunctionDef: ("a function inside a function", "a function at the top of the file that takes what it needs as arguments"),
    ast.Lambda: ("lambda inside a function", "a function at the top of the file"),
    ast.Global: ("global", "pass what changes as an argument and return it"),
    ast.Nonlocal: ("nonlocal", "pass what changes as an argument and return it"),
    ast.Yield: ("a generator", "fill an array and return it"),
    ast.YieldFrom: ("a generator", "fill an array and return it"),
    ast.Await: ("await", "nothing runs beside a guest"),
    ast.AsyncFunctionDef: ("async", "nothing runs beside a guest"),
    ast.AsyncFor: ("async", "nothing runs beside a guest"),
    ast.Match: ("match", "if and elif"),
    ast.Delete: ("del", "leave it: memory is given back when nothing uses it"),
    ast.ListComp: ("a list comprehension", "an array: np.empty(n, dtype), filled in a loop"),
    ast.GeneratorExp: ("a generator expression", "a loop"),
    ast.SetComp: ("a set", "a sorted array, or an array of flags"),
    ast.DictComp: ("a dict", "an array, indexed by the key"),
    ast.Dict: ("a dict", "an array, indexed by the key"),
    ast.Set: ("a set", "a sorted array, or an array of flags"),
    ast.List: ("a list", "a tuple, or np.array([...], dtype)"),
    ast.JoinedStr: ("an f-string", "zkvm.guest.log takes several arguments"),
    ast.NamedExpr: (":=", "an assignment of its own"),
    ast.Starred: ("*", "the arguments one by one"),
}
"""What has no translation, with what to write instead."""
