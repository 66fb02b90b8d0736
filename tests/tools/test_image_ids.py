"""The committed image IDs are those of the committed ELFs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_recorded_ids_are_computed_from_the_files() -> None:
    assert subprocess.run([sys.executable, ROOT / "tools" / "image_ids.py", "--check"], check=False).returncode == 0
    recorded = json.loads((ROOT / "guest_programs" / "image_ids.json").read_text())
    assert set(recorded) == {path.parent.name for path in (ROOT / "guest_programs").glob("*/*.elf")}
