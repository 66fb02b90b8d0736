"""Who may import whom: a walk over every import of the package. What is not listed in the tables of ``layers.py`` fails."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.layers import EXTERNAL, INTERNAL

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "zkvm"

HEAVY = (
    "numba",
    "llvmlite",
    "dask",
    "distributed",
    "rich",
    "typer",
    "click",
    "elftools",
    "capstone",
    "onnx",
    "onnxruntime",
    "ziglang",
    "starlette",
    "uvicorn",
)


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
        if ".kernels.source" in module and "kernels.source" not in " ".join((unit, *INTERNAL[unit])):
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
        ("stark.verifier", "import numba"),
        ("stark.verifier", "from zkvm.stark import kernels"),
        ("stark.verifier", "from zkvm.stark.kernels.ntt import evaluate_coset"),
        ("verifier", "def f():\n    import zkvm.stark.prover.prove"),
        ("verifier", "from zkvm.riscv.vm import executor"),
        ("verifier.image", "from zkvm.riscv.vm import executor"),
        ("verifier.image", "from zkvm.stark.prover.preprocessed import compiled_roots"),
        ("verifier.image", "import elftools"),
        ("verifier", "from zkvm.riscv.vm.elf import load_image"),
        ("stark.protocol", "from zkvm.stark.kernels.ntt import lde"),
        ("stark.prover", "from zkvm.stark.verifier import verify"),
        ("stark.prover", "from zkvm.riscv.machine import machine"),
        ("stark.tables", "from zkvm.riscv.chips.common import InstructionChip"),
        ("stark.kernels.source", "from zkvm.riscv.isa import opcodes"),
        ("riscv.vm", "from zkvm.stark.kernels import ntt"),
        ("riscv.vm", "import zkvm.stark.kernels"),
        ("riscv.chips", "from zkvm.stark.protocol.params import Policy"),
        ("stark.kernels", "import numba"),
        ("stark.kernels", "from zkvm.stark.kernels.source import dots"),
        ("stark.prover", "from zkvm.stark.kernels.source.dots import dot_columns"),
        ("riscv.fills", "from zkvm.riscv.kernels.source import fills"),
        ("riscv.kernels", "from zkvm.riscv.isa.decode import decode"),
        ("stark.kernels", "from zkvm.errors import UsageError"),
        ("riscv.chips", "from zkvm.stark.crypto.hashes import blake3"),
        ("stark.air", "from zkvm.riscv.isa import opcodes"),
        ("errors", "import numpy"),
        ("api", "from zkvm.cli import main"),
        ("stark.field", "import scipy"),
    ],
)
def test_forbidden_imports_are_found(unit: str, source: str) -> None:
    assert len(violations(unit, source)) == 1


MANIFEST = "zkvm.stark.kernels.manifest"


def graph(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Which module imports which, from their sources: those of functions and of type checking too, and the packages that an import runs.

    Those above the module itself run before it anyway; they count where it imports something from them.
    """
    edges: dict[str, set[str]] = {}
    for name, source in files.items():
        imported = imported_modules(source)
        edges[name] = {other for other in imported & files.keys() if other != name}
        for module in imported:
            parts = module.split(".")
            run = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            edges[name] |= {other for other in run & files.keys() if other != name and not name.startswith(f"{other}.")}
    return edges


def package_sources() -> dict[str, str]:
    """Every module of the package by its dotted name; a package by that of its ``__init__``."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in package_files()}
    return {name: path.read_text() for path, name in names.items()}


def reached(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    """All modules that importing ``start`` leads to, itself not among them unless it is in a circle."""
    found: set[str] = set()
    left = [start]
    while left:
        new = edges[left.pop()] - found
        found |= new
        left += new
    return found


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The sets of modules that lead to each other."""
    leads = {name: reached(name, edges) for name in edges}
    found = {frozenset(other for other in leads[name] if name in leads[other]) for name in edges if name in leads[name]}
    return sorted(sorted(circle) for circle in found)


