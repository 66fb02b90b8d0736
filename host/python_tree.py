"""A clinic proves how often a public decision tree is right about its private patients; anybody verifies.

The host of guest_programs/python_tree, a guest in Python; uses the public names of zkvm only.
"""

from __future__ import annotations

import json
import secrets
import struct
from pathlib import Path

import zkvm

GUEST = Path(__file__).resolve().parent.parent / "guest_programs" / "python_tree"
ELF = GUEST / "python_tree.elf"


def main() -> None:
    """A private table in, a public count out."""
    patients = json.loads((GUEST / "held_out.json").read_text())
    table = b"".join(struct.pack("<30f", *patient["row"]) for patient in patients)
    diagnoses = bytes(patient["diagnosis"] for patient in patients)
    salt = secrets.token_bytes(32)
    info = zkvm.prove(ELF, zkvm.ExecutorEnv().write_u32(len(patients)).write(salt).write(table).write(diagnoses))

    # The verifier knows the image ID and the digest that the clinic published before the tree was chosen, say.
    data = zkvm.poseidon2_compress(zkvm.poseidon2_hash(table), zkvm.poseidon2_hash(diagnoses))
    promised = zkvm.poseidon2_compress(zkvm.poseidon2_hash(salt), data)
    receipt = zkvm.Receipt.from_bytes(info.receipt.to_bytes())
    receipt.verify(zkvm.compute_image_id(ELF))
    count, right = struct.unpack("<2i", receipt.journal[32:])
    assert receipt.journal[:32] == promised
    print(f"proven: the tree is right about {right} of {count} patients of the table {promised.hex()[:16]}...")
    print(f"{info.cycles} cycles, {info.seconds['total']:.1f} s")


if __name__ == "__main__":
    main()
