"""Random words in descriptors of every operation: the executor refuses the call, or its tables satisfy the machine."""

from __future__ import annotations

import random

import pytest

from tests.riscv.chips.test_tensors import satisfied
from tests.riscv.vm.digest_programs import random_bytes, with_digest
from tests.riscv.vm.random_tensors import random_bounds, random_vectors
from tests.riscv.vm.tensor_programs import CHANNELS, CONSTANTS, FUNCTIONS, PATTERNS, VECTORS, Script
from zkvm.errors import GuestTrap, LimitError
from zkvm.riscv.isa.tensors import COMBINE, DIGESTED, IMPORT, IN_VECTORS, NAMES, WINDOWED, WORDS, Descriptor
from zkvm.riscv.isa.tensors import FUNCTIONS as BY_FUNCTION

ACCEPTED, MOST = 4, 2000
"""So many of each operation are accepted, of at most so many that are tried."""
FEW = 64
"""Rows for each result, at most: more are right too, and take long."""
EDGES = (0, 1, 2, 3, 7, 8, 16, 17, 48, 2**16, 2**31, 2**32 - 1, VECTORS, VECTORS + 16, CHANNELS, PATTERNS, FUNCTIONS)


def random_words(rng: random.Random, operation: int) -> list[int]:
    """Words behind the first: of no blocks any words, else often such that the call may have a proof."""
    words = [rng.choice((*EDGES, rng.randrange(2**32))) for _ in range(13)]
    words[0] = rng.choice((0, 1, 1, 2))
    likely = {1: rng.choice((1, 2, 3, 8)), 2: rng.randrange(1, 4), 8: random_bounds(rng), 12: rng.randrange(4)}
    likely |= {place: rng.randrange(3) for place in (4, 6, 10)} | {place: 16 * rng.randrange(3) for place in (3, 5, 9, 11)}
    own = dict.fromkeys(IN_VECTORS, 16 * rng.randrange(4)) | dict.fromkeys(BY_FUNCTION, FUNCTIONS)
    likely[7] = own.get(operation, rng.choice((CHANNELS, PATTERNS)))
    if operation == COMBINE:
        likely |= {place: VECTORS + 16 * rng.randrange(3) for place in (5, 11)}
    if operation in IN_VECTORS:
        likely[9] = 1 << rng.randrange(15, 30)
    if operation in WINDOWED:  # of a few vectors, two blocks of one channel and one window
        likely |= {0: 2, 1: 1, 2: 1, 3: 0, 5: 0, 6: rng.randrange(2), 10: rng.randrange(2)}
        likely |= {9: 1 << rng.randrange(15, 29)} if operation in IN_VECTORS else {7: CHANNELS + 64}
    share = rng.choice((0.5, 1, 1))
    words = [likely.get(place, word) if rng.random() < share else word for place, word in enumerate(words)]
    if words[0]:
        words[2] %= FEW
    return words


def random_call(rng: random.Random, operation: int) -> Script:
    """One call with any operands, beside tensors that it may read."""
    script = Script(ram=[1] * 64)
    script.add_constants(with_digest(random_vectors(rng, 9)))
    script.add_channels([(0, 2**30, 2**30)] * 4 + [(5, -(2**20), 2**20)] * 8)
    script.add_pattern([[rng.randrange(9) for _ in range(8)] for _ in range(3)])
    script.add_function([k % 100 for k in range(2**17 if operation in BY_FUNCTION else 8)])
    made = [script.add_import(vectors) for vectors in (with_digest(random_vectors(rng, 6)), [[1, 2, 3, 0, 0, 0, 0, 0]] * 4, [])]
    if operation == IMPORT:
        script.imported.append(random_vectors(rng, rng.randrange(3)))
        words = [len(script.imported[-1]), *random_words(rng, operation)[1:]]
    else:
        words = random_words(rng, operation)
    if operation == DIGESTED and words[1] < FEW:
        script.imported.append(random_bytes(rng, 7 * words[1]) + random_vectors(rng, 3 * words[0]))
    descriptor = Descriptor(operation, *words[: WORDS[operation] - 1])
    script.add(descriptor, rng.choice((*made, CONSTANTS)), rng.choice((*made, CONSTANTS)), ram=4 * rng.randrange(4))
    return script


@pytest.mark.parametrize("operation", list(NAMES), ids=NAMES.get)
def test_what_the_executor_accepts_satisfies_the_machine(operation: int) -> None:
    """And half of it is a call of some blocks. A digested import has some in any case."""
    rng, accepted = random.Random(operation), {True: 0, False: 0}
    needed = {True: ACCEPTED // 2, False: 0 if operation == DIGESTED else ACCEPTED // 2}
    for _ in range(MOST):
        if accepted == needed:
            break
        script = random_call(rng, operation)
        some = script.steps[-1].descriptor.blocks > 0
        if accepted[some] == ACCEPTED // 2:
            continue
        try:
            satisfied(script)
        except (GuestTrap, LimitError):
            continue
        accepted[some] += 1
    assert accepted == needed
