"""Many proofs: of one witness they look uniform, of two witnesses they look alike; without zero knowledge they do neither."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tests.zk.small import SMALL, Fixed, no_work, prove_small, statement, walk
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.steps import DOMAIN
from zkvm.stark.prover.randomness import Randomness

U64 = NDArray[np.uint64]
PROOFS = 60
BINS = 16


class RealWithoutWork(Transcript):
    """Real challenges; asks for no work."""

    grind_check = Fixed.grind_check


def seed(number: int) -> bytes:
    """A fixed seed, so that the tests' verdict is fixed too."""
    return number.to_bytes(32, "little")


@cache
def proofs(witness: int, zk: bool = True, fixed: bool = True) -> tuple[Proof, ...]:
    """Proofs of one witness with different randomness."""
    with no_work():
        return tuple(
            prove_small(
                Randomness(seed(1000 * witness + number)) if zk else Randomness.zeros(),
                witness,
                Fixed() if fixed else RealWithoutWork(DOMAIN),
            )
            for number in range(PROOFS if zk and fixed else 2)
        )


def fields(proof: Proof) -> dict[str, U64]:
    """Everything that depends on the witness, by name."""
    arrays = {"terminals": proof.terminals, "openings": proof.openings[3:], "final": proof.final}
    for name in ("main", "bus", "quotient"):
        opening = getattr(proof, name)
        arrays |= {f"{name} rows {number}": rows for number, rows in enumerate(opening.rows)} | {f"{name} salts": opening.salts}
    arrays |= {f"layer {number}": layer.leaves for number, layer in enumerate(proof.layers)}
    return arrays


def values(proof: Proof) -> U64:
    """All of them, flat."""
    return np.concatenate([array.ravel() for array in fields(proof).values()])


def test_the_witnesses_differ_and_what_is_public_does_not() -> None:
    first, second = walk(0), walk(1)
    assert not np.array_equal(first.numbers, second.numbers)
    assert first.sums[-1] == second.sums[-1]


def test_values_of_one_witness_look_uniform() -> None:
    """Top four bits of each field of 60 proofs: chi-square with 15 degrees of freedom; and every single value moves."""
    for witness in (0, 1):
        many = proofs(witness)
        for name in fields(many[0]):
            found = np.stack([fields(proof)[name].ravel() for proof in many])
            counts = np.bincount((found >> np.uint64(60)).astype(np.int64).ravel(), minlength=BINS)
            expected = found.size / BINS
            statistic = float(((counts - expected) ** 2 / expected).sum())
            assert statistic < 60, f"{name}: {statistic}"  # exceeded with probability 2e-7
            means = (found.astype(np.float64) / P).mean(axis=0)
            assert np.abs(means - 0.5).max() < 6 * 0.2887 / np.sqrt(PROOFS), name
            assert all(len(set(column.tolist())) == PROOFS for column in found.T), name


def test_salts_differ() -> None:
    salts = np.concatenate([getattr(proof, tree).salts.ravel() for proof in proofs(0) for tree in ("main", "bus", "quotient")])
    assert len(set(salts.tolist())) == salts.size


def test_two_witnesses_of_equal_heights_show_the_same_fields() -> None:
    first, second = proofs(0)[0], proofs(1)[0]
    assert first.log_heights == second.log_heights == (10, 10, 9)
    assert first.parameters == second.parameters == SMALL.numbers
    assert {name: array.shape for name, array in fields(first).items()} == {name: array.shape for name, array in fields(second).items()}


def accuracy(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Nearest mean, trained on half of the samples (k, d) of each kind and tested on the others."""
    half = len(first) // 2
    means = first[:half].mean(axis=0), second[:half].mean(axis=0)
    tests = [(sample, 0) for sample in first[half:]] + [(sample, 1) for sample in second[half:]]
    right = [np.linalg.norm(sample - means[kind]) < np.linalg.norm(sample - means[1 - kind]) for sample, kind in tests]
    return float(np.mean(right))


def samples(witness: int) -> NDArray[np.float64]:
    """Proofs as vectors of values in [0, 1) and of low bits."""
    flat = np.stack([values(proof) for proof in proofs(witness)])
    return np.concatenate([flat.astype(np.float64) / P, (flat & np.uint64(1)).astype(np.float64)], axis=1)


def test_a_distinguisher_gets_nowhere() -> None:
    """60 guesses; 45 right ones happen to a coin once in 10^4 times."""
    assert 0.25 < accuracy(samples(0), samples(1)) < 0.75


def test_the_distinguisher_works_on_what_is_not_hidden() -> None:
    """Noise half as wide as the field in all values, and a hundredth of them moved: it finds that."""
    rng = np.random.default_rng(1)
    first, second = rng.random((PROOFS, 2000)), rng.random((PROOFS, 2000))
    second[:, :20] = second[:, :20] / 8
    assert accuracy(first, second) > 0.8


def test_without_zero_knowledge_a_guess_is_confirmed() -> None:
    """The proof is a function of the witness: who guesses it gets the same proof; with zero knowledge nothing is equal twice."""
    one, again = proofs(0, zk=False, fixed=False)
    assert np.array_equal(values(one), values(again))
    assert one.main_root == again.main_root
    assert proofs(1, zk=False, fixed=False)[0].main_root != one.main_root
    first, second = proofs(0, fixed=False)
    assert {first.main_root, first.bus_root, first.quotient_root}.isdisjoint({second.main_root, second.bus_root, second.quotient_root})
    assert not set(values(first).tolist()) & set(values(second).tolist())


def test_statement_is_common() -> None:
    assert statement().fields == (("count", (600).to_bytes(8, "little")), ("total", int(walk(5).sums[-1]).to_bytes(8, "little")))
