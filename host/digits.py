"""Proves that a private handwritten digit was classified by the committed model, then verifies the receipt as a stranger would.

The host of guest_programs/digits; uses the public names of zkvm only. ``python host/digits.py [LABEL]`` picks the image.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from pathlib import Path

import zkvm

GUEST = Path(__file__).resolve().parent.parent / "guest_programs" / "digits"
SHADES = " .:-=+*#%@"
PIXEL_MAX = 16
WIDTH = 8


def load_image(label: int) -> bytes:
    """The held-out image of ``label`` as the guest reads it: 64 bytes, 0..16."""
    examples = json.loads((GUEST / "held_out.json").read_text())
    return bytes(next(example["pixels"] for example in examples if example["label"] == label))


def draw(pixels: bytes) -> str:
    """The image as text, two characters a pixel."""
    rows = (pixels[start : start + WIDTH] for start in range(0, len(pixels), WIDTH))
    return "\n".join("  " + "".join(SHADES[pixel * (len(SHADES) - 1) // PIXEL_MAX] * 2 for pixel in row) for row in rows)


def read_journal(journal: bytes) -> tuple[int, tuple[int, ...]]:
    """Label and ten logits from what the guest committed."""
    label, *logits = struct.unpack("<I10i", journal)
    return label, tuple(logits)


def main() -> None:
    """Proves, verifies, and prints the figures."""
    elf = GUEST / "digits.elf"
    pixels = load_image(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    print(f"private input\n{draw(pixels)}\n")

    info = zkvm.prove(elf, stdin=pixels)
    sent = info.receipt.to_bytes()

    # The other side has the receipt and the image ID, and nothing else.
    image_id = zkvm.compute_image_id(elf)
    receipt = zkvm.Receipt.from_bytes(sent)
    started = time.perf_counter()
    receipt.verify(image_id)
    verify_seconds = time.perf_counter() - started
    label, logits = read_journal(receipt.journal)

    print(f"label            {label}    logits {logits}")
    print(f"image ID         {image_id}")
    print(f"cycles           {info.session.cycles}")
    for phase, seconds in info.seconds.items():
        print(f"{phase:<16} {seconds:.3f} s")
    print(f"verify           {verify_seconds:.3f} s")
    print(f"receipt          {len(sent)} bytes")
    print(f"security         {info.security_bits} bits, proven")
    print(f"peak memory      {info.peak_memory_bytes / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
