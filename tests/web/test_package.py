"""The npm package of the verifier: its own tests, what it says of itself, and that its copy of the machine is current."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zkvm
from tests.web.judge import PACKAGE, ROOT, needs_node, node

GENERATED = "machine-data.js"
SOURCES = sorted(path for path in PACKAGE.rglob("*.js") if path.name != GENERATED)
MOST_LINES, WIDEST = 400, 140
IMPORT = re.compile(r"""(?:^|\s)(?:from|import)\s*\(?\s*["']([^"']+)["']""")


def test_the_machine_is_current() -> None:
    result = subprocess.run([sys.executable, "tools/web_machine.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@needs_node
def test_its_own_tests() -> None:
    command = [str(node()), "--test", "--test-reporter=tap", "test/"]
    result = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr
    passed = re.search(r"^# pass (\d+)$", result.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= 30


def test_what_it_says_of_itself() -> None:
    described = json.loads((PACKAGE / "package.json").read_text())
    assert (described["version"], described["license"], described["type"]) == (zkvm.__version__, "Apache-2.0", "module")
    assert not [key for key in described if "ependencies" in key]
    named = [*described["files"], *described["bin"].values(), described["types"]]
    named += [target for entry in described["exports"].values() for target in ([entry] if isinstance(entry, str) else entry.values())]
    assert [name for name in named if not (PACKAGE / name).exists()] == []
    assert (PACKAGE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    # what tests alone need is not part of it
    assert not {"internals.js", "test/", "support/"} & set(described["files"])


@pytest.mark.parametrize("name", ["index", "worker-web", "worker-node"])
def test_the_types_name_what_there_is(name: str) -> None:
    """Values that the types declare are those that the module exports."""
    types, source = (PACKAGE / f"{name.partition('-')[0]}.d.ts").read_text(), (PACKAGE / f"{name}.js").read_text()
    declared = re.findall(r"^export (?:const|class|function) (\w+)", types, re.MULTILINE)
    groups = re.findall(r"^export \{([^}]*)\}", source, re.MULTILINE)
    listed = [entry.split(" as ")[-1].strip() for names in groups for entry in names.split(",")]
    assert sorted(declared) == sorted(listed + re.findall(r"^export class (\w+)", source, re.MULTILINE))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sources(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= MOST_LINES
    assert [number for number, line in enumerate(lines, 1) if len(line) > WIDEST or line != line.rstrip()] == []
    assert any(line.startswith("/**") for line in lines[:2]), "the first comment says what the file is"


def test_nothing_is_imported_from_elsewhere() -> None:
    """No package, and nothing of Node in what browsers load; tests alone see the inside."""
    for path in SOURCES:
        own, for_node = path.relative_to(PACKAGE), path.stem.endswith("-node") or path.parent.name in ("bin", "support", "test")
        for target in IMPORT.findall(path.read_text()):
            assert target.startswith((".", "node:") if for_node else "."), f"{own} imports {target}"
            assert path.parent.name in ("support", "test") or "internals" not in target, own
