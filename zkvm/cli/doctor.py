"""``zkvm doctor``: what is installed, and what this machine has."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

import zkvm
from zkvm.cli.errors import DONE, REJECTED
from zkvm.cli.options import JsonOption
from zkvm.cli.output import emit, line, size
from zkvm.session import memory
from zkvm.session.resources import prove_extra_found, thread_count

REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(?P<range>[^;]*)(?:;\s*extra\s*==\s*['\"](?P<extra>\w+)['\"])?")
COMPARISONS = {"==": "__eq__", ">=": "__ge__", "<": "__lt__"}
EXTRAS = ("prove", "guest", "ml", "cluster", "serve")
"""Those that users install; the others are for the tests."""
FEATURES = ("avx2", "avx512f", "avx512ifma", "bmi2", "adx", "neon", "sve")
"""Of the processor, those that matter to kernels."""
COMPILER_SECONDS = 60
LITTLE_MEMORY = 512 << 20
"""Less is not enough for the smallest proofs."""
CPU_INFORMATION = Path("/proc/cpuinfo")


def doctor(as_json: JsonOption = False) -> None:
    """Show what is installed and what this machine has; names what is wrong with it."""
    view = examined()
    if as_json:
        emit(view)
    else:
        show(view)
    raise typer.Exit(REJECTED if view["problems"] else DONE)


def examined() -> dict[str, Any]:
    """What ``--json`` prints."""
    packages = {name: found for name, found in required_packages().items() if found["extra"] in ("", *EXTRAS)}
    view: dict[str, Any] = {
        "zkvm": zkvm.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: found["version"] for name, found in packages.items()},
        "extras": {extra: all(found["version"] for found in packages.values() if found["extra"] == extra) for extra in EXTRAS},
        "processor": processor(),
        "memory": {"total_bytes": memory.total_bytes(), "available_bytes": memory.available_bytes()},
        "kernels": kernel_cache(),
        "compiler": compiler_version(),
    }
    return view | {"problems": [*problems(view, packages)]}


def required_packages() -> dict[str, dict[str, str]]:
    """What this package requires: name -> ``extra`` ('' for the base), ``range``, and the ``version`` found ('': none)."""
    try:
        requirements = metadata.requires("zkvm") or []
    except metadata.PackageNotFoundError:  # the sources, not installed
        requirements = []
    found: dict[str, dict[str, str]] = {}
    for text in requirements:
        match = REQUIREMENT.fullmatch(text.strip())
        if match is None or match["name"] == "zkvm" or "[" in text:
            continue
        try:
            version = metadata.version(match["name"])
        except metadata.PackageNotFoundError:
            version = ""
        found.setdefault(match["name"], {"extra": match["extra"] or "", "range": match["range"].strip(), "version": version})
    return found


def in_range(version: str, wanted: str) -> bool:
    """Whether a version is within a range as ``pyproject.toml`` writes it: ``>=``, ``<`` and ``==`` with numbers."""
    for part in wanted.split(","):
        match = re.fullmatch(r"\s*(==|>=|<)\s*([\d.]+)\s*", part)
        if match is not None:
            ours, limit = ([int(number) for number in re.findall(r"\d+", text)][:3] for text in (version, match[2]))
            length = max(len(ours), len(limit))
            pair = [numbers + [0] * (length - len(numbers)) for numbers in (ours, limit)]
            if not getattr(pair[0], COMPARISONS[match[1]])(pair[1]):
                return False
    return True


def processor() -> dict[str, Any]:
    """The processor that kernels are compiled for, and what this process may use of it."""
    view: dict[str, Any] = {"name": model_name(), "threads": thread_count(None), "target": None, "features": None, "vector_bits": None}
    if prove_extra_found():
        from zkvm.stark.kernels.width import WORD_LANES, cpu_features, cpu_name

        there = set(cpu_features().split(","))
        view |= {"target": cpu_name(), "features": [name for name in FEATURES if f"+{name}" in there], "vector_bits": 64 * WORD_LANES}
    return view


def model_name() -> str:
    """The processor's name as its maker says it, or at least its kind."""
    try:
        lines = CPU_INFORMATION.read_text().splitlines()
        return next(entry.partition(":")[2].strip() for entry in lines if entry.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def kernel_cache() -> dict[str, Any] | None:
    """Where compiled kernels are kept, and whether they are there; None without the ``prove`` extra."""
    if not prove_extra_found():
        return None
    from zkvm.stark.kernels import file
    from zkvm.stark.kernels.library import library_path

    path = library_path()
    length = path.stat().st_size if path.is_file() else 0
    ready = bool(length) and file.read(path) is not None
    state = "ready" if ready else "damaged: compiled again at the next start" if length else "compiled at the next start"
    return {"file": str(path), "bytes": length, "ready": ready, "state": state, "writable": can_write(path.parent)}


def can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def compiler_version() -> str | None:
    """What the compiler of guests says of its version; None if it is not installed, or does not start."""
    from zkvm.errors import UsageError
    from zkvm.guest.library import compiler

    try:
        result = subprocess.run([*compiler(), "version"], capture_output=True, text=True, check=True, timeout=COMPILER_SECONDS)
    except (UsageError, ImportError, OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def problems(view: dict[str, Any], packages: dict[str, dict[str, str]]) -> Iterator[str]:
    """What is wrong, and what to do."""
    for name, found in packages.items():
        if found["version"] and not in_range(found["version"], found["range"]):
            install = f"pip install 'zkvm[{found['extra']}]'" if found["extra"] else "pip install zkvm"
            yield f"{name} {found['version']} is installed, and {found['range']} is needed: {install}"
    kernels = view["kernels"]
    if kernels is not None and not kernels["writable"] and not kernels["ready"]:
        yield f"{kernels['file']} cannot be written, so that every start compiles the kernels: set NUMBA_CACHE_DIR to another directory"
    if view["memory"]["available_bytes"] < LITTLE_MEMORY:
        yield f"{size(view['memory']['available_bytes'])} of memory are left, and the smallest proofs take {size(LITTLE_MEMORY)}"
    if view["extras"]["guest"] and view["compiler"] is None:
        yield "the compiler of guests is installed but does not start: pip install --force-reinstall 'zkvm[guest]'"


def show(view: dict[str, Any]) -> None:
    """The readable form."""
    line("zkvm", f"{view['zkvm']}, Python {view['python']}, {view['system']}")
    for extra, there in view["extras"].items():
        line(f"extra {extra}", "installed" if there else f"not installed (pip install 'zkvm[{extra}]')")
    line("packages", ", ".join(f"{name} {version}" for name, version in view["packages"].items() if version) or "unknown: not installed")
    found = view["processor"]
    line("processor", f"{found['name']}, {found['threads']} threads for this process")
    if found["target"] is not None:
        line(
            "kernels for", f"{found['target']}, {found['vector_bits']}-bit vectors ({', '.join(found['features']) or 'no known features'})"
        )
    line("memory", f"{size(view['memory']['available_bytes'])} available of {size(view['memory']['total_bytes'])}")
    kernels = view["kernels"]
    if kernels is not None:
        line("kernel cache", f"{kernels['file']}, {size(kernels['bytes'])}, {kernels['state']}")
    line("compiler", view["compiler"] and f"zig {view['compiler']}" or "none")
    for problem in view["problems"]:
        line("problem", problem)
    if not view["problems"]:
        line("problems", "none")
