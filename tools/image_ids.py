"""Image IDs of the committed guests: ``guest_programs/image_ids.json``.

    python tools/image_ids.py            write them
    python tools/image_ids.py --check    compare; exit code 1 if one differs

An image ID changes with the guest's ELF and with the machine (a chip, a bus, a constraint); then run this and say so in the changelog.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the machine beside these guests, whichever is installed

import zkvm

GUESTS = ROOT / "guest_programs"
PAGE = GUESTS / "image_ids.json"


def image_ids() -> dict[str, str]:
    """Name of every committed guest -> image ID, computed from its ELF."""
    return {path.parent.name: zkvm.compute_image_id(path) for path in sorted(GUESTS.glob("*/*.elf"))}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    text = json.dumps(image_ids(), indent=2) + "\n"
    if not parser.parse_args().check:
        PAGE.write_text(text)
        return 0
    if PAGE.read_text() == text:
        return 0
    print(f"{PAGE.name} is not what the committed ELFs and the machine give: run tools/image_ids.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
