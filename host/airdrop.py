"""Airdrop: a claimant proves that a private history earns an amount by an announced score, and cannot claim twice.

A snapshot of accounts is a Merkle tree of Poseidon2 whose root is public. The claimant shows a nullifier, which follows from the account's
secret and the airdrop: the same account gives the same one again, and nobody else can tell whose it is.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zkvm
from zkvm import guest

FIGURES = ("months active", "transactions", "counterparties", "volume")
CAPS = np.array([36, 500, 100, 100_000], np.int32)
WEIGHTS = np.array([1000, 40, 300, 1], np.int32)
"""The announced score: capped figures times weights; capped, so that money alone does not do it."""
TIERS, AMOUNTS = np.array([10_000, 40_000, 100_000], np.int32), (0, 50, 200, 500)
DEPTH = 20
"""Levels of the tree: up to a million accounts."""
DIGEST = 32
JOURNAL = np.dtype([(name, np.uint8, DIGEST) for name in ("airdrop", "root", "nullifier", "recipient")] + [("amount", "<i4")])


def owner_of(secret: NDArray[np.uint8]) -> Any:
    """What an account publishes of its secret."""
    return guest.poseidon2_hash(secret)


def leaf_of(owner: NDArray[np.uint8], history: NDArray[np.int32]) -> Any:
    """An account's entry in the snapshot."""
    return guest.poseidon2_compress(owner, guest.poseidon2_hash(history))


def nullifier_of(secret: NDArray[np.uint8], airdrop: NDArray[np.uint8]) -> Any:
    """One for each account and airdrop; only who has the secret can tell whose it is."""
    return guest.poseidon2_hash(np.concatenate((secret, airdrop)))


def root_of(leaf: NDArray[np.uint8], index: Any, path: NDArray[np.uint8]) -> Any:
    """The root above a leaf, from its siblings."""
    node = leaf
    for level in range(DEPTH):
        right = ((index >> np.uint32(level)) & np.uint32(1)) == 1
        node = guest.poseidon2_compress(path[level], node) if right else guest.poseidon2_compress(node, path[level])
    return node


def tier_of(history: NDArray[np.int32]) -> int:
    """What a history earns, as the announced score has it."""
    score = np.sum(np.minimum(history, CAPS) * WEIGHTS, dtype=np.int32)
    return int(np.sum(score >= TIERS))


@guest.program
def claim() -> None:
    """What is proven. Private: secret, history, place in the tree. Public: airdrop, root, nullifier, recipient, amount."""
    airdrop, recipient = guest.read(np.uint8, DIGEST), guest.read(np.uint8, DIGEST)
    secret = guest.read(np.uint8, DIGEST)
    history = guest.read(np.int32, len(FIGURES))
    index, path = guest.read(np.uint32), guest.read(np.uint8, (DEPTH, DIGEST))
    assert np.all(history >= 0), "a figure is negative"
    assert index < 1 << DEPTH, "no place in the tree"
    amount = AMOUNTS[tier_of(history)]
    assert amount > 0, "this history earns nothing"
    guest.commit(airdrop)
    guest.commit(root_of(leaf_of(owner_of(secret), history), index, path))
    guest.commit(nullifier_of(secret, airdrop))
    guest.commit(recipient)  # bound, so that nobody who sees the receipt on its way can claim for himself
    guest.commit(amount)


@dataclass(frozen=True)
class Account:
    """What a claimant has."""

    history: NDArray[np.int32]
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(DIGEST))

    @property
    def leaf(self) -> NDArray[np.uint8]:
        """Its entry in the snapshot."""
        leaf: NDArray[np.uint8] = leaf_of(owner_of(np.frombuffer(self.secret, np.uint8)), self.history)
        return leaf


