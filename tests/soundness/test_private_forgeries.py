"""G13 and G14: attacks on channels in vectors and on digests, which one line refuses: the machine without the line accepts them.

See ``test_single_checks.py``; what is told is in ``channel_lies.py`` and ``digest_lies.py``.
"""

from __future__ import annotations

import pytest

from tests.forge import Forgery
from tests.riscv.vm.tensor_programs import digest_of
from tests.soundness.channel_lies import CHANNEL_LIES, channel_row, g13_less_than_no_channel, g13_padding_serves
from tests.soundness.digest_lies import DIGEST_LIES, SIXES, g14_another_permutation, g14_less_than_no_row
from tests.soundness.private_forging import (
    CALL,
    CARRIED,
    CHANNEL_ROWS,
    DIGESTS,
    absorb,
    compare,
    digest_rows,
    digested,
    hold,
    import_vector,
    key_of,
    permute_all,
    scaled,
    state_before,
)
from tests.soundness.single import accepted, accepted_slowly, refused
from tests.soundness.tensor_forging import TWO_16, id_of
from zkvm.riscv.chips.tensor.channels import TENSOR_KEYS
from zkvm.riscv.isa.poseidon2 import permute
from zkvm.riscv.isa.tensors import BIAS_STEPS, DIGEST_TAG, MAX_CHANNELS, MAX_SCALED_BIAS, SCALE_BITS
from zkvm.riscv.machine import MAX_ROWS
from zkvm.stark.field.goldilocks import P

FORGERIES = CHANNEL_LIES + DIGEST_LIES
PROVEN = (g13_padding_serves, g13_less_than_no_channel, g14_another_permutation, g14_less_than_no_row)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


# --- what several lines refuse ---------------------------------------------------------------------------------------------------------


def places(forged: Forgery) -> set[str]:
    """What refuses the tables: buses by their name, lines as they are."""
    return {where.partition(":")[0] if where.startswith("bus") else where for where in forged.refusals()}


def test_g13_keys_of_channels_do_not_meet() -> None:
    """Ids, indices and addresses by vectors are below 2^28: a key says which it is, also of a list that begins between two vectors."""
    most = 1 << 28
    assert MAX_ROWS < most
    assert most + MAX_CHANNELS < TENSOR_KEYS
    for remainder in range(1, 16):
        between = [number * pow(16, -1, P) % P for number in (remainder, (1 << 32) - 16 + remainder)]
        assert all(key_of(most, most) < start < P - key_of(most, most) - MAX_CHANNELS for start in between)


def test_g13_the_least_id_at_which_keys_would_meet() -> None:
    """The list of a layer at 2^32 - 1 begins at 2^60 in the field, the first key of that tensor. What bounds ids keeps them far below."""
    meeting = TENSOR_KEYS - 1
    assert ((1 << 32) - 1) * pow(16, -1, P) % P == key_of(meeting, 0)
    served = key_of(meeting - 1, 1 << 28)
    for remainder in range(1, 16):
        between = [number * pow(16, -1, P) % P for number in (remainder, (1 << 32) - 16 + remainder)]
        assert served < min(between)
        assert max(between) + key_of(meeting - 1, MAX_CHANNELS) < P
    assert MAX_ROWS < meeting


def test_g13_channels_keep_to_what_rescaling_allows() -> None:
    lanes, high = 1 << 15, TWO_16 << 15
    for power in range(15):
        scale, step = 1 << power, BIAS_STEPS >> power
        assert (lanes + high) * step * lanes * scale <= MAX_SCALED_BIAS
        assert lanes * scale <= scale << SCALE_BITS


def test_g13_two_entries_for_one_channel() -> None:
    """Two rows may hold one channel. They say the same, and both count."""
    forged = scaled()
    forged.copy_row(CHANNEL_ROWS, channel_row(forged))
    assert forged.refusals() == set()


@pytest.mark.parametrize("change", [-1, 1])
def test_g13_multiplicities(change: int) -> None:
    forged = scaled()
    forged.add(CHANNEL_ROWS, channel_row(forged), multiplicity=change)
    assert {where.partition(":")[0] for where in forged.refusals(recount=False)} == {"bus channel"}


def test_g13_both_kinds_of_layer_at_once() -> None:
    forged = scaled()
    forged.write(CALL, forged.row(CALL, scaled=1), linear=1)
    assert {f"{CALL}: at most one operation", f"{CALL}: operation"} <= forged.refusals()


