"""Proves which digit a private image shows, by the dense layers of LeNet-5, and verifies the receipt as a stranger would.

The host of guest_programs/python_dense, a guest in Python with tensor calls; uses the public names of zkvm only.
``python host/python_dense.py [LABEL]`` picks the image.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import zkvm

GUESTS = Path(__file__).resolve().parent.parent / "guest_programs"
ELF = GUESTS / "python_dense" / "python_dense.elf"


def load_image(label: int) -> bytes:
    """An image that was not trained on: 64 pixels from 0 to 16."""
    examples = json.loads((GUESTS / "digits" / "held_out.json").read_text())
    return bytes(next(example["pixels"] for example in examples if example["label"] == label))


def main() -> None:
    """A private image in, a public label out."""
    info = zkvm.prove(ELF, load_image(int(sys.argv[1]) if len(sys.argv) > 1 else 3))

    # The verifier knows the image ID (from the ELF that it trusts) and gets the receipt, not the image.
    receipt = zkvm.Receipt.from_bytes(info.receipt.to_bytes())
    receipt.verify(zkvm.compute_image_id(ELF))
    label, *logits = struct.unpack("<q10i", receipt.journal)
    print(f"proven: the image shows a {label}; logits {logits}")
    print(f"{info.cycles} cycles for 59,000 products, {info.seconds['total']:.1f} s")


if __name__ == "__main__":
    main()
