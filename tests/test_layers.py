"""Who may import whom: a table of allowed edges, and a walk over every import of the package. What is not listed fails."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "zkvm"

BASE = ("errors", "params")
PRIMITIVES = (*BASE, "field", "isa", "records")
DESCRIPTION = (*PRIMITIVES, "crypto", "air", "chips")
PROTOCOL = ("machine", "proof", "codec", "shape", "steps", "security")

# Unit (a module or package directly under zkvm) -> what of ours it may import, as dotted prefixes below zkvm.
INTERNAL: dict[str, tuple[str, ...]] = {
    "errors": (),
    "params": ("errors",),
    "field": BASE,
    "records": (*BASE, "isa.opcodes"),
    "isa": (*BASE, "records"),
    "crypto": (*BASE, "field"),
    "air": (*BASE, "field", "crypto.hashes"),  # the digest of a machine
    "chips": (*BASE, "field", "air", "isa", "records"),
    "machine": (*BASE, "field", "air", "isa", "records", "chips", "crypto"),
    "proof": (*BASE, "field"),
    "codec": (*BASE, "field", "air", "crypto", "proof", "shape"),  # sizes follow from the machine's shape
    "shape": (*BASE, "field", "air"),
    "steps": (*BASE, "field", "air", "crypto", "machine", "proof", "shape"),
    "security": (*BASE, "field", "air", "crypto", "machine", "proof", "shape"),
    "tables": (*BASE, "field", "isa", "records", "air", "chips", "machine"),
    "kernels": ("isa.opcodes", "field.goldilocks"),  # constants
    "kernels.library": ("kernels", "kernels.source.build"),  # the one way to the sources: kernels have to be compiled
    "kernels.width": (),
    "kernels.source": ("isa.opcodes", "field.goldilocks", "records", "kernels"),  # constants, and what is declared one package above
    "verifier": (*DESCRIPTION, *PROTOCOL),
    "vm": ("errors", "params", "isa", "records", "crypto", "kernels.interpreter", "kernels.trace"),
    "prover": (*DESCRIPTION, *PROTOCOL, "tables", "kernels"),
    "verifier.__main__": (*BASE, "machine", "receipt"),  # the stand-alone program: above the package that it lies in
    "receipt": (*BASE, "crypto", "machine", "proof", "codec", "shape", "security", "verifier"),
    "resources": ("errors",),
    "session": (*BASE, "records", "resources", "vm", "kernels.interpreter"),
    "api": (
        *BASE,
        "records",
        "air.check",
        "machine",
        "proof",
        "shape",
        "security",
        "session",
        "tables",
        "receipt",
        "resources",
        "vm",
        "prover",
        "kernels.trace",
        "kernels.library",
    ),
    "prediction": (*BASE, "resources", "shape", "speed"),
    "speed": (*BASE, "air", "kernels.ntt", "machine", "resources"),
    "profiling": (*BASE, "isa.opcodes", "machine", "prediction", "records", "resources", "session", "shape", "tables", "vm"),
    "flamegraph": ("profiling",),
    "__init__": (*BASE, "api", "prediction", "profiling", "receipt", "session"),
    "guest": ("errors",),
    "ml": ("errors", "guest"),
    "cli": ("",),  # anything: nothing imports it
    "__main__": ("cli",),
}

# Unit -> third-party packages that it may import.
EXTERNAL: dict[str, frozenset[str]] = {
    **{unit: frozenset({"numpy"}) for unit in INTERNAL},
    "errors": frozenset(),
    "params": frozenset(),
    "kernels": frozenset({"numpy"}),
    "kernels.library": frozenset({"numpy", "llvmlite"}),
    "kernels.width": frozenset({"llvmlite"}),
    "kernels.source": frozenset({"numpy", "numba", "llvmlite"}),
    "vm": frozenset({"numpy", "elftools", "capstone"}),
    "isa": frozenset({"numpy", "capstone"}),
    "guest": frozenset(),
    "ml": frozenset({"numpy", "onnx", "onnxruntime", "onnxslim"}),
    "cli": frozenset({"numpy", "rich", "typer"}),
    "__main__": frozenset(),
}

HEAVY = ("numba", "llvmlite", "rich", "typer", "click", "elftools", "capstone", "onnx", "onnxruntime", "ziglang")


def imported_modules(source: str) -> set[str]:
    """Dotted names of all modules that the source imports, inside functions too; submodules are told from names by the files."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            module = node.module or ""
            found |= {name if is_module(name := f"{module}.{alias.name}") else module for alias in node.names}
    return found