@pytest.mark.parametrize("twice", [False, True])
def test_g14_a_row_left_out_or_twice(twice: bool) -> None:
    forged = digested(3)
    row = digest_rows(forged)[1]
    if twice:
        forged.copy_row(DIGESTS, row)
    else:
        forged.erase(DIGESTS, row)
    permute_all(forged)
    assert places(forged) == {"bus digest path"}


def test_g14_the_last_too_early() -> None:
    """Behind the first row is its digest, and the rest is digested from zeros: what it is the digest of begins there."""
    forged = digested()
    first, second, last = digest_rows(forged)
    state = permute(state_before(forged, first))
    early = forged.copy_row(DIGESTS, last)
    forged.write(DIGESTS, early, left=1, index=3, **{f"before{k}": state[k] for k in CARRIED})
    for k, vector in enumerate(compare(forged, early, state)):
        import_vector(forged, 3 + k, vector)
        hold(forged, second, k, vector)
    forged.write(DIGESTS, second, left=0, **{f"before{k}": 0 for k in CARRIED})
    absorb(forged, [second])
    state = permute(state_before(forged, second))
    forged.write(DIGESTS, last, left=-1, **{f"before{k}": state[k] for k in CARRIED})
    for k, vector in enumerate(compare(forged, last, state)):
        import_vector(forged, 6 + k, vector)
    assert places(forged) == {f"{DIGESTS}: the last row comes when none is left", "bus digest path"}


def test_g14_no_last() -> None:
    forged = digested()
    forged.erase(DIGESTS, digest_rows(forged)[-1])
    assert places(forged) == {"bus digest path"}


@pytest.mark.parametrize(("element", "value"), [(8, DIGEST_TAG + 1), (9, 1), (9, 3), (10, 1), (11, 1)])
def test_g14_another_capacity(element: int, value: int) -> None:
    """What is absorbed from there on is the digest of that; the call says where it begins."""
    forged = digested()
    rows = digest_rows(forged)
    forged.write(DIGESTS, rows[0], **{f"before{element}": value})
    absorb(forged, rows[:2])
    state = permute(state_before(forged, rows[1]))
    forged.write(DIGESTS, rows[2], **{f"before{k}": state[k] for k in CARRIED})
    for k, vector in enumerate(compare(forged, rows[2], state)):
        import_vector(forged, 6 + k, vector)
    assert places(forged) == {"bus digest path"}


@pytest.mark.parametrize(("name", "value"), [("operand", id_of(3)), ("tensor", id_of(3)), ("left", 7), ("index", 1)])
def test_g14_another_path_than_the_call_says(name: str, value: int) -> None:
    """Of the same vectors in another tensor, of a call that does not digest, of more rows, of a beginning elsewhere."""
    forged = digested(content=[SIXES] * 6)
    forged.write(DIGESTS, digest_rows(forged)[0], **{name: value})
    assert places(forged) == {"bus digest path"}


def test_g14_a_row_that_absorbs_and_is_the_last() -> None:
    """It would begin and compare with zeros, which is where no path is: neither at its beginning nor behind a permutation."""
    least = [-(1 << 15)] * 8
    forged = digested(1, content=[least, least, SIXES])
    row, last = digest_rows(forged)
    forged.erase(DIGESTS, last)
    forged.write(DIGESTS, row, last=1, left=0, **{f"before{k}": 0 for k in CARRIED})
    absorb(forged, [row])
    assert places(forged) == {f"{DIGESTS}: a row absorbs or is the last", "bus digest path"}


@pytest.mark.parametrize("flag", [2, -1, pow(2, -1, P)])
def test_g14_a_last_row_whose_flag_is_no_bit(flag: int) -> None:
    """It has to come from a state of zeros, which no path has before its end."""
    forged = digested(0)
    forged.write(DIGESTS, digest_rows(forged)[0], last=flag, before8=0)
    assert places(forged) == {f"{DIGESTS}: last is boolean", "bus digest path"}


def test_g14_rows_with_the_permutation_of_another() -> None:
    """What comes out is exchanged between two rows: in and out are one tuple."""
    forged = digested()
    first, second, _ = digest_rows(forged)
    for k in range(12):
        values = [forged.cell(DIGESTS, row, f"after{k}") for row in (second, first)]
        for row, value in zip((first, second), values, strict=True):
            forged.write(DIGESTS, row, **{f"after{k}": value})
    assert places(forged) == {f"{DIGESTS}: permutation", "bus digest path"}


def test_g14_digests_differ_by_how_many_rows_there_are() -> None:
    """Of zeros behind zeros there is another digest: their number is in the capacity."""
    zeros = [[0] * 8] * 9
    assert len({str(digest_of(zeros[: 3 * rows])) for rows in range(4)}) == 4
