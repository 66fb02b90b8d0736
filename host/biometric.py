"""Biometric match: a phone proves that the eye before its sensor is the enrolled one, and shows neither template nor probe.

Iris codes as J. Daugman describes them: bits by angle and band, masks for what lids cover, the fraction of differing bits, least over some
turns of the head. The service keeps a salted digest of the template, not the template; the sensor vouches for the probe's digest.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zkvm
from zkvm import guest

ANGLES = 128
"""Of 16 bits each: 8 bands, 2 bits. An iris is two rows of that: the code, and which of its bits were seen."""
TURN = 4
"""Angles by which a head may be turned."""
LIMIT, OF = 32, 100
"""A match is less than 32 of 100 bits that differ; different eyes differ in half of them."""
LEAST_SEEN = 700
"""Bits that both must show: without this limit an eye that is all covered would match everybody."""
DIGEST = 32
JOURNAL = np.dtype([("challenge", np.uint8, DIGEST), ("template", np.uint8, DIGEST), ("probe", np.uint8, DIGEST)])


def digest_of(salt: NDArray[np.uint8], iris: NDArray[np.uint16]) -> Any:
    """What is known of an iris; without the salt not even a candidate can be tried."""
    return guest.blake3(np.concatenate((salt, guest.blake3(iris))))


def ones(word: np.uint32) -> Any:
    """The number of one-bits."""
    word = word - ((word >> np.uint32(1)) & np.uint32(0x55555555))
    word = (word & np.uint32(0x33333333)) + ((word >> np.uint32(2)) & np.uint32(0x33333333))
    word = (word + (word >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    word += word >> np.uint32(8)
    return (word + (word >> np.uint32(16))) & np.uint32(0x3F)


def matches(template: NDArray[np.uint16], probe: NDArray[np.uint16]) -> bool:
    """Whether two irises are of one eye, in some turn of the head; all turns are looked at, so that time tells nothing."""
    found = 0
    for turn in range(2 * TURN + 1):
        differ, seen = np.uint32(0), np.uint32(0)
        for angle in range(ANGLES):
            other = (angle + turn + ANGLES - TURN) % ANGLES
            both = np.uint32(template[1, angle] & probe[1, other])
            differ += ones(np.uint32(template[0, angle] ^ probe[0, other]) & both)
            seen += ones(both)
        found += int((seen >= LEAST_SEEN) & (differ * np.uint32(OF) < seen * np.uint32(LIMIT)))
    return found > 0


@guest.program
def same_eye() -> None:
    """What is proven. Private: two salts, template, probe. Public: challenge and both digests; there is no receipt without a match."""
    challenge = guest.read(np.uint8, DIGEST)
    salts = guest.read(np.uint8, (2, DIGEST))
    template, probe = guest.read(np.uint16, (2, ANGLES)), guest.read(np.uint16, (2, ANGLES))
    assert matches(template, probe), "not the same eye"
    guest.commit(challenge)
    guest.commit((digest_of(salts[0], template), digest_of(salts[1], probe)))


@dataclass(frozen=True)
class Iris:
    """An iris as a sensor saw it, with the salt of its digest: stays on the phone."""

    seen: NDArray[np.uint16]
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(DIGEST))

    @property
    def digest(self) -> bytes:
        """What others get."""
        return bytes(digest_of(np.frombuffer(self.salt, np.uint8), self.seen).tobytes())


@dataclass
class Sensor:
    """Takes pictures of live eyes, and says which digest belongs to which challenge; a chip would sign this."""

    vouched: dict[bytes, bytes] = field(default_factory=dict)

    def capture(self, eye: NDArray[np.uint16], challenge: bytes) -> Iris:
        """A picture of the eye before the sensor."""
        iris = Iris(eye)
        self.vouched[challenge] = iris.digest
        return iris


def unlock(template: Iris, probe: Iris, challenge: bytes) -> bytes:
    """The phone's side: what the service gets.

    Raises:
        zkvm.GuestError: the irises do not match, so there is nothing to prove.
    """
    stdin = challenge + template.salt + probe.salt + template.seen.tobytes() + probe.seen.tobytes()
    session = zkvm.execute(same_eye, stdin)
    if session.exit_code:
        raise zkvm.GuestError(session.stderr.decode().strip())
    return zkvm.prove(same_eye, stdin, pad_to="program").receipt.to_bytes()


class Refused(Exception):
    """The door stays shut."""


@dataclass
class Service:
    """Has the image ID, the digests of enrolled templates, the sensor's word, and its own challenges: no iris."""

    image_id: str
    vouched: dict[bytes, bytes]
    enrolled: dict[str, bytes] = field(default_factory=dict)
    open: dict[str, bytes] = field(default_factory=dict)

    def challenge(self, user: str) -> bytes:
        """A fresh challenge for one attempt."""
        self.open[user] = secrets.token_bytes(DIGEST)
        return self.open[user]

    def admit(self, user: str, sent: bytes) -> None:
        """Accept a user; a challenge is good for one attempt.

        Raises:
            zkvm.VerificationError: no valid receipt of a match.
            Refused: of another attempt, template or probe.
        """
        receipt = zkvm.Receipt.from_bytes(sent)
        receipt.verify(self.image_id)
        said = np.frombuffer(receipt.journal, JOURNAL)[0]
        challenge = said["challenge"].tobytes()
        if challenge != self.open.get(user):
            raise Refused("the receipt was made for another attempt")
        if said["template"].tobytes() != self.enrolled.get(user):
            raise Refused("this is not the enrolled template")
        if said["probe"].tobytes() != self.vouched.get(challenge):
            raise Refused("the sensor took no such picture for this attempt")
        del self.open[user]


def some_eye(rng: np.random.Generator) -> NDArray[np.uint16]:
    """An iris code for the demonstration: random bits, of which a lid covers the angles at the end."""
    code = rng.integers(0, 1 << 16, ANGLES, np.uint16)
    return np.stack([code, np.where(np.arange(ANGLES) < 100, 0xFFFF, 0).astype(np.uint16)])


def seen_again(eye: NDArray[np.uint16], rng: np.random.Generator, turn: int = 2, noise: float = 0.15) -> NDArray[np.uint16]:
    """The same eye in another picture: turned, and some bits wrong."""
    wrong = (rng.random((ANGLES, 16)) < noise) @ (1 << np.arange(16))
    return np.roll(eye ^ np.stack([wrong, np.zeros(ANGLES)]).astype(np.uint16), turn, axis=1)


def main() -> None:
    """One admission, and what is refused."""
    rng = np.random.default_rng(1)
    eye, stranger = some_eye(rng), some_eye(rng)
    sensor = Sensor()
    service = Service(zkvm.compute_image_id(same_eye), sensor.vouched)
    template = Iris(eye)
    service.enrolled["alice"] = template.digest

    challenge = service.challenge("alice")
    sent = unlock(template, sensor.capture(seen_again(eye, rng), challenge), challenge)
    service.admit("alice", sent)
    print(f"alice is admitted by {len(sent)} bytes; the service saw neither template nor probe")

    challenge = service.challenge("alice")
    try:
        unlock(template, sensor.capture(seen_again(stranger, rng), challenge), challenge)
    except zkvm.GuestError as error:
        print(f"no receipt, a stranger before the sensor: {error}")
    probe = sensor.capture(stranger, challenge)
    attacks = {
        "the receipt of yesterday": sent,
        "the stranger's own template": unlock(Iris(stranger), probe, challenge),
        "a copy of the template as probe": unlock(template, Iris(template.seen), challenge),
    }
    for name, given in attacks.items():
        try:
            service.admit("alice", given)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