def test_no_import_circles() -> None:
    assert circles(graph(package_sources())) == []


def test_circles_are_found() -> None:
    pair = {"zkvm.a": "def f():\n    import zkvm.b", "zkvm.b": "if TYPE_CHECKING:\n    from zkvm.c.d import D", "zkvm.c": "import zkvm.a"}
    assert circles(graph({**pair, "zkvm.c.d": "", "zkvm.e": "import zkvm.a"})) == [["zkvm.a", "zkvm.b", "zkvm.c"]]
    package = {"zkvm.a": "import zkvm.a.b", "zkvm.a.b": "from zkvm.a import TABLE"}
    assert circles(graph(package)) == [["zkvm.a", "zkvm.a.b"]]


def test_the_proof_system_reaches_no_risc_v() -> None:
    """Whatever any module of ``stark`` leads to. One of them names modules of both wings, as text: the kernels to compile."""
    sources = package_sources()
    edges = graph(sources)
    for name in (name for name in sources if name.startswith("zkvm.stark")):
        assert {other for other in reached(name, edges) if not other.startswith("zkvm.stark")} <= {"zkvm.errors"}, name
        assert name == MANIFEST or "zkvm.riscv" not in sources[name], f"{name} names a module of RISC-V"


def test_the_machine_reaches_no_proof() -> None:
    """Not what runs and defines the machine; its image header is stated in the protocol's terms."""
    sources = package_sources()
    edges = graph(sources)
    for name in (name for name in sources if name.startswith("zkvm.riscv")):
        for other in reached(name, edges):
            assert not other.startswith(("zkvm.stark.prover", "zkvm.stark.verifier", "zkvm.verifier")), f"{name} reaches {other}"


def test_what_verifies_reaches_nothing_compiled() -> None:
    """Nor what proves or runs: not even to compute an image ID."""
    sources = package_sources()
    edges = graph(sources)
    for name in (name for name in sources if name.startswith("zkvm.verifier")):
        for other in reached(name, edges):
            assert ".kernels" not in other, f"{name} reaches {other}"
            assert not other.startswith(("zkvm.stark.prover", "zkvm.session", "zkvm.api", "zkvm.riscv.vm.executor")), (
                f"{name} reaches {other}"
            )


MODEL_MAKERS = ("numpy", "onnx", "skl2onnx", "sklearn")
"""What host applications make their data and models with."""


@pytest.mark.parametrize("path", sorted((ROOT / "host").glob("*.py")), ids=lambda path: path.name)
def test_host_applications_use_public_names_only(path: Path) -> None:
    for module in imported_modules(path.read_text()):
        first = module.partition(".")[0]
        assert module in ("zkvm", "zkvm.guest", "zkvm.ml") or first in sys.stdlib_module_names or first in MODEL_MAKERS, module


BASE = ("rich", "typer", "click", "elftools")
"""Of the heavy packages, those of the base installation."""


def run_without_extras(code: str, base: bool = False, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` in a Python where importing anything heavy fails, as if only numpy were there; ``base``: as if no extra were."""
    refused = tuple(name for name in HEAVY if not (base and name in BASE))
    guard = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Refuse())
"""
    return subprocess.run([sys.executable, "-c", guard + code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout)


def test_the_guard_refuses_heavy_packages() -> None:
    result = run_without_extras("import numba")
    assert result.returncode == 1
    assert "ModuleNotFoundError: No module named numba" in result.stderr


def test_import_needs_numpy_only() -> None:
    result = run_without_extras("import zkvm")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", ["verifier", "verifier.receipt", "verifier.image", "stark.verifier.verify"])
def test_verifying_needs_numpy_only(module: str) -> None:
    result = run_without_extras(f"import zkvm.{module}")
    assert result.returncode == 0, result.stderr


def test_stand_alone_verifier_needs_numpy_only() -> None:
    result = run_without_extras("import runpy; sys.argv[1:] = ['--help']; runpy.run_module('zkvm.verifier', run_name='__main__')")
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout.lower()
