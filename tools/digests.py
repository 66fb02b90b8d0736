"""The digests of the machines, as they are written down: ``zkvm/riscv/digests.py``.

    python tools/digests.py            write them
    python tools/digests.py --check    compare; exit code 1 if one differs

A digest changes with any chip, bus or constraint of its machine; then run this first, and say so in the changelog.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the machines of this checkout, whichever is installed

from zkvm.riscv.machine import machine, memory_machine, segment_machine

PAGE = ROOT / "zkvm" / "riscv" / "digests.py"
TEXT = '''"""The digests of the machines, written by ``tools/digests.py``; tests compare them with what the chips give.

They are what every proof is bound to and what an image ID follows from. Written down, a change of any constraint is seen here, and a
verifier derives the tables that a proof has, not all that there are.
"""

DIGESTS = {{
{lines}
}}
"""32 bytes in hexadecimal digits, by the name of the machine."""
'''


def page() -> str:
    """The module."""
    found = {own.name: replace(own, written=None).digest.hex() for own in (machine(), segment_machine(), memory_machine())}
    return TEXT.format(lines="\n".join(f'    "{name}": "{digest}",' for name, digest in found.items()))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text)
        return 0
    if PAGE.read_text() == text:
        return 0
    print(f"{PAGE.name} does not hold the digests that the chips give: run tools/digests.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