def is_module(name: str) -> bool:
    """Whether a dotted name is a module of this package."""
    path = ROOT.joinpath(*name.split("."))
    return name.startswith("zkvm.") and (path.is_dir() or path.with_suffix(".py").is_file())


def violations(unit: str, source: str) -> list[str]:
    """Imports of ``source`` that a file of ``unit`` may not have."""
    bad = []
    for module in sorted(imported_modules(source)):
        top, _, rest = module.partition(".")
        if rest.startswith("kernels.source") and "kernels.source" not in ".".join((unit, *INTERNAL[unit])):
            allowed = False  # a warm start does not import numba
        elif top != "zkvm":
            allowed = top in sys.stdlib_module_names or top in EXTERNAL[unit]
        else:
            allowed = any(prefix == "" or f"{rest}.".startswith(f"{prefix}.") for prefix in (*INTERNAL[unit], unit))
        if not allowed:
            bad.append(module)
    return bad


def package_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    """The row of the table that holds for a file: its own if it has one, else that of the smallest package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((name for name in names if name in INTERNAL), parts[0])


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_are_allowed(path: Path) -> None:
    assert unit_of(path) in INTERNAL, "a new module needs a row in the table"
    assert violations(unit_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("unit", "source"),
    [
        ("verifier", "import numba"),
        ("verifier", "from zkvm import kernels"),
        ("verifier", "from zkvm.kernels.ntt import lde"),
        ("verifier", "def f():\n    import zkvm.prover.prove"),
        ("prover", "from zkvm.verifier import verify"),
        ("prover", "from zkvm.vm.executor import execute"),
        ("vm", "from zkvm.kernels import ntt"),
        ("vm", "import zkvm.kernels"),
        ("kernels", "import numba"),
        ("kernels", "from zkvm.kernels.source import dots"),
        ("prover", "from zkvm.kernels.source.dots import dot_columns"),
        ("kernels", "from zkvm.isa.decode import decode"),
        ("kernels", "from zkvm.errors import UsageError"),
        ("chips", "from zkvm.crypto.hashes import blake3"),
        ("air", "from zkvm.isa import opcodes"),
        ("errors", "import numpy"),
        ("api", "from zkvm.cli import main"),
        ("field", "import scipy"),
    ],
)
def test_forbidden_imports_are_found(unit: str, source: str) -> None:
    assert len(violations(unit, source)) == 1


@pytest.mark.parametrize("path", sorted((ROOT / "host").glob("*.py")), ids=lambda path: path.name)
def test_host_applications_use_public_names_only(path: Path) -> None:
    for module in imported_modules(path.read_text()):
        assert module == "zkvm" or module.partition(".")[0] in sys.stdlib_module_names


def run_without_extras(code: str) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` in a Python where importing anything heavy fails, as if no extra were installed."""
    guard = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Refuse())
"""
    return subprocess.run([sys.executable, "-c", guard + code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_the_guard_refuses_heavy_packages() -> None:
    result = run_without_extras("import numba")
    assert result.returncode == 1
    assert "ModuleNotFoundError: No module named numba" in result.stderr


def test_import_needs_numpy_only() -> None:
    result = run_without_extras("import zkvm")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", [module for module in ("verifier", "receipt") if is_module(f"zkvm.{module}")])
def test_verifying_needs_numpy_only(module: str) -> None:
    result = run_without_extras(f"import zkvm.{module}")
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(not is_module("zkvm.verifier.__main__"), reason="no stand-alone verifier yet")
def test_stand_alone_verifier_needs_numpy_only() -> None:
    result = run_without_extras("import runpy; sys.argv[1:] = ['--help']; runpy.run_module('zkvm.verifier', run_name='__main__')")
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout.lower()
