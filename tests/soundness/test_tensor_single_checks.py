"""Attacks on tensor calls that one line refuses and nothing else: the machine without the line accepts them.

See ``test_single_checks.py``. Classes G1 to G7 are those of ``test_tensor_forgeries.py``; G8: other constants under the same image ID.
"""

from __future__ import annotations

import pytest

from tests.riscv.vm.tensor_programs import bounds
from tests.soundness.proven import CHOSEN, verdict
from tests.soundness.single import Attack, Forged, accepted, accepted_slowly, refused, refused_by
from tests.soundness.tensor_forging import (
    LAYER,
    QUARTER,
    TWO_16,
    descriptor_word,
    export_lane,
    follow_products,
    lane,
    layer,
    lie,
    read_by_products,
    recount,
    results_row,
    vector_of,
)
from tests.soundness.tensor_lies import (
    g1_padding_contributes,
    g2_two_taps_at_once,
    g3_another_start_of_the_next_tile,
    g3_channels_beyond_8_are_muted,
    g4_a_vector_of_nobody,
    g4_an_export_of_the_future,
    g4_an_export_serves,
    g4_another_vector,
    g4_padding_of_an_import_serves,
    g4_padding_of_results_serves,
    g4_padding_of_words_serves,
    g4_the_call_itself,
    g4_the_call_itself_as_weights,
    g4_two_calls_feed_each_other,
    g4_weights_of_nobody,
    g6_a_lane_without_a_word,
    g6_a_load_that_writes,
    g6_a_loaded_word_that_is_no_int16,
    g6_a_negative_word_without_its_sign,
    g6_a_positive_word_with_a_sign,
    g6_an_input_that_is_no_int16,
    g7_another_operation,
    g7_fewer_vectors_than_the_descriptor_says,
    g7_other_bounds_than_the_descriptor_says,
    g7_the_machine_does_not_know_the_call,
)
from zkvm.errors import RejectReason
from zkvm.riscv.chips.tensor import call, results
from zkvm.riscv.isa import tensors
from zkvm.riscv.machine import machine
from zkvm.riscv.vm.assemble import VECTORS
from zkvm.stark.air.machine import Machine
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.preprocessed import preprocess
from zkvm.stark.prover.preprocessed import commit_preprocessed

PRODUCTS, RESULTS, TILES, WORDS, CALL, IMPORTS = (f"tensor_{name}" for name in ("products", "results", "tiles", "words", "call", "import"))
EIGHTS = list(range(100, 108))


# --- G5: rescaling -------------------------------------------------------------------------------------------------------------------


def g5_false_saturation() -> Forged:
    """Limbs of a negative difference mod p: the top one has 17 bits."""
    forged = layer().forged()
    assert abs(vector_of(forged, RESULTS, results_row(forged, 0), "x")[0]) < 1000
    assert lie(forged, 0, 0, flag="above") == 2**15 - 1
    return forged, f"{RESULTS}: v0 has 16 bits"


def g5_false_saturation_below() -> Forged:
    forged = layer().forged()
    assert lie(forged, 0, 0, flag="below") == -(2**15)
    return forged, f"{RESULTS}: v0 has 16 bits"


def g5_beyond_the_greatest() -> Forged:
    forged = layer(high=3).forged()
    assert vector_of(forged, RESULTS, results_row(forged, 0), "above")[0] == 1
    assert lie(forged, 0, 0, flag="none") > 3
    return forged, f"{RESULTS}: v0 has 16 bits"


def g5_beyond_the_greatest_with_a_limb() -> Forged:
    forged, _ = g5_beyond_the_greatest()
    forged.write(RESULTS, results_row(forged, 0), v0=0)
    return forged, f"{RESULTS}: lane 0 is at most the greatest"


def g5_below_the_least() -> Forged:
    forged = layer(low=0, high=3).forged()
    row = next(k for k in range(18) if vector_of(forged, RESULTS, results_row(forged, k), "below")[0])
    assert lie(forged, row, 0, flag="none") < 0
    return forged, f"{RESULTS}: u0 has 16 bits"


