"""Poseidon2 over Goldilocks, width 12: what the permutation is.

The instance is the one that Plonky3 calls ``default_goldilocks_poseidon2_12`` (https://github.com/Plonky3/Plonky3, in
``goldilocks/src/poseidon2.rs``, with a test vector): S-box x^7, four outer rounds, 22 inner rounds, four outer rounds. The paper is
https://eprint.iacr.org/2023/323. ``tools/poseidon2_constants.py`` makes the round constants from a public rule.

:func:`permute` is the readable twin of what fills rows; :func:`mix_outer` and :func:`mix_inner` also take expressions, and the chip's
constraints use them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zkvm.stark.field.goldilocks import P

MODULUS = P
"""Of the field, for those who need no more of it."""
WIDTH = 12
"""Elements of a state."""
WORDS = 2 * WIDTH
"""32-bit words of a state in memory: of each element the low one, then the high one."""
WORD_BYTES = 4
HALF_ROUNDS = 4
"""Outer rounds at either end."""
INNER_ROUNDS = 22
EXPONENT = 7
"""Of the S-box. It has no common divisor with p - 1, so the S-box has an inverse."""

_TABLE = (
    "13dcf33aba214f4630b3b654a1da6d831fc634ada6159b56937459964dc03466edd2ef2ca7949924ede9affde0e22f688515b9d6bac9282d"
    "6b5c07b4e9e900d81ec66368838c8a089042367d80d1fbab400283564a3c37994a00be0466bca75e7913beee58e3817ff545e88532237d90"
    "22f8cb87360420056f04990e247a2623fe22e87ba37c38cdd20e32c85ffe2815117227674048fe734e9fb7ea98a6b145e0866c232b8af08b"
    "00bbc779168849647031c0fb990d7116240a9e87cf35108f2e6363a5a12244b35e1c3787d1b5011c4132660e2a196e8b3a013b648d3d4327"
    "f79839f49888ea43fe85658ebafe1439b6889825a14240bd578453605541382b4508cda8f6b63ce99c3ef35848684c910812bde23c87178c"
    "fe49638f7f722c148e3f688ce885cbf5b8e110acf746a87db4b2e8973a6dabef9e714c5da3d462ec6438f9033d3d0c1524312f7cf1a27199"
    "23f843bb47acbf719183f11a34be9f01839062fbb9d45dbf24b56e7e6c2e43fae1683da61c962a72a95c63971a19bfa74adf842aa75d4316"
    "f8fbb871aa4ab4eb68e85b6eb2dd6aeb07a0b06b2d270380d94e0228bd282de48bdd91d3250c5278209c68b88bba778fb5e18cdab77f3877"
    "b296a3e808da93fa8370ecbda11a327e3f9075283775dad8b78095bb23c6aa843f36b9fe72ad4e5f69bc96780b10b5533f1d341f2eb7b881"
    "4e939e9815838818da366b3ae2a31604bc89db1e7287d5096102f411f9ef565958725c5e7ac1f0ab0df5856c798883e7f7bb62a8da4c961b"
    "c68be7c94882a24daf996d5d5cdaedd99717f025e7daf6a56436679e6e7216f48a223d99047af267bb512e35a133ba9afbbf44097671aa03"
    "f04058ebf6811e615cca84703fac7ffb9b55c7945de6469f8e05bf09808e934f2ea900de876307d77748fff2b38dfb896b99a676dd3b5d81"
    "ac4bb7c627cf7c13adb6ebe5e9e2f5ba2d33378cafa24ae31e5b73807543f8c209208814bfebb10f782e64b6bb5b93ddadd5a48eac90b50f"
    "add4c54c736ea4b1d58dbb86ed817fd86d5ed1a533f34ddd28686aa3e36b7cb9591abd3476689f36047d766678f13875a2a11112625f5b49"
    "21fd10a3f8304958f9b40711443b0280d2697eb8b2bde88e3493790b51731b3f11caf9dd737640237acfb8f72878164e744ec4db23cefc26"
    "1e00e58f422c634021dd28d906a62ddaf32a46ab5f465b5fbfce13201f3f7e6bf30d2e7adb5304e2ecdf4ee4abad48e9f94e82182d395019"
    "4ee52e3744d887c5a1341c7cac0083b22302fb26c30c834aaea3c587273bf7d3f798e24961823ec7962deba3e9a2cd94"
)
_NUMBERS = [int(_TABLE[k : k + 16], 16) for k in range(0, len(_TABLE), 16)]
_OUTER = HALF_ROUNDS * WIDTH
CONSTANTS = tuple(
    [tuple(_NUMBERS[k : k + WIDTH]) for k in range(0, _OUTER, WIDTH)]
    + [(number,) for number in _NUMBERS[_OUTER : _OUTER + INNER_ROUNDS]]
    + [tuple(_NUMBERS[k : k + WIDTH]) for k in range(_OUTER + INNER_ROUNDS, len(_NUMBERS), WIDTH)]
)
"""What each round adds before its S-boxes: to every element, or in an inner round to the first. The others then have no S-box."""
INNER_DIAGONAL = (
    P - 2, 1, 2, pow(2, -1, P), 3, 4, P - pow(2, -1, P), P - 3, P - 4, pow(4, -1, P), P - pow(4, -1, P), pow(8, -1, P),
)  # fmt: skip
"""The inner matrix less the matrix of ones, which is 0 elsewhere."""


def mix_fours(state: Sequence[Any]) -> list[Any]:
    """The first half of the outer matrix: by fours the circulant of (2, 3, 1, 1).

    Args:
        state: 12 elements that can be added and multiplied by integers.

    Returns:
        12 elements, not reduced.
    """
    mixed: list[Any] = []
    for k in range(0, WIDTH, 4):
        a, b, c, d = state[k : k + 4]
        total = (a + b) + (c + d)
        mixed += [total + (a + b * 2), total + (b + c * 2), total + (c + d * 2), total + (d + a * 2)]
    return mixed


def spread(mixed: Sequence[Any]) -> list[Any]:
    """The second half: to each element those of its place in all fours. Arguments as of :func:`mix_fours`, and what it returns."""
    places = [(mixed[k] + mixed[k + 4]) + mixed[k + 8] for k in range(4)]
    return [element + places[k % 4] for k, element in enumerate(mixed)]


def mix_outer(state: Sequence[Any]) -> list[Any]:
    """The outer matrix. Arguments as of :func:`mix_fours`, and what it returns."""
    return spread(mix_fours(state))


def mix_inner(state: Sequence[Any], total: Any = None) -> list[Any]:
    """The inner matrix: to each element times its number of the diagonal the sum of all.

    Args:
        state: 12 elements that can be added and multiplied by integers.
        total: their sum, if it is known.

    Returns:
        12 elements, not reduced.
    """
    if total is None:
        total = state[0]
        for element in state[1:]:
            total = total + element
    return [total + element * factor for element, factor in zip(state, INNER_DIAGONAL, strict=True)]


def permute(state: Sequence[int]) -> list[int]:
    """The permutation.

    Args:
        state: 12 integers, which count mod p.

    Returns:
        12 integers below p.
    """
    elements = [element % P for element in mix_outer(state)]
    for added in CONSTANTS:
        for k, constant in enumerate(added):
            elements[k] = pow(elements[k] + constant, EXPONENT, P)
        elements = [element % P for element in (mix_outer if len(added) == WIDTH else mix_inner)(elements)]
    return elements
