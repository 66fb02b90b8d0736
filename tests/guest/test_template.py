"""A new project builds, runs, is proven and verified; the ELF is the same wherever it is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.cli.running import invoke
from tests.guest.compiled import needs_compiler
from zkvm.errors import UsageError
from zkvm.guest.template import FILES, new_project

ROOT = Path(__file__).resolve().parents[2]


@needs_compiler
def test_a_new_project_builds_and_proves(tmp_path: Path) -> None:
    assert invoke("new", tmp_path / "squares").code == 0
    folder = tmp_path / "squares"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    built = invoke("build", folder / "main.c", "-o", folder / "squares.elf")
    assert (built.code, built.err) == (0, "")
    host = subprocess.run(
        [sys.executable, folder / "host.py"], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=200
    )
    assert host.returncode == 0, host.stderr
    assert "the squares of 3 private numbers add up to 169" in host.stdout
    profile = zkvm.profile(folder / "squares.elf", zkvm.ExecutorEnv().write_u32(2).write(np.array([5, 6], np.uint32)))
    assert profile.session.journal == (2).to_bytes(4, "little") + (61).to_bytes(4, "little")
    assert any(entry.file == "main.c" for entry in profile.lines)


@needs_compiler
def test_reproducible_in_two_directories_and_debug_information_is_outside_the_image(tmp_path: Path) -> None:
    elves = []
    for place in (tmp_path / "one" / "demo", tmp_path / "a longer path" / "to" / "demo"):
        new_project(place)
        assert invoke("build", place / "main.c", "-o", place / "demo.elf").code == 0
        elves.append((place / "demo.elf").read_bytes())
    assert elves[0] == elves[1]
    stripped = tmp_path / "stripped.elf"
    assert invoke("build", tmp_path / "one" / "demo" / "main.c", "-o", stripped, "--strip").code == 0
    assert len(stripped.read_bytes()) < len(elves[0])
    assert zkvm.load_image(stripped).content_id == zkvm.load_image(elves[0]).content_id
    assert zkvm.compute_image_id(stripped) == zkvm.compute_image_id(elves[0])


@pytest.mark.parametrize("name", ["9lives", "a b", "x" * 65, "naïve"])
def test_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a name of letters"):
        new_project(tmp_path / name)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    new_project(tmp_path / "there")
    (tmp_path / "there" / "main.c").write_text("mine")
    outcome = invoke("new", tmp_path / "there", "--json")
    assert (outcome.code, outcome.json["kind"]) == (2, "UsageError")
    assert (tmp_path / "there" / "main.c").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not an empty directory"):
        new_project(tmp_path / "file")


def test_every_file_names_the_project(tmp_path: Path) -> None:
    for path in new_project(tmp_path / "demo"):
        assert "NAME" not in path.read_text()