def g5_a_rest_of_more_than_one() -> Forged:
    """The quotient less one, and a rest of 2^32 and more."""
    forged = layer().forged()
    row = results_row(forged, 0)
    forged.add(RESULTS, row, u0=-1, v0=1, s0=TWO_16, x0=-1)
    export_lane(forged, LAYER, 0, 0, vector_of(forged, RESULTS, row, "x")[0])
    return forged, f"{RESULTS}: s0 has 16 bits"


def g5_low_limb_of_a_rest() -> Forged:
    forged = layer().forged()
    row = results_row(forged, 0)
    forged.add(RESULTS, row, u0=-1, v0=1, r0=1 << 32, x0=-1)
    export_lane(forged, LAYER, 0, 0, vector_of(forged, RESULTS, row, "x")[0])
    return forged, f"{RESULTS}: r0 has 16 bits"


def g5_cut_twice() -> Forged:
    """With both flags the top limb weighs 2^16 and the result is hi - u: a sum far below the least becomes 1 of 0 to 2."""
    x, w = [[-21847] + [0] * 7], [[12] + [0] * 7]
    forged = layer(1, 1, 1, low=0, high=2, x=x, w=w).forged()
    row = results_row(forged, 0)
    right = -((-262164 * QUARTER) + (1 << 31)) - 3 * (1 << 32) - 1 - ((1 << 16) + 1) * (1 << 32)
    assert 0 <= right < 1 << 32
    forged.write(RESULTS, row, above0=1, below0=1, u0=1, v0=1, s0=right >> 16, r0=right % TWO_16, x0=1)
    export_lane(forged, LAYER, 0, 0, 1)
    recount(forged, LAYER)
    return forged, f"{RESULTS}: lane 0 is not cut twice"


def g5_another_channel() -> Forged:
    """bias and multiplier of the next channel, which is in the list."""
    listed = [(40 * c, QUARTER >> c, QUARTER) for c in range(9)]
    forged = layer(listed=listed).forged()
    row = results_row(forged, 0)
    forged.write(RESULTS, row, bias=listed[1][0], multiplier=listed[1][1])
    for k in range(8):
        lie(forged, 0, k)
    return forged, f"{RESULTS}: channel"


def g5_another_limit() -> Forged:
    """The list has another limit than the call says: for more taps than are safe."""
    forged = layer().forged()
    forged.write(CALL, forged.row(CALL, linear=1), limit=1, products=2, room_low=TWO_16 - 2)
    for chip in (TILES, RESULTS):
        table = forged.tables[chip]
        for row in range(table.used):
            forged.write(chip, row, limit=1)
    return forged, f"{RESULTS}: channel"


def g5_too_many_taps(monkeypatch: pytest.MonkeyPatch) -> Forged:
    """5 taps of a limit of 2^30: an executor without the rule computes the same, and a sum might wrap."""
    with monkeypatch.context() as patch:
        patch.setattr(tensors, "MAX_PRODUCT_LIMIT", 1 << 40)
        patch.setattr(call, "limit_of", lambda execution, call: 1)
        forged = layer(1, 1, 5).forged()
    products = 5 * QUARTER
    forged.write(CALL, forged.row(CALL, linear=1), limit=QUARTER, products=products, room_low=((1 << 32) - products) % P % TWO_16)
    return forged, f"{CALL}: 2^32 - taps limit: high limb"


def g5_bounds_in_disorder() -> Forged:
    """The image's descriptor has hi = lo - 1: what is larger than hi is hi, what is smaller than lo is lo, and no sum is neither."""
    forged = layer(1, 1, 1, low=5, high=6, x=[[4 * k for k in range(8)]], w=[[1] + [0] * 7]).forged()
    word = bounds(5, 4)
    descriptor_word(forged, 1, 9, word)
    forged.write(CALL, forged.row(CALL, linear=1), bounds=word, low=word % TWO_16)
    row = results_row(forged, 0)
    for chip, at in ((TILES, 0), (RESULTS, row)):
        forged.write(chip, at, low=5, span=-1)
    for k in range(8):
        lie(forged, 0, k, flag="above" if k >= 5 else "below")
    return forged, f"{CALL}: bounds are in order"


