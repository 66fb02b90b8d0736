"""Credit score: an applicant proves to a lender which grade a public scorecard gives to finances that a bank attested, and shows none.

The bank gives its customer the figures with a salt, and publishes their digest. The applicant runs the scorecard on them in the machine.
The lender has the receipt, the scorecard's source, the bank's digest, and the challenge that it drew for this application.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zkvm
from zkvm import guest

FIGURES = ("monthly income", "monthly debt service", "months with this bank", "missed payments", "credit used, %")
EDGES = np.array([[1000, 2000, 3500, 6000], [200, 500, 900, 1500], [6, 24, 60, 120], [1, 2, 4, 8], [30, 50, 75, 90]], np.int32)
"""A figure earns its points at every edge that it reaches."""
POINTS = np.array([[40, 50, 45, 25], [-15, -25, -40, -60], [15, 25, 30, 15], [-60, -50, -40, -30], [-10, -20, -35, -50]], np.int32)
BASE = 500
GRADES, LIMITS = "DCBA", np.array([480, 560, 640], np.int32)
"""A grade, and the scores from which the next better one is given."""
MOST = np.int32(10_000_000)
DIGEST = 32
JOURNAL = np.dtype([("challenge", np.uint8, DIGEST), ("finances", np.uint8, DIGEST), ("grade", "<i4")])


def digest_of(salt: NDArray[np.uint8], finances: NDArray[np.int32]) -> Any:
    """The digest that the bank publishes; the salt keeps others from trying likely figures."""
    return guest.blake3(np.concatenate((salt, guest.blake3(finances))))


def score_of(finances: NDArray[np.int32]) -> Any:
    """The public model: points for every edge that a figure reaches."""
    score = np.int32(BASE)
    for figure, edges, points in zip(finances, EDGES, POINTS, strict=True):
        for edge, gain in zip(edges, points, strict=True):
            score += gain * np.int32(figure >= edge)
    return score


@guest.program
def scorecard() -> None:
    """What is proven. Private: salt and finances. Public: the lender's challenge, the digest of the finances, the grade."""
    challenge = guest.read(np.uint8, DIGEST)
    salt = guest.read(np.uint8, DIGEST)
    finances = guest.read(np.int32, len(FIGURES))
    assert np.all((finances >= 0) & (finances <= MOST)), "a figure is out of range"
    guest.commit(challenge)
    guest.commit(digest_of(salt, finances))
    guest.commit(int(np.sum(score_of(finances) >= LIMITS)))


@dataclass(frozen=True)
class Attested:
    """What a bank gives its customer: private to both."""

    salt: bytes
    finances: NDArray[np.int32]


@dataclass
class Bank:
    """Knows the finances, and publishes a digest for each customer; its signature, or its web site, is what makes it the bank's."""

    published: dict[str, bytes] = field(default_factory=dict)

    def attest(self, customer: str, *finances: int) -> Attested:
        """Hand over the figures, publish the digest."""
        attested = Attested(secrets.token_bytes(DIGEST), np.array(finances, np.int32))
        self.published[customer] = digest_of(np.frombuffer(attested.salt, np.uint8), attested.finances).tobytes()
        return attested


def apply(attested: Attested, challenge: bytes, program: Any = scorecard) -> bytes:
    """The applicant's side: what is sent to the lender. Padded, so that the receipt's size says nothing of the figures."""
    return zkvm.prove(program, challenge + attested.salt + attested.finances.tobytes(), pad_to="program").receipt.to_bytes()


class Refused(Exception):
    """The lender turns an application down, whatever the grade."""


@dataclass
class Lender:
    """Has public things only: the image ID of the scorecard that it built itself, the bank's digests, the challenges that it drew."""

    image_id: str
    attested: dict[str, bytes]
    open: dict[str, bytes] = field(default_factory=dict)

    def challenge(self, applicant: str) -> bytes:
        """A fresh challenge for one application."""
        self.open[applicant] = secrets.token_bytes(DIGEST)
        return self.open[applicant]

    def grade(self, applicant: str, sent: bytes) -> str:
        """The proven grade of an applicant; a challenge is good for one answer.

        Raises:
            zkvm.VerificationError: no valid receipt of a run of the scorecard.
            Refused: it is valid, but not this applicant's, or not for this application.
        """
        receipt = zkvm.Receipt.from_bytes(sent)
        receipt.verify(self.image_id)
        said = np.frombuffer(receipt.journal, JOURNAL)[0]
        if said["challenge"].tobytes() != self.open.get(applicant):
            raise Refused("the receipt was made for another application")
        if said["finances"].tobytes() != self.attested.get(applicant):
            raise Refused("these are not the finances that the bank attested")
        del self.open[applicant]
        return GRADES[said["grade"]]


@guest.program
def generous() -> None:
    """Another program that claims grade A for everybody."""
    guest.commit(guest.read(np.uint8, DIGEST))
    guest.commit(digest_of(guest.read(np.uint8, DIGEST), guest.read(np.int32, len(FIGURES))))
    guest.commit(len(LIMITS))


def main() -> None:
    """Two applications, and what is refused."""
    bank = Bank()
    alice, bob = bank.attest("alice", 3600, 450, 70, 0, 35), bank.attest("bob", 1200, 950, 8, 3, 95)
    lender = Lender(zkvm.compute_image_id(scorecard), bank.published)

    sent = apply(alice, lender.challenge("alice"))
    print(f"alice has grade {lender.grade('alice', sent)}, proven in {len(sent)} bytes; the lender saw no figure")

    richer = replace(bob, finances=bob.finances * np.array([9, 0, 9, 0, 0], np.int32))
    mine = apply(bob, lender.challenge("bob"))
    receipt = zkvm.Receipt.from_bytes(mine)
    attacks = {
        "bob invents an income": ("bob", apply(richer, lender.open["bob"])),
        "bob uses a scorecard of his own": ("bob", apply(bob, lender.open["bob"], generous)),
        "bob edits the grade in his receipt": ("bob", replace(receipt, journal=receipt.journal[:-4] + b"\3\0\0\0").to_bytes()),
        "bob sends alice's receipt": ("bob", sent),
        "alice's receipt is sent once more": ("alice", sent),
    }
    for name, (applicant, given) in attacks.items():
        try:
            lender.grade(applicant, given)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")
    print(f"bob has grade {lender.grade('bob', mine)}")


if __name__ == "__main__":
    main()
