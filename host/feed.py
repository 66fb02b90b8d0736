"""Feed filter: a platform proves that a feed is what the announced ranking makes of a reader's interests, and does not show these.

The profile is the platform's secret (and the reader's); its salted digest was given out before. An auditor has the pool of posts, the
digest, and the feed as it was on the reader's screen: a promoted post, a hidden one or another profile is found.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zkvm
from zkvm import guest

TOPICS = 16
POST = 2 + TOPICS
"""What the ranking sees of a post: author, age in hours, and how much it is about each topic, 0 to 100."""
SHOWN = 10
PER_HOUR, AGAIN = 25, 2000
"""The announced ranking: interest times topic, less 25 an hour, less 2,000 for every earlier post of the same author."""
MOST_POSTS = 1000
TAKEN = np.int32(-(1 << 30))
"""Below every score."""
DIGEST = 32
JOURNAL = np.dtype([(name, np.uint8, DIGEST) for name in ("session", "profile", "pool")] + [("feed", "<u4", SHOWN)])


def digest_of(salt: NDArray[np.uint8], interests: NDArray[np.int32]) -> Any:
    """What others know of a profile."""
    return guest.blake3(np.concatenate((salt, guest.blake3(interests))))


def ranked(posts: NDArray[np.int32], interests: NDArray[np.int32]) -> Any:
    """The places of the posts that are shown, best first; of equals the first."""
    scores = posts[:, 2:] @ interests - posts[:, 1] * PER_HOUR
    feed = np.zeros(SHOWN, np.uint32)
    for place in range(SHOWN):
        best = int(np.argmax(scores))
        feed[place] = np.uint32(best)
        author = posts[best, 0]
        for k in range(len(posts)):
            scores[k] -= AGAIN * np.int32(posts[k, 0] == author)
        scores[best] = TAKEN
    return feed


@guest.program
def ranking() -> None:
    """What is proven. Private: salt and interests. Public: session, digests of profile and pool, the feed."""
    session, salt = guest.read(np.uint8, DIGEST), guest.read(np.uint8, DIGEST)
    interests = guest.read(np.int32, TOPICS)
    count = int(guest.read(np.uint32))
    assert SHOWN <= count <= MOST_POSTS, "too few or too many posts"
    posts = guest.read(np.int32, (count, POST))
    assert np.all((interests >= -1000) & (interests <= 1000)), "an interest is out of range"
    assert np.all((posts[:, 1:] >= 0) & (posts[:, 1:] <= 10_000)), "an age or a topic is out of range"
    guest.commit((session, digest_of(salt, interests), guest.blake3(posts)))
    guest.commit(ranked(posts, interests))


@dataclass(frozen=True)
class Profile:
    """What the platform believes of a reader."""

    interests: NDArray[np.int32]
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(DIGEST))

    @property
    def digest(self) -> bytes:
        """What the auditor got when the profile was made."""
        return bytes(digest_of(np.frombuffer(self.salt, np.uint8), self.interests).tobytes())


def serve(profile: Profile, posts: NDArray[np.int32], session: bytes) -> bytes:
    """The platform's side: the receipt for a feed."""
    stdin = session + profile.salt + profile.interests.tobytes() + np.uint32(len(posts)).tobytes() + posts.tobytes()
    return zkvm.prove(ranking, stdin, pad_to="program").receipt.to_bytes()


class Refused(Exception):
    """What was shown is not what the announced ranking gives."""


@dataclass(frozen=True)
class Auditor:
    """Has the image ID of the announced ranking, the digest of the profile, the pool, and what the reader saw."""

    image_id: str
    profile: bytes

    def check(self, sent: bytes, session: bytes, posts: NDArray[np.int32], screen: list[int]) -> None:
        """Accept a feed.

        Raises:
            zkvm.VerificationError: no valid receipt of the announced ranking.
            Refused: of another session, profile or pool, or the screen showed something else.
        """
        receipt = zkvm.Receipt.from_bytes(sent)
        receipt.verify(self.image_id)
        said = np.frombuffer(receipt.journal, JOURNAL)[0]
        if said["session"].tobytes() != session:
            raise Refused("the receipt is of another session")
        if said["profile"].tobytes() != self.profile:
            raise Refused("this is not the reader's profile")
        if said["pool"].tobytes() != guest.blake3(posts).tobytes():
            raise Refused("other posts were ranked")
        if said["feed"].tolist() != screen:
            raise Refused(f"the screen showed {screen}, the ranking is {said['feed'].tolist()}")


def main() -> None:
    """A feed, and what is refused."""
    rng = np.random.default_rng(1)
    columns = (
        rng.integers(1, 20, (60, 1)),
        rng.integers(0, 72, (60, 1)),
        rng.integers(0, 100, (60, TOPICS)) * (rng.random((60, TOPICS)) < 0.3),
    )
    posts = np.concatenate(columns, axis=1).astype(np.int32)
    profile = Profile(rng.integers(-20, 100, TOPICS).astype(np.int32))
    auditor = Auditor(zkvm.compute_image_id(ranking), profile.digest)
    session = secrets.token_bytes(DIGEST)

    sent = serve(profile, posts, session)
    screen = ranked(posts, profile.interests).tolist()
    auditor.check(sent, session, posts, screen)
    print(f"the feed {screen} follows the announced ranking; the auditor saw no interest")

    promoted, without = [59, *screen[:-1]], np.delete(posts, screen[0], axis=0)
    other = Profile(np.roll(profile.interests, 3))
    attacks = {
        "a promoted post on the screen": (sent, session, promoted),
        "a feed for what somebody else likes": (serve(other, posts, session), session, ranked(posts, other.interests).tolist()),
        "a post that was taken out of the pool": (serve(profile, without, session), session, ranked(without, profile.interests).tolist()),
        "the receipt of an earlier session": (sent, secrets.token_bytes(DIGEST), screen),
    }
    for name, (given, asked, seen) in attacks.items():
        try:
            auditor.check(given, asked, posts, seen)
        except (Refused, zkvm.VerificationError) as error:
            print(f"refused, {name}: {error}")
        else:
            raise SystemExit(f"accepted: {name}")


if __name__ == "__main__":
    main()
