"""A member of a group proves membership without saying who it is, and verifies the receipt as the group would.

The host of guest_programs/python_merkle, a guest in Python; uses the public names of zkvm only.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import zkvm

ELF = Path(__file__).resolve().parent.parent / "guest_programs" / "python_merkle" / "python_merkle.elf"
MEMBERS = 1000


def layers(leaves: list[bytes]) -> list[list[bytes]]:
    """All layers of a Merkle tree, leaves first; what is missing to a power of two is the digest of nothing."""
    depth = max(1, (len(leaves) - 1).bit_length())
    found = [leaves + [zkvm.poseidon2_hash(b"")] * ((1 << depth) - len(leaves))]
    while len(found[-1]) > 1:
        pairs = zip(found[-1][::2], found[-1][1::2], strict=True)
        found.append([zkvm.poseidon2_compress(left, right) for left, right in pairs])
    return found


def main() -> None:
    """A private secret and path in, the public root and a mark out."""
    keys = [secrets.token_bytes(32) for _ in range(MEMBERS)]
    tree = layers([zkvm.poseidon2_hash(key) for key in keys])
    place = secrets.randbelow(MEMBERS)
    siblings = b"".join(layer[(place >> level) ^ 1] for level, layer in enumerate(tree[:-1]))
    depth = len(tree) - 1
    info = zkvm.prove(ELF, zkvm.ExecutorEnv().write_u32(depth).write(keys[place]).write_u32(place).write(siblings))

    # The group knows the root. The mark tells it that nobody votes twice, and not who votes.
    receipt = zkvm.Receipt.from_bytes(info.receipt.to_bytes())
    receipt.verify(zkvm.compute_image_id(ELF))
    root, mark = receipt.journal[:32], receipt.journal[32:]
    assert root == tree[-1][0]
    print(f"proven: one of {MEMBERS} members of the group {root.hex()[:16]}..., with the mark {mark.hex()[:16]}...")
    print(f"{info.cycles} cycles, {info.seconds['total']:.1f} s")


if __name__ == "__main__":
    main()
