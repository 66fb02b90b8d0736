"""Proves that somebody knows a secret whose digest is a leaf of a public Merkle tree, and not which leaf.

Input: depth (uint32), secret (32 bytes), the leaf's number (uint32), the siblings on its way to the root (32 bytes each).
Journal: the root (32 bytes), and a mark (32 bytes) that is the same whenever the secret is used again, in this tree or in another.
"""

import numpy as np

from zkvm import guest

DEEPEST = 32
MARK = np.frombuffer(b"example/mark of a secret/1.....!", np.uint8)


def main() -> None:
    """What is proven."""
    depth = int(guest.read(np.uint32))
    assert depth <= DEEPEST, "the tree is too deep"
    secret = guest.read(np.uint8, 32)
    place = guest.read(np.uint32)
    node = guest.poseidon2_hash(secret)
    for _ in range(depth):
        sibling = guest.read(np.uint8, 32)
        left = place % 2 == 0
        node = guest.poseidon2_compress(node if left else sibling, sibling if left else node)
        place //= 2
    guest.commit(node)
    guest.commit(guest.poseidon2_hash(np.concatenate((MARK, secret))))
