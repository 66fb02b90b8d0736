"""Refuses what numba compiles without a word into wrong or unportable arithmetic. Usage: ``python tools/lint_kernels.py [FILE...]``.

In numba, ``uint64 + 1`` is an int64 and ``uint64 + loop index`` becomes a float64: field elements lose their low bits
silently. In every compiled function of the folders ``kernels/source`` this refuses:

- ``/`` (always floating point), ``fastmath``, ``parallel``, ``cache``, and a decorator without ``nogil`` (``inline``, ``entry``: none);
- an integer literal or a loop index in arithmetic with a ``uint64`` value.

A value is a parameter typed ``uint64`` (by the signature in the decorator, else by the annotation), an element of an
array typed ``uint64``, a call of ``np.uint64``, a name assigned from a value, or arithmetic on values.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "zkvm"
KERNELS = (PACKAGE / "stark" / "kernels" / "source", PACKAGE / "riscv" / "kernels" / "source")
FORBIDDEN_OPTIONS = ("fastmath", "parallel")


@dataclass
class Scope:
    """What is known about the names of one function."""

    values: set[str] = field(default_factory=set)
    arrays: set[str] = field(default_factory=set)
    indices: set[str] = field(default_factory=set)

    def is_value(self, node: ast.expr) -> bool:
        """Whether the expression is a uint64 value."""
        match node:
            case ast.Name(id=name):
                return name in self.values
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                return name in self.arrays and not isinstance(index, ast.Slice)
            case ast.Call(func=ast.Attribute(attr="uint64")):
                return True
            case ast.BinOp(left=left, right=right):
                return self.is_value(left) or self.is_value(right)
            case ast.UnaryOp(operand=operand):
                return self.is_value(operand)
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_value(body) or self.is_value(orelse)
        return False

    def is_index(self, node: ast.expr) -> bool:
        """Whether the expression is a bare integer: a literal or a loop index."""
        if isinstance(node, ast.UnaryOp):
            return self.is_index(node.operand)
        if isinstance(node, ast.Constant):
            return isinstance(node.value, int) and not isinstance(node.value, bool)
        return isinstance(node, ast.Name) and node.id in self.indices


def sources() -> list[Path]:
    """What numba compiles, of both wings."""
    return [path for folder in KERNELS for path in sorted(folder.glob("*.py"))]


def compiled_functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, ast.Call | ast.expr]]:
    """The functions that numba compiles, each with its decorator."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                name = decorator.func if isinstance(decorator, ast.Call) else decorator
                if ast.unparse(name).split(".")[-1] in ("njit", "jit", "entry", "vectorize", "guvectorize"):
                    yield node, decorator


def type_aliases(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Module-level names of types, such as ``WORDS = uint64[::1]``, as text."""
    aliases = {}
    for tree in trees:
        for node in tree.body:
            if not isinstance(node, ast.Assign):
                continue
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            for name, meaning in pairs:
                text = ast.unparse(meaning)
                if isinstance(name, ast.Name) and text.startswith(("uint64[", "readonly(uint64", "NDArray[np.uint64")):
                    aliases[name.id] = text
    return aliases


def _classify(text: str, aliases: dict[str, str]) -> str:
    for name, meaning in aliases.items():
        text = re.sub(rf"\b{name}\b", meaning, text)
    if "uint64" not in text:
        return "other"
    return "array" if "NDArray" in text or "uint64[" in text or "readonly(" in text else "value"


def scope_of(function: ast.FunctionDef, decorator: ast.expr, constants: set[str], aliases: dict[str, str]) -> Scope:
    """Classifies parameters, then every name assigned in the function."""
    parameters = function.args.args
    texts = [ast.unparse(p.annotation) if p.annotation else "" for p in parameters]
    if isinstance(decorator, ast.Call) and decorator.args and isinstance(decorator.args[0], ast.Call):
        texts = [ast.unparse(argument) for argument in decorator.args[0].args]
    scope = Scope(values=set(constants))
    for parameter, text in zip(parameters, texts, strict=False):
        kind = _classify(text, aliases)
        if kind == "array":
            scope.arrays.add(parameter.arg)
        elif kind == "value":
            scope.values.add(parameter.arg)
    for node in ast.walk(function):
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and ast.unparse(node.iter).startswith("range"):
            scope.indices.add(node.target.id)
    for _ in range(3):  # assignments in any order: three rounds settle chains of names
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and scope.is_value(node.value):
                scope.values.update(target.id for target in node.targets if isinstance(target, ast.Name))
    loops = [node for node in ast.walk(function) if isinstance(node, ast.For) and isinstance(node.target, ast.Name)]
    for node in loops:  # the index of a range of uint64 values is one
        if isinstance(node.iter, ast.Call) and node.iter.args and all(scope.is_value(bound) for bound in node.iter.args):
            scope.indices -= {ast.unparse(node.target)}
            scope.values.add(ast.unparse(node.target))
    scope.values -= scope.indices
    return scope


def check_options(function: ast.FunctionDef, decorator: ast.expr) -> Iterator[tuple[int, str]]:
    """Complaints about a decorator."""
    options = {k.arg: ast.unparse(k.value) for k in decorator.keywords} if isinstance(decorator, ast.Call) else {}
    for name in FORBIDDEN_OPTIONS:
        if name in options:
            yield decorator.lineno, f"{function.name}: {name} is not allowed"
    is_entry = isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "entry"
    if not is_entry and "inline" not in options and options.get("nogil") != "True":
        yield decorator.lineno, f"{function.name}: needs nogil=True"
    if "cache" in options:
        yield decorator.lineno, f"{function.name}: cache is numba's own; compiled kernels are kept in one file"


def check_arithmetic(function: ast.FunctionDef, scope: Scope) -> Iterator[tuple[int, str]]:
    """Complaints about expressions."""
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp):
            left, operator, right = node.left, node.op, node.right
        elif isinstance(node, ast.AugAssign):
            left, operator, right = node.target, node.op, node.value
        else:
            continue
        text = ast.unparse(node)
        if isinstance(operator, ast.Div):
            yield node.lineno, f"{function.name}: '{text}': / is floating point"
        for one, other in ((left, right), (right, left)):
            if scope.is_value(one) and scope.is_index(other):
                yield node.lineno, f"{function.name}: '{text}': bare integer with a uint64 value; write np.uint64(...)"


def check_source(source: str, aliases: dict[str, str]) -> list[tuple[int, str]]:
    """All complaints about one file: (line, text)."""
    tree = ast.parse(source)
    constants = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("np.uint64(")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: list[tuple[int, str]] = []
    for function, decorator in compiled_functions(tree):
        found.extend(check_options(function, decorator))
        found.extend(check_arithmetic(function, scope_of(function, decorator, constants, aliases)))
    return sorted(found)


def main(arguments: list[str]) -> int:
    """Checks the given files, or all kernels; 1 if anything is found."""
    files = [Path(argument) for argument in arguments] or sources()
    aliases = type_aliases(ast.parse(path.read_text()) for path in sources())
    complaints = [f"{path}:{line}: {text}" for path in files for line, text in check_source(path.read_text(), aliases)]
    print("\n".join(complaints) if complaints else f"{len(files)} files, nothing to report")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
