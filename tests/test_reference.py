"""The API reference is built without a warning and shows every public name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import zkvm
import zkvm.ml

ROOT = Path(__file__).resolve().parent.parent


def test_the_reference_is_built_without_warnings(tmp_path: Path) -> None:
    recipe = re.search(r"-W error -m (pdoc .*)", (ROOT / "Makefile").read_text())
    assert recipe is not None
    arguments = recipe[1].replace("build/reference", str(tmp_path)).split()
    result = subprocess.run([sys.executable, "-W", "error", "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    for package, page in ((zkvm, "zkvm.html"), (zkvm.ml, "zkvm/ml.html")):
        text = (tmp_path / page).read_text()
        for name in package.__all__:
            assert f'id="{name}"' in text, name


def test_every_public_name_is_documented() -> None:
    for name in zkvm.__all__:
        value = getattr(zkvm, name)
        assert value.__doc__, name
        assert not value.__doc__.startswith(f"{name}("), f"{name} has only the docstring that dataclasses make"