@dataclass
class Snapshot:
    """The tree over all accounts, which anybody can make of the chain's state; places after the last account hold zeros."""

    levels: list[list[NDArray[np.uint8]]]

    @staticmethod
    def of(leaves: list[NDArray[np.uint8]]) -> Snapshot:
        """Build it."""
        empty, levels = np.zeros(DIGEST, np.uint8), [leaves]
        for _ in range(DEPTH):
            below = levels[-1] + [empty] * (len(levels[-1]) % 2)
            levels[-1] = below
            levels.append([guest.poseidon2_compress(*below[k : k + 2]) for k in range(0, len(below), 2)])
            empty = guest.poseidon2_compress(empty, empty)
        return Snapshot(levels)

    @property
    def root(self) -> bytes:
        """What the contract knows of it."""
        return self.levels[-1][0].tobytes()

    def path(self, index: int) -> bytes:
        """The siblings on the way from an account's leaf to the root."""
        return b"".join(level[(index >> height) ^ 1].tobytes() for height, level in enumerate(self.levels[:-1]))


def request(account: Account, index: int, snapshot: Snapshot, airdrop: bytes, recipient: bytes) -> bytes:
    """The claimant's side: what is sent to the contract."""
    place = np.uint32(index).tobytes() + snapshot.path(index)
    return zkvm.prove(claim, airdrop + recipient + account.secret + account.history.tobytes() + place, pad_to="program").receipt.to_bytes()


class Refused(Exception):
    """Nothing is paid."""


@dataclass
class Contract:
    """Pays out. Knows the image ID, the airdrop, the snapshot's root and spent nullifiers: nothing of the accounts."""

    image_id: str
    airdrop: bytes
    root: bytes
    spent: set[bytes] = field(default_factory=set)
    paid: dict[bytes, int] = field(default_factory=dict)

    def pay(self, sent: bytes) -> int:
        """Pay to the recipient that the receipt names.

        Raises:
            zkvm.VerificationError: no valid receipt.
            Refused: of another airdrop or snapshot, or spent.
        """
        receipt = zkvm.Receipt.from_bytes(sent)
        receipt.verify(self.image_id)
        said = np.frombuffer(receipt.journal, JOURNAL)[0]
        if said["airdrop"].tobytes() != self.airdrop:
            raise Refused("the receipt is for another airdrop")
        if said["root"].tobytes() != self.root:
            raise Refused("no account of the snapshot has this history")
        if (nullifier := said["nullifier"].tobytes()) in self.spent:
            raise Refused("this account has claimed already")
        self.spent.add(nullifier)
        recipient, amount = said["recipient"].tobytes(), int(said["amount"])
        self.paid[recipient] = self.paid.get(recipient, 0) + amount
        return amount


def main() -> None:
    """A claim, and what is refused."""
    rng = np.random.default_rng(1)
    accounts = [Account((rng.random(len(FIGURES)) * CAPS).astype(np.int32)) for _ in range(9)]
    poor = Account(np.array([2, 10, 4, 50], np.int32))
    snapshot = Snapshot.of([account.leaf for account in [*accounts, poor]])
    contract = Contract(zkvm.compute_image_id(claim), secrets.token_bytes(DIGEST), snapshot.root)
    wallet, other = secrets.token_bytes(DIGEST), secrets.token_bytes(DIGEST)

    sent = request(accounts[3], 3, snapshot, contract.airdrop, wallet)
    print(f"{contract.pay(sent)} tokens to {wallet.hex()[:8]}, for one of {len(accounts) + 1} accounts; nobody knows which")

    receipt = zkvm.Receipt.from_bytes(sent)
    place = receipt.journal.index(wallet)
    richer = replace(poor, history=CAPS)
    attacks = {
        "the same account claims for another wallet": request(accounts[3], 3, snapshot, contract.airdrop, other),
        "somebody puts his wallet into a receipt": replace(
            receipt, journal=receipt.journal[:place] + other + receipt.journal[place + DIGEST :]
        ).to_bytes(),
        "a better history than the snapshot's": request(richer, len(accounts), snapshot, contract.airdrop, wallet),
        "a receipt of another airdrop": request(accounts[4], 4, snapshot, secrets.token_bytes(DIGEST), wallet),
        "a history that earns nothing": request(poor, len(accounts), snapshot, contract.airdrop, wallet),
    }
    for name, given in attacks.items():
        try:
            contract.pay(given)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
