"""docs/extending.md, done: its changes applied to a copy of the package, its tests run, its guest proven and verified."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "extending.md"
BLOCKS = re.findall(r"^```(diff|python|c|sh)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def changed(text: str, change: list[str]) -> str:
    """The text with one change: the lines that begin with a space or ``-`` are found, once, and become those with a space or ``+``."""
    before = "".join(f"{line[1:]}\n" for line in change if line[:1] in " -")
    after = "".join(f"{line[1:]}\n" for line in change if line[:1] in " +")
    assert text.count(before) == 1, f"{text.count(before)} places for\n{before}"
    return text.replace(before, after)


def extend(folder: Path) -> list[str]:
    """Write the page's files and changes below a copy of the package; the commands at the end."""
    commands: list[str] = []
    for language, block in BLOCKS:
        first, *rest = block.splitlines()
        if language == "sh":
            commands += block.splitlines()
        elif language == "diff":
            path = folder / first.removeprefix("--- ")
            path.write_text(changed(path.read_text(), rest))
        else:
            path = folder / first.split()[1]
            path.write_text("\n".join(rest) + "\n")
    return commands


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extended")
    for name in ("zkvm", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "digests.py", folder / "tools")
    (folder / "commands").write_text("\n".join(extend(folder)))
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**inherited, "PYTHONPATH": str(folder), "PATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_kind_of_block_is_there() -> None:
    assert [language for language, _ in BLOCKS].count("diff") >= 7
    assert {language for language, _ in BLOCKS} == {"diff", "python", "c", "sh"}


def test_a_change_that_does_not_fit_is_refused() -> None:
    assert changed("a\nb\nc\n", [" a", "-b", "+d", "+e"]) == "a\nd\ne\nc\n"
    with pytest.raises(AssertionError, match="0 places"):
        changed("a\nb\n", [" x"])
    with pytest.raises(AssertionError, match="2 places"):
        changed("a\na\n", [" a"])


def test_what_the_page_says(copy: Path) -> None:
    """One test, because all of it needs the kernels of the extended machine, which are compiled once."""
    written = [block.split()[1] for language, block in BLOCKS if language == "python"]
    tests = [name for name in written if name.startswith("tests/")]
    assert len(tests) == 2
    general = ["tests/riscv/vm/test_syscalls.py", "tests/riscv/chips/test_instruction.py", "tests/soundness/test_padding.py"]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--import-mode=importlib", "--rootdir", str(copy)]
    done = run(copy, sys.executable, "-m", "pytest", *options, *tests, *general, "-k", "not header")
    assert done.returncode == 0, done.stdout + done.stderr
    for command in (copy / "commands").read_text().splitlines():
        done = run(copy, "bash", "-euc", command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    root, unknown = 56755, (1 << 32) - 38  # the square root of 3 * 2^30
    journal = root.to_bytes(4, "little") + unknown.to_bytes(4, "little")
    script = "import sys, zkvm; print(zkvm.Receipt.load('guest.receipt').journal.hex())"
    assert run(copy, sys.executable, "-c", script).stdout.strip() == journal.hex()


def test_other_machines_refuse_the_receipt(copy: Path) -> None:
    """The extended machine's digest is another one."""
    script = "from zkvm.riscv.machine import machine; print(machine().digest.hex())"
    digests = {run(folder, sys.executable, "-c", script).stdout.strip() for folder in (copy, ROOT)}
    assert len(digests) == 2
