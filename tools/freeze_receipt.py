"""Write the frozen receipts of the current format version: they must verify for as long as the version stands.

    python tools/freeze_receipt.py            # makes those that are missing
    python tools/freeze_receipt.py --replace  # makes all anew: only together with a new version of format, protocol or machine

`tests/compat` verifies them from their bytes and the recorded image IDs alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from zkvm import api
from zkvm.riscv.machine import machine
from zkvm.stark.protocol.params import PROTOCOL_VERSION
from zkvm.verifier.receipt import FORMAT_VERSION

FOLDER = ROOT / "tests" / "compat"
INDEX = FOLDER / "receipts.json"
CASES = {
    "hello-compact-100": ("hello", b"", {"params": "compact", "security": 100}),
    "echo-balanced-100-padded": ("echo", b"frozen", {"params": "balanced", "security": 100, "pad_to": 512}),
    "echo-compact-128-without-zk": ("echo", b"frozen", {"params": "compact", "security": 128, "zk": False}),
    "echo-dev": ("echo", b"frozen", {"params": "fast", "dev": True}),
}
"""Name -> guest, input, arguments of :func:`zkvm.api.prove`."""


def freeze(name: str) -> dict[str, object]:
    """Make one receipt; what the index says of it."""
    guest, stdin, options = CASES[name]
    info = api.prove(ROOT / "guest_programs" / guest / f"{guest}.elf", stdin, **options)  # type: ignore[arg-type]
    info.receipt.save(FOLDER / f"{name}.receipt")
    return {
        "image_id": info.image_id,
        "journal": info.session.journal.hex(),
        "security_bits": options.get("security", 0),
        "zk": info.receipt.zk,
        "dev": info.receipt.dev,
    }


def run(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if arguments not in ([], ["--replace"]):
        print(__doc__)
        return 2
    FOLDER.mkdir(exist_ok=True)
    known = {} if arguments or not INDEX.exists() else json.loads(INDEX.read_text())["receipts"]
    for name in CASES:
        if name not in known:
            known[name] = freeze(name)
            print(f"{name}: {(FOLDER / f'{name}.receipt').stat().st_size} bytes")
    index = {"format": FORMAT_VERSION, "protocol": PROTOCOL_VERSION, "machine": machine().digest.hex(), "receipts": known}
    INDEX.write_text(json.dumps(index, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
