"""Proves how often a public decision tree is right about private patients, whose table has a public, salted digest.

Input: how many rows (uint32), the salt (32 bytes), the table (30 float32 a row), the diagnoses (a byte a row).
Journal: the digest (32 bytes), rows and right answers (int32 each).
"""

from pathlib import Path

import numpy as np

from zkvm import guest

TREE = np.load(Path(__file__).parent / "tree.npz")
FEATURE, THRESHOLD = TREE["feature"], TREE["threshold"]  # of a leaf the feature is its class, and there are no children
LEFT, RIGHT = TREE["left"], TREE["right"]
FEATURES, MOST_ROWS = 30, 10_000


def classify(row: np.ndarray) -> np.uint8:
    """The class of the leaf that a row leads to."""
    node = 0
    while LEFT[node] != 0:
        node = int(LEFT[node] if row[FEATURE[node]] <= THRESHOLD[node] else RIGHT[node])
    return FEATURE[node]


def main() -> None:
    """What is proven."""
    count = guest.read(np.uint32)
    assert count <= MOST_ROWS, "too many rows"
    salt = guest.read(np.uint8, 32)
    table = guest.read(np.float32, (int(count), FEATURES))
    diagnoses = guest.read(np.uint8, int(count))
    right = 0
    for row, diagnosis in zip(table, diagnoses, strict=True):
        if classify(row) == diagnosis:
            right += 1
    data = guest.poseidon2_compress(guest.poseidon2_hash(table), guest.poseidon2_hash(diagnoses))
    guest.commit((guest.poseidon2_compress(guest.poseidon2_hash(salt), data), int(count), right))
