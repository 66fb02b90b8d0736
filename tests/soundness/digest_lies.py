"""G14: lies about digests that one line refuses, each with the line that it breaks."""

from __future__ import annotations

from tests.forge import Forgery
from tests.soundness.private_forging import (
    CALL,
    DIGEST_CALL,
    DIGESTS,
    IMPORTS,
    TENSOR,
    absorb,
    digest_rows,
    digested,
    held,
    hold,
    import_vector,
    no_permutations,
    permute_all,
)
from tests.soundness.single import Attack, Forged
from tests.soundness.tensor_forging import A1, TWO_16, descriptor_word, export_lane, id_of, operand, padding_row, signed
from zkvm.riscv.isa.tensors import DIGEST_TAG

SIXES = [6] * 8


# --- G14: the rows of digests --------------------------------------------------------------------------------------------------------


def g14_other_weights(vector: int) -> Attack:
    """Everything but the digest reads other ones."""

    def make() -> Forged:
        forged = digested()
        import_vector(forged, vector, SIXES)
        return forged, f"{DIGESTS}: vector {vector}"

    make.__name__ = f"g14_other_weights_than_what_is_digested_vector_{vector}"
    return make


def g14_another_digest_of_the_tensor(vector: int) -> Attack:
    """The digest that everybody reads is not the one that is compared."""

    def make() -> Forged:
        forged = digested()
        import_vector(forged, 6 + vector, SIXES)
        return forged, f"{DIGESTS}: vector {vector}"

    make.__name__ = f"g14_another_digest_of_the_tensor_vector_{vector}"
    return make


def g14_another_digest(element: int) -> Attack:
    def make() -> Forged:
        forged = digested()
        last = digest_rows(forged)[-1]
        name = f"lane{4 * element}"
        value = signed(forged.cell(DIGESTS, last, name))
        forged.write(DIGESTS, last, **{name: value ^ 1})
        import_vector(forged, 6 + element // 2, held(forged, last, element // 2))
        return forged, f"{DIGESTS}: element {element} of the digest"

    make.__name__ = f"g14_another_digest_element_{element}"
    return make


def g14_a_second_digest(element: int) -> Attack:
    """p for 0: of nothing, whose digest is zeros."""

    def make() -> Forged:
        forged = digested(0)
        (last,) = digest_rows(forged)
        limbs = [1, 0, TWO_16 - 1, TWO_16 - 1]
        forged.write(DIGESTS, last, **{f"lane{4 * element + i}": limb - (1 << 15) for i, limb in enumerate(limbs)})
        forged.write(DIGESTS, last, **{f"inverse{element}": 0})
        import_vector(forged, element // 2, held(forged, last, element // 2))
        return forged, f"{DIGESTS}: element {element} of the digest is below p"

    make.__name__ = f"g14_a_second_digest_element_{element}"
    return make


def g14_another_permutation() -> Forged:
    """Other weights, whose last permutation gives the digest that is published; the table of permutations is empty."""
    forged = digested()
    first, second, _ = digest_rows(forged)
    published = {f"after{k}": forged.cell(DIGESTS, second, f"after{k}") for k in range(12)}
    import_vector(forged, 0, SIXES)
    hold(forged, first, 0, SIXES)
    absorb(forged, [first, second])
    forged.write(DIGESTS, second, **published)
    no_permutations(forged)
    return forged, f"{DIGESTS}: permutation"


def g14_less_than_no_row() -> Forged:
    """A row that counts -1 takes back that an export read what nobody made; two more close its path, and take back its permutation."""
    forged = digested(1, behind=[[k, -k, 3, 0, 0, 0, 0, 0] for k in (1, 2, 3, 1, 2, 3, 9, 2, 3)])
    place = 5
    lie_at = place + 6
    for k, value in enumerate([1, -1, 3, 0, 0, 0, 0, 0]):
        export_lane(forged, TENSOR, lie_at, k, value)
    for count, left, index in ((-1, 0, lie_at), (-1, 1, lie_at - 3), (2, 2, lie_at - 6)):
        row = padding_row(forged, DIGESTS)
        forged.write(DIGESTS, row, absorb=count, tensor=TENSOR, left=left, operand=TENSOR, index=index)
        for k in range(3):
            hold(forged, row, k, [k + 1, -k - 1, 3, 0, 0, 0, 0, 0])
    return forged, f"{DIGESTS}: absorb is boolean"


def g14_padding_steps() -> Forged:
    """From the state at the beginning to the one at the end. It says nothing: what is compared with zeros is compared."""
    forged = digested(0)
    (last,) = digest_rows(forged)
    row = padding_row(forged, DIGESTS)
    own = {name: forged.cell(DIGESTS, last, name) for name in ("tensor", "operand", "index")}
    forged.write(DIGESTS, row, before8=DIGEST_TAG, **own)
    forged.write(DIGESTS, last, before8=0)
    return forged, f"{DIGESTS}: padding has no element 8"


# --- G14: calls ----------------------------------------------------------------------------------------------------------------------


def digest_call(forged: Forgery) -> int:
    return forged.row(CALL, digests=1)


def g14_fewer_rows_than_the_descriptor_says() -> Forged:
    forged = digested(1)
    descriptor_word(forged, DIGEST_CALL, 1, 2)
    return forged, f"{CALL}: blocks"


def g14_fewer_rows_than_blocks() -> Forged:
    forged = digested(1)
    descriptor_word(forged, DIGEST_CALL, 1, 2)
    forged.write(CALL, digest_call(forged), blocks=2)
    return forged, f"{CALL}: vectors that are digested"


def g14_another_start_than_the_descriptor_says() -> Forged:
    forged = digested(1)
    descriptor_word(forged, DIGEST_CALL, 4, 16)
    return forged, f"{CALL}: x"


def g14_a_tensor_of_a_later_call() -> Forged:
    """A number that no call has returned yet has its digest compared."""
    forged = digested()
    later = id_of(3)
    operand(forged, DIGEST_CALL, A1, later)
    forged.write(CALL, digest_call(forged), first_low=(id_of(DIGEST_CALL) - later - 1) % TWO_16)
    for row in digest_rows(forged):
        forged.write(DIGESTS, row, operand=later)
    return forged, f"{CALL}: first operand is earlier: high limb"


def g14_an_import_instead() -> Forged:
    """The call that digests makes a tensor that nobody reads, and compares nothing."""
    forged = digested()
    import_vector(forged, 0, SIXES)
    for row in digest_rows(forged):
        forged.erase(DIGESTS, row)
    permute_all(forged)
    forged.write(CALL, digest_call(forged), digests=0, digested=0, imports=1, imported=2)
    for index in range(2):
        forged.write(IMPORTS, padding_row(forged, IMPORTS), real=1, tensor=id_of(DIGEST_CALL), index=index)
    return forged, f"{CALL}: operation"


DIGEST_LIES: tuple[Attack, ...] = (
    *map(g14_other_weights, range(3)),
    *map(g14_another_digest_of_the_tensor, range(2)),
    *map(g14_another_digest, range(4)),
    *map(g14_a_second_digest, range(4)),
    g14_another_permutation,
    g14_less_than_no_row,
    g14_padding_steps,
    g14_fewer_rows_than_the_descriptor_says,
    g14_fewer_rows_than_blocks,
    g14_another_start_than_the_descriptor_says,
    g14_a_tensor_of_a_later_call,
    g14_an_import_instead,
)
