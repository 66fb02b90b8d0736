"""G13: lies about channels in vectors that one line refuses, each with the line that it breaks."""

from __future__ import annotations

from tests.forge import Forgery
from tests.soundness.private_forging import (
    CALL,
    CHANNEL_ROWS,
    IMPORTS,
    LAYER,
    LIMIT,
    LINEAR_CALL,
    RESULTS,
    SCALED_CALL,
    SCALES,
    TAPS,
    TILES,
    W,
    call_row,
    channel_in_row,
    follow_channel,
    key_of,
    say_limit,
    scale_by,
    scaled,
    take_channels,
    take_list,
)
from tests.soundness.single import Attack, Forged
from tests.soundness.tensor_forging import A2, TWO_16, descriptor_word, export_lane, id_of, operand, padding_row, put, signed
from zkvm.riscv.chips.tensor.channels import TENSOR_KEYS
from zkvm.riscv.isa.tensors import BIAS_STEPS, IMPORT, SCALE_BITS, Descriptor
from zkvm.riscv.vm.assemble import CHANNELS, VECTORS
from zkvm.stark.field.goldilocks import P

# --- rows of channels -------------------------------------------------------------------------------------------------------


def channel_row(forged: Forgery, channel: int = 1) -> int:
    return forged.row(CHANNEL_ROWS, index=TAPS + channel)


def g13_a_channel_of_nobody() -> Forged:
    forged = scaled()
    row = channel_row(forged)
    scale = forged.cell(CHANNEL_ROWS, row, "scale")
    forged.write(CHANNEL_ROWS, row, factor=30000, multiplier=30000 * scale)
    follow_channel(forged, row)
    return forged, f"{CHANNEL_ROWS}: vector"


def g13_the_key_of_another_tensor(step: int) -> Attack:
    """A tensor before or behind, and an index by so much larger or smaller: nobody has such a vector, and its key is a channel's."""

    def make() -> Forged:
        forged = scaled()
        row = channel_row(forged)
        key = channel_in_row(forged, row)[0]
        cells = {"tensor": W + step, "index": TAPS + 1 - step * TENSOR_KEYS}
        forged.write(CHANNEL_ROWS, row, **cells, factor=30000, multiplier=30000 * (LIMIT >> SCALE_BITS))
        assert channel_in_row(forged, row)[0] == key
        follow_channel(forged, row)
        return forged, f"{CHANNEL_ROWS}: vector"

    make.__name__ = f"g13_the_key_of_a_tensor_{'behind' if step > 0 else 'before'}"
    return make