FORGERIES: tuple[Attack, ...] = (
    g1_padding_contributes, g2_two_taps_at_once, g3_channels_beyond_8_are_muted, g3_another_start_of_the_next_tile,
    g4_a_vector_of_nobody, g4_weights_of_nobody, g4_another_vector, g4_padding_of_an_import_serves, g4_padding_of_words_serves,
    g4_padding_of_results_serves, g4_an_export_serves, g4_the_call_itself, g4_the_call_itself_as_weights, g4_two_calls_feed_each_other,
    g4_an_export_of_the_future,
    g5_false_saturation, g5_false_saturation_below, g5_beyond_the_greatest, g5_beyond_the_greatest_with_a_limb, g5_below_the_least,
    g5_a_rest_of_more_than_one, g5_low_limb_of_a_rest, g5_cut_twice, g5_another_channel, g5_another_limit, g5_bounds_in_disorder,
    g6_an_input_that_is_no_int16, g6_a_negative_word_without_its_sign, g6_a_positive_word_with_a_sign, g6_a_loaded_word_that_is_no_int16,
    g6_a_load_that_writes, g6_a_lane_without_a_word,
    g7_fewer_vectors_than_the_descriptor_says, g7_other_bounds_than_the_descriptor_says, g7_another_operation,
    g7_the_machine_does_not_know_the_call,
)  # fmt: skip
PROVEN = (g1_padding_contributes, g4_the_call_itself, g5_false_saturation)

test_one_line_refuses = refused(FORGERIES)
test_without_the_line_the_verifier_accepts = accepted(PROVEN)
test_without_the_line_the_verifier_accepts_every_one = accepted_slowly(FORGERIES, PROVEN)


def test_g5_too_many_taps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tensors.MAX_PRODUCT_LIMIT == 1 << 32
    refused_by(*g5_too_many_taps(monkeypatch))


def test_g5_a_top_limb_that_weighs_2_16_accepts_false_saturation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the top limb weighs 2^15: with 2^16 every element of the field is a right side, and the verifier is convinced."""
    forged = layer().forged()
    row = results_row(forged, 0)
    assert lie(forged, 0, 0, flag="above") == 2**15 - 1
    scaled = vector_of(forged, RESULTS, row, "sum")[0] * QUARTER + (1 << 31)
    rest = (scaled - (2**15 << 32)) % P
    limbs = {name: rest >> shift & 0xFFFF for name, shift in (("v0", 48), ("u0", 32), ("s0", 16), ("r0", 0))}
    forged.write(RESULTS, row, **limbs)
    assert forged.refusals() == {f"{RESULTS}: lane 0 is divided"}
    monkeypatch.setattr(results, "TOP_BITS", 16)
    chips = tuple(results.ResultsChip() if chip.name == RESULTS else chip for chip in machine().chips)
    weak = Machine("rv32im with a top limb of 2^16", chips, machine().max_rows)
    forged.tables[RESULTS].chip = weak.chips[weak.chip_number(RESULTS)]
    for index in range(1, 18):  # honest lanes that are cut have other limbs under that weight
        for k in range(8):
            lane(forged, results_row(forged, index), k)
    assert forged.refusals() == set()
    assert verdict(forged, weak) is None


# --- G8: constants -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "value"), [("constant_vectors.x0", 99), ("channels.bias", 4000)])
def test_g8_other_constants(column: str, value: int) -> None:
    """Other weights or channels in the prover's own tables: nothing but the root in the image ID refuses them."""
    forged = layer().forged()
    forged[column][0] = value
    if column.startswith("channels"):
        for index in (0, 9):
            forged.write(RESULTS, results_row(forged, index), bias=value)
    else:
        read_by_products(forged, 0, VECTORS // 16, [99, *vector_of(forged, "constant_vectors", 0, "x")[1:]])
    assert follow_products(forged)
    assert forged.refusals() == set()
    columns = preprocess(machine(), forged.image)
    name = column.split(".")[0]
    columns[name] = forged.tables[name].pre
    own = commit_preprocessed(machine(), columns, CHOSEN.blowup)
    assert verdict(forged, tables=own) is RejectReason.MERKLE
    assert verdict(forged, tables=own, believed=True) is None