def g13_the_key_of_a_constant_channel() -> Forged:
    """The tensor of number -1 would have the keys of the image's channels."""
    forged = scaled(linear=True)
    row = forged.copy_row(CHANNEL_ROWS, channel_row(forged, 2))
    forged.write(CHANNEL_ROWS, row, tensor=-1, index=CHANNELS // 16 + 1)
    channel = channel_in_row(forged, row)
    assert channel[0] == forged.cell("channels", 1, "index")
    take_channels(forged, {channel[0]: channel}, id_of(LINEAR_CALL))
    return forged, f"{CHANNEL_ROWS}: vector"


def g13_lanes_behind_the_channel() -> Forged:
    """What no row has is 0: a vector with something there is no channel."""
    forged = scaled()
    put(forged, IMPORTS, forged.row(IMPORTS, tensor=W, index=TAPS + 1), "x", [*SCALES[1][:5], 0, 0, 1])
    return forged, f"{CHANNEL_ROWS}: vector"


def g13_another_bias() -> Forged:
    forged = scaled()
    row = channel_row(forged)
    forged.add(CHANNEL_ROWS, row, bias=1000)
    follow_channel(forged, row)
    return forged, f"{CHANNEL_ROWS}: bias"


def g13_another_multiplier() -> Forged:
    forged = scaled()
    row = channel_row(forged)
    forged.write(CHANNEL_ROWS, row, multiplier=LIMIT)
    follow_channel(forged, row)
    return forged, f"{CHANNEL_ROWS}: multiplier"


def g13_another_step() -> Forged:
    """The bias counts three times."""
    forged = scaled()
    row = channel_row(forged)
    step, bias = (signed(forged.cell(CHANNEL_ROWS, row, name)) for name in ("step", "bias"))
    forged.write(CHANNEL_ROWS, row, step=3 * step, bias=3 * bias)
    follow_channel(forged, row)
    return forged, f"{CHANNEL_ROWS}: scale and step are powers of two"


def g13_padding_serves() -> Forged:
    """A channel of the same name without a bias, and with any multiplier."""
    forged = scaled()
    row = padding_row(forged, CHANNEL_ROWS)
    scale = LIMIT >> SCALE_BITS
    cells = {"tensor": W, "index": TAPS + 1, "factor": 999, "scale": scale, "multiplier": 999 * scale, "multiplicity": 2}
    forged.write(CHANNEL_ROWS, row, **cells)
    follow_channel(forged, row)
    return forged, f"{CHANNEL_ROWS}: padding serves nothing"


def g13_half_a_step() -> Forged:
    """A limit of 2^30: the step is 1/2, of biases that are even it makes integers."""
    forged = scaled()
    say_limit(forged, 1 << 30)
    scale_by(forged, 1 << 15, pow(2, -1, P))
    return forged, f"{CHANNEL_ROWS}: step has 16 bits"


def g13_a_third_of_a_step() -> Forged:
    """A limit that is no power of two: the step is some element of the field, and so is what a bias of it would be."""
    forged = scaled(scales=[[0, 0, 32767, 0, 0, 0, 0, 0]] * 3)
    say_limit(forged, 3 << SCALE_BITS)
    scale_by(forged, 3, BIAS_STEPS * pow(3, -1, P) % P)
    return forged, f"{CHANNEL_ROWS}: step has 16 bits"


def g13_half_a_scale() -> Forged:
    """A limit of 2^14: multipliers are halves, and biases larger than what a list in an image may have."""
    forged = scaled()
    say_limit(forged, 1 << 14)
    scale_by(forged, pow(2, -1, P), 1 << 15)
    return forged, f"{CHANNEL_ROWS}: scale has 16 bits"


def a_limb_of_minus_one(*behind: Descriptor) -> Forgery:
    """A rest of 2^32 - 1 is one of -1, and the result is one more than it is."""
    forged = scaled(1 << 15, 1, [[-1] * 8], [[1, 0, 0, 0, 0, 0, 0, 0]], [[0, 2, 1, 0, 0, 0, 0, 0]], behind=behind)
    result = forged.row(RESULTS, tensor=LAYER)
    assert forged.cell(RESULTS, result, "s0") == TWO_16 - 1
    forged.add(RESULTS, result, u0=1, v0=-1, s0=-TWO_16, x0=1)
    export_lane(forged, LAYER, 0, 0, signed(forged.cell(RESULTS, result, "x0")))
    return forged


def g13_less_than_no_channel() -> Forged:
    """A row that counts -1 takes back what it asks for: here a limb of -1."""
    forged = a_limb_of_minus_one()
    row = forged.copy_row(CHANNEL_ROWS, forged.row(CHANNEL_ROWS, tensor=W))
    forged.write(CHANNEL_ROWS, row, real=-1, scale=-1, multiplier=-1, multiplicity=0)
    return forged, f"{CHANNEL_ROWS}: real is boolean"


# --- G13: calls ----------------------------------------------------------------------------------------------------------------------


def g13_constant_channels() -> Forged:
    """A layer whose channels are private takes those of the image."""
    forged = scaled()
    cells = [[signed(forged.cell("channels", row, name)) for name in ("index", "bias", "multiplier", "limit")] for row in range(3)]
    take_list(forged, SCALED_CALL, CHANNELS // 16, [(key, bias, multiplier, limit) for key, bias, multiplier, limit in cells])
    return forged, f"{CALL}: first channel"


def g13_private_channels() -> Forged:
    """A layer whose channels are the image's takes private ones."""
    forged = scaled(linear=True)
    rows = [channel_row(forged, channel) for channel in range(3)]
    take_list(forged, LINEAR_CALL, key_of(W, TAPS), [channel_in_row(forged, row) for row in rows])
    return forged, f"{CALL}: first channel"


def take_reversed(forged: Forgery, tensor: int, first: int) -> None:
    """A layer takes its channels from elsewhere, where they are in reverse."""
    rows = [forged.row(CHANNEL_ROWS, tensor=0, index=VECTORS // 16 + TAPS + channel) for channel in (2, 1, 0)]
    for number, row in enumerate(rows):
        forged.write(CHANNEL_ROWS, row, tensor=tensor, index=first + number)
    take_list(forged, SCALED_CALL, key_of(tensor, first), [channel_in_row(forged, row) for row in rows])


def g13_channels_of_another_tensor() -> Forged:
    """Those of a private tensor for those of the constants."""
    forged = scaled(constant=True)
    take_reversed(forged, W, TAPS)
    return forged, f"{CALL}: first channel"


def g13_another_place_in_the_tensor() -> Forged:
    forged = scaled(constant=True)
    take_reversed(forged, 0, VECTORS // 16 + 2 * TAPS + len(SCALES))
    return forged, f"{CALL}: first channel"


def behind_the_tensor() -> Forgery:
    """The image's descriptor says that the list begins one vector later."""
    forged = scaled()
    descriptor_word(forged, SCALED_CALL, 8, 16 * (TAPS + 1))
    forged.write(CALL, call_row(forged, SCALED_CALL), channel_list=16 * (TAPS + 1))
    key, *told = channel_in_row(forged, channel_row(forged, 2))
    channels = [channel_in_row(forged, channel_row(forged, channel)) for channel in (1, 2)]
    take_list(forged, SCALED_CALL, key_of(W, TAPS + 1), [*channels, (key + 1, told[0], told[1], told[2])])
    return forged


def g13_a_list_that_ends_behind_the_tensor() -> Forged:
    return behind_the_tensor(), f"{RESULTS}: channel"


def g13_a_channel_behind_the_tensor() -> Forged:
    """A row tells it, of a vector that is not there."""
    forged = behind_the_tensor()
    forged.add(CHANNEL_ROWS, forged.copy_row(CHANNEL_ROWS, channel_row(forged, 2)), index=1)
    return forged, f"{CHANNEL_ROWS}: vector"


def g13_another_list_than_the_descriptor_says() -> Forged:
    forged = scaled()
    descriptor_word(forged, SCALED_CALL, 8, 16 * (TAPS + 1))
    return forged, f"{CALL}: channel list"


def g13_another_limit_than_the_descriptor_says() -> Forged:
    """All multipliers are half of what they are."""
    forged = scaled()
    say_limit(forged, LIMIT // 2)
    scale_by(forged, LIMIT >> SCALE_BITS + 1, 2 * (BIAS_STEPS << SCALE_BITS) // LIMIT)
    descriptor_word(forged, SCALED_CALL, 10, LIMIT)
    return forged, f"{CALL}: limit"


def too_many_taps(products: int | None = None) -> Forgery:
    """17 taps of a limit of 2^28, which the image's descriptor says instead of 2^27: a sum might wrap."""
    forged = scaled(1 << 27, 1, weights=[[1, 0, 0, 0, 0, 0, 0, 0]] * 17, scales=SCALES[:1])
    say_limit(forged, 1 << 28, products=products)
    scale_by(forged, 1 << 13, 2)
    return forged


def g13_too_many_taps() -> Forged:
    return too_many_taps(), f"{CALL}: 2^32 - taps limit: high limb"


def g13_too_many_taps_that_are_few() -> Forged:
    return too_many_taps(1), f"{CALL}: products of taps and limit"


def g13_no_taps() -> Forged:
    """Of no block: the executor refuses the call, and so must the machine."""
    forged = scaled(blocks=0)
    descriptor_word(forged, SCALED_CALL, 3, 0)
    row = call_row(forged, SCALED_CALL)
    strides = [forged.cell(CALL, row, name) for name in ("x_stride", "w_stride")]
    forged.write(CALL, row, taps=0, products=0, room_low=0, back=sum(strides))
    return forged, f"{CALL}: 2^32 - taps limit: high limb"


def g13_channels_that_the_layer_makes() -> Forged:
    """A fixed point: zeros are weights and channels of the layer that makes them."""
    forged = scaled(blocks=2, weights=[[0] * 8], scales=[[0] * 8])
    operand(forged, SCALED_CALL, A2, LAYER)
    forged.write(CALL, forged.row(CALL, scaled=1), second_low=TWO_16 - 1)
    for chip in (TILES, "tensor_products"):
        for row in range(forged.tables[chip].used):
            forged.write(chip, row, w_tensor=LAYER)
    forged.write(CHANNEL_ROWS, 0, tensor=LAYER)
    forged.write(CALL, forged.row(CALL, scaled=1), list_start=key_of(LAYER, 1))
    for chip in (TILES, RESULTS):
        for row in range(forged.tables[chip].used):
            forged.write(chip, row, channel=key_of(LAYER, 1))
    return forged, f"{CALL}: second operand is earlier: high limb"


def g13_less_than_no_layer() -> Forged:
    """An import of nothing that is a gather, a function, and a layer taken away: what a layer looks up counts -1, so a limb of -1 is taken
    back, by which a result is one more than it is."""
    forged = a_limb_of_minus_one(Descriptor(IMPORT, 0, 0, 1, y=1))
    row = call_row(forged, 4)
    forged.write(CALL, row, imports=0, gathers=1, applies=1, scaled=-1, taps=1, limit=1, products=1, list_start=-TENSOR_KEYS)
    forged.write(CALL, row, room_low=TWO_16 - 1, first_low=id_of(4) - 1)
    return forged, f"{CALL}: scaled is boolean"


CHANNEL_LIES: tuple[Attack, ...] = (
    g13_a_channel_of_nobody,
    *map(g13_the_key_of_another_tensor, (-1, 1)),
    g13_the_key_of_a_constant_channel,
    g13_lanes_behind_the_channel,
    g13_another_bias,
    g13_another_multiplier,
    g13_another_step,
    g13_padding_serves,
    g13_half_a_step,
    g13_a_third_of_a_step,
    g13_half_a_scale,
    g13_less_than_no_channel,
    g13_less_than_no_layer,
    g13_constant_channels,
    g13_private_channels,
    g13_channels_of_another_tensor,
    g13_another_place_in_the_tensor,
    g13_a_list_that_ends_behind_the_tensor,
    g13_a_channel_behind_the_tensor,
    g13_another_list_than_the_descriptor_says,
    g13_another_limit_than_the_descriptor_says,
    g13_too_many_taps,
    g13_too_many_taps_that_are_few,
    g13_no_taps,
    g13_channels_that_the_layer_makes,
)
