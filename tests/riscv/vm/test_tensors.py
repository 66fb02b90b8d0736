"""Tensor calls in the executor: results against plain integers, records, and everything that traps, with its message."""

from __future__ import annotations

import random
import re
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from tests.riscv.vm.memory_bus import check_memory_bus, check_state_bus
from tests.riscv.vm.random_tensors import random_layer, random_moves, random_vectors
from tests.riscv.vm.tensor_programs import (
    CHANNELS,
    CONSTANTS,
    DATA,
    RAM,
    RODATA,
    VECTORS,
    Script,
    bounds,
    channel_bytes,
    image_of,
    meaning,
    outcome,
    program,
    vector_bytes,
)
from tests.riscv.vm.windows import channel_of
from zkvm.errors import GuestTrap, LimitError
from zkvm.riscv.isa import calls, tensors
from zkvm.riscv.isa.tensors import EXPORT, IMPORT, LAYERS, LINEAR, LOAD, Descriptor
from zkvm.riscv.records import Execution, TensorCall
from zkvm.riscv.vm.assemble import Item
from zkvm.riscv.vm.combining import rescale
from zkvm.riscv.vm.executor import execute
from zkvm.riscv.vm.reference import run_reference
from zkvm.riscv.vm.tensors import EXACT_TAPS, sums_of_products

HEAP_LIMIT = 0x0F80_0000
ALL = bounds(-(2**15), 2**15 - 1)


def check(script: Script) -> None:
    """The executor does what the script means, and its records are consistent."""
    execution = execute(program(script), script.stdin)
    assert outcome(execution) == meaning(script)
    check_memory_bus(execution)
    check_state_bus(execution)
    for call in execution.tensor_calls:
        ecall = execution.ecalls[call.ecall]
        assert ecall["a7"] == calls.TENSOR.number
        assert int(ecall["time"]) == 4 * call.id
        assert ecall["result"] == call.id
        check_sums(call, script, execution)


def check_sums(call: TensorCall, script: Script, execution: Execution) -> None:
    """Rescaled, the recorded sums are the recorded vectors."""
    d, ecalls, made_by = call.descriptor, execution.ecalls, execution.tensor_calls
    assert call.sums.shape == (call.vectors.shape if d.operation in LAYERS else (0, 8))
    if call.vectors.size and d.operation in LAYERS:
        assert np.array_equal(sums_of_products(call.x, call.w)[:, : d.channels].reshape(-1, 8), call.sums)

    def channel(number: int) -> tuple[int, int, int]:
        if d.operation == LINEAR:
            return script.channels[(d.channel_list - CHANNELS) // 16 + number]
        at, handle = d.channel_list // 16 + number, int(ecalls[call.ecall]["a2"])
        held = script.vectors if handle == 0 else next(made.vectors.tolist() for made in made_by if made.id == handle)
        return channel_of(held[at - (VECTORS // 16 if handle == 0 else 0)], d.y)

    for v, row in enumerate(call.sums.tolist()):
        bias, multiplier, _ = channel(v % d.channels)
        scaled = [((s + bias) * multiplier + 2**31) >> 32 for s in row]
        assert [min(max(y, d.low), d.high) for y in scaled] == call.vectors[v].tolist()


@pytest.mark.parametrize("size", range(1, 34))
def test_layers_of_every_shape(size: int) -> None:
    """Positions and channels from 1 to 33, each with a random other size, weights that are constants or a tensor, extremes and edges."""
    rng = random.Random(size)
    check(random_layer(rng, size, rng.randrange(1, 34), rng.randrange(1, 12)))
    check(random_layer(rng, rng.randrange(1, 34), size, rng.randrange(1, 12)))


@pytest.mark.parametrize("seed", range(20))
def test_layers_of_many_taps(seed: int) -> None:
    rng = random.Random(seed)
    check(random_layer(rng, rng.randrange(1, 9), rng.randrange(1, 9), rng.choice((1, 2, 64, 255, 256, 300))))


def one_layer(x: int, w: int, taps: int, channel: tuple[int, int, int], limits: int = ALL) -> int:
    """Element 0 of a layer whose elements are all the same."""
    script = Script()
    operand = script.add_import([[x] * 8] * taps)
    at = script.add_constants([[w] + [0] * 7] * taps)
    listed = script.add_channels([channel])
    script.add(Descriptor(LINEAR, 1, 1, taps, 0, taps, at, taps, listed, limits), operand)
    check(script)
    return meaning(script)[0][1][0][0]


@pytest.mark.parametrize(
    ("acc", "multiplier", "result"),
    [
        (2, 2**30, 1), (-2, 2**30, 0), (6, 2**30, 2), (-6, 2**30, -1), (1, 2**30, 0), (3, 2**30, 1), (-3, 2**30, -1),
        (1, 2**31 - 1, 0), (-1, 2**31 - 1, 0), (2, 2**31 - 1, 1), (-1, -(2**31 - 1), 0), (1, -(2**31 - 1), 0),
    ],
)  # fmt: skip
def test_ties_are_rounded_up(acc: int, multiplier: int, result: int) -> None:
    assert one_layer(acc, 1, 1, (0, multiplier, 2**31 - 1)) == result
    assert one_layer(0, 1, 1, (acc, multiplier, 2**31 - 1)) == result


@pytest.mark.parametrize(("low", "high"), [(-(2**15), 2**15 - 1), (0, 2**15 - 1), (-(2**15), 0), (7, 7), (-(2**15), -(2**15))])
def test_both_saturations(low: int, high: int) -> None:
    limit = 2**32 // 1024
    for w, sign in ((-(2**15), 1), (2**15 - 1, -1)):
        edge = min(2**48 - 1, 2**61 // limit)
        assert one_layer(-(2**15), w, 1024, (sign * edge, limit, limit), bounds(low, high)) == (high if sign > 0 else low)
        assert one_layer(-(2**15), w, 1024, (sign * edge, -limit, limit), bounds(low, high)) == (low if sign > 0 else high)


def test_sums_beyond_what_doubles_hold() -> None:
    """A sum of more products than one product of matrices takes; each is 2^30."""
    taps = EXACT_TAPS + 3
    x = np.broadcast_to(np.int16(-(2**15)), (1, taps, 8))
    w = np.zeros((1, taps, 8), np.int16)
    w[0, :, 3] = -(2**15)
    w[0, -1, 3] = 1
    sums = sums_of_products(x, w)
    assert sums[0, 3].tolist() == [(taps - 1) * 2**30 - 2**15] * 8
    assert not np.any(np.delete(sums, 3, axis=1))


def test_rescaling_at_the_bounds_does_not_wrap() -> None:
    most = 2**32 * 2**30
    sums = np.array([most // (2**31 - 1), -(most // (2**31 - 1))], np.int64).reshape(1, 1, 2)
    bias = 2**61 // (2**31 - 1)
    for multiplier in (2**31 - 1, -(2**31 - 1)):
        for offset in (bias, -bias):
            found, cuts = rescale(sums, np.array([offset]), np.array([multiplier], np.int32), -(2**15), 2**15 - 1)
            exact = [((int(s) + offset) * multiplier + 2**31) >> 32 for s in sums.reshape(-1)]
            assert found.reshape(-1).tolist() == [min(max(y, -(2**15)), 2**15 - 1) for y in exact]
            assert cuts.tolist() == [[sum(y >= 2**15 for y in exact), sum(y < -(2**15) for y in exact)]]


def test_a_tensor_is_read_by_later_calls_only_and_ids_grow() -> None:
    script = Script()
    x = script.add_import([[k] * 8 for k in range(4)])
    listed = script.add_channels([(0, 2**30, 2**30)] * 4)
    script.add(Descriptor(LINEAR, 1, 4, 4, 0, 4, 0, 0, listed, ALL), x, x)
    with pytest.raises(GuestTrap, match="beyond channel 4 have sums that are not 0"):
        execute(program(script), script.stdin)
    wide = Script()
    x = wide.add_import([[k] * 8 for k in range(4)])
    listed = wide.add_channels([(0, 2**30, 2**30)] * 8)
    y = wide.add(Descriptor(LINEAR, 1, 8, 4, 0, 4, 0, 0, listed, ALL), x, x)
    wide.add(Descriptor(LINEAR, 1, 8, 4, 0, 4, 64, 0, listed, ALL), x, y)
    check(wide)
    ids = [call.id for call in execute(program(wide), wide.stdin).tensor_calls]
    assert all(a < b for a, b in pairwise(ids))


def test_empty_operations() -> None:
    script = Script()
    x = script.add_import([])
    script.add(Descriptor(LINEAR, 0, 5, 7, 3, 1, 3, 1, 3, ALL), x)
    script.add(Descriptor(EXPORT, 0, 8, 0, 3, 1), x, ram=1)
    script.add(Descriptor(LOAD, 0, 1), ram=1)
    script.ram = [5]
    check(script)


@pytest.mark.parametrize("seed", range(3))
def test_kernel_and_reference_interpreter_record_the_same(seed: int) -> None:
    script = random_layer(random.Random(seed), 9, 9, 5)
    wait: list[Item] = [("li", "t6", 9000), ("addi", "t6", "t6", -1), ("bnez", "t6", -4)]  # so that accesses need refreshes
    image = program(script, before=wait)
    fast = execute(image, script.stdin)
    check_memory_bus(fast)
    assert len(fast.refreshes)
    slow = execute(image, script.stdin, runner=run_reference)
    assert outcome(fast) == outcome(slow) == meaning(script)
    assert fast.cycles == slow.cycles
    for one, other in zip(fast.tensor_calls, slow.tensor_calls, strict=True):
        assert all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(TensorCall))
    for name in ("ecalls", "refreshes", "steps"):
        assert np.array_equal(getattr(fast, name), getattr(slow, name))


def test_without_records_the_answers_are_the_same() -> None:
    script = random_layer(random.Random(5), 9, 9, 5)
    image = program(script)
    plain = execute(image, script.stdin, trace=False)
    assert plain.tensor_calls == ()
    assert plain.cycles == execute(image, script.stdin).cycles


def test_a_machine_without_the_call_answers_enosys() -> None:
    script = Script()
    script.add(Descriptor(99))
    execution = execute(program(script, tensors=False))
    assert execution.ecalls["result"][0] == calls.ENOSYS
    assert execution.tensor_calls == ()


@pytest.mark.parametrize("seed", range(20))
def test_moves_maxima_and_functions(seed: int) -> None:
    rng = random.Random(seed)
    check(random_moves(rng, rng.randrange(1, 40), functions=seed % 4 == 0))


def test_the_machine_has_tensor_calls() -> None:
    """One place switches them on, the table of calls; an image for a machine without them is asked for."""
    assert calls.TENSOR in calls.CALLS
    assert program(Script(vectors=[[0] * 8])).tensors is not None
    assert program(Script(vectors=[[0] * 8]), tensors=False).tensors is None


def layer(**words: int) -> Descriptor:
    """A layer that has a proof: one block, two channels, two taps."""
    right = Descriptor(LINEAR, 1, 2, 2, 0, 2, VECTORS, 2, CHANNELS, ALL)
    return right._replace(**words)


def script_of(descriptor: Descriptor, first: int = 0, second: int = CONSTANTS, ram: int = 0) -> Script:
    """A script of one call, after an import of two vectors."""
    channels = [(0, 1, 2**30), (0, -1, 2**30), (0, 1, 2**29), (0, 0, 0)]
    script = Script(vectors=[[1, 2] + [0] * 6] * 2, channels=channels, ram=[7, 2**15] + [0] * 14)
    script.add_import([[1] * 8] * 2)
    script.add(descriptor, first, second, ram)
    return script


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (script_of(Descriptor(0)), "names operation 0, which does not exist"),
        (script_of(Descriptor(16)), "names operation 16, which does not exist"),
        (script_of(Descriptor(IMPORT | 1 << 8)), "names operation 257, which does not exist"),
        (script_of(Descriptor(IMPORT, 1)), "import: the private input ended: 0 bytes are left, and 1 vectors take 16"),
        (script_of(Descriptor(LOAD, 1, 0)), "load: 0 elements of each vector: only 1 or 8"),
        (script_of(Descriptor(LOAD, 1, 9)), "load: 9 elements of each vector: only 1 or 8"),
        (script_of(Descriptor(EXPORT, 1, 7, 0, 0, 1)), "export: 7 elements of each vector"),
        (script_of(Descriptor(LOAD, 1, 1), ram=4), f"the word at 0x{RAM + 4:08x} is 32768, which is no int16"),
        (script_of(Descriptor(LOAD, 1, 1), ram=2), "not aligned to 4 bytes"),
        (script_of(Descriptor(LOAD, 3, 8), ram=HEAP_LIMIT - 16 - RAM), "its 24 words at 0x0f7ffff0 are outside memory at 0x0f800000"),
        (script_of(Descriptor(LOAD, 2**27, 8)), "reach past 2\\^32"),
        (script_of(Descriptor(LOAD, 1, 1), ram=2**32 - 4 - RAM), "outside memory"),
        (script_of(Descriptor(EXPORT, 1, 8, 0, 0, 1), ram=RODATA - RAM), f"its word at 0x{RODATA:08x} is in read-only memory"),
        (script_of(Descriptor(LOAD, 1, 8), ram=RODATA - RAM), f"its word at 0x{RODATA:08x} is in read-only memory"),
        (script_of(Descriptor(LOAD, 1, 4 + 4), ram=VECTORS - RAM), "holds constants that only tensor calls read"),
        (script_of(Descriptor(EXPORT, 3, 8, 0, 0, 1)), "it reads vectors 0 to 2 of tensor"),
        (script_of(Descriptor(EXPORT, 1, 8, 0, 8, 1)), "begins at 0x8, which is not a multiple of 16"),
        (script_of(Descriptor(EXPORT, 1, 8, 0, 32, 1)), "it reads vectors 2 to 2 of tensor"),
        (script_of(Descriptor(EXPORT, 1, 8, 0, VECTORS + 32, 1), CONSTANTS), "of the constant vectors, which has"),
        (script_of(Descriptor(EXPORT, 1, 8, 0, VECTORS - 16, 1), CONSTANTS), "of the constant vectors, which has"),
        (script_of(Descriptor(EXPORT, 1, 8, 0, CHANNELS, 1), CONSTANTS), "of the constant vectors, which has"),
        (script_of(layer(channels=0)), "0 channels: from 1 to 65536"),
        (script_of(layer(channels=2**16 + 1)), "65537 channels: from 1 to 65536"),
        (script_of(layer(bounds=bounds(1, 0))), "the least value of its result, 1, is above the greatest, 0"),
        (script_of(layer(taps=0)), "its sums have no products"),
        (script_of(layer(taps=3)), "it reads vectors 0 to 2 of tensor"),
        (script_of(layer(blocks=2)), "it reads vectors 0 to 3 of tensor"),
        (script_of(layer(blocks=2, x_stride=2**32 - 1)), "it reads vectors 0 to 4294967296 of tensor"),
        (script_of(layer(x=16)), "it reads vectors 1 to 2 of tensor"),
        (script_of(layer(w=VECTORS + 16)), "of the constant vectors, which has"),
        (script_of(layer(w=VECTORS + 4)), "which is not a multiple of 16"),
        (script_of(layer(w=0), 0, 0), "beyond channel 2 have sums that are not 0"),
        (script_of(layer(channel_list=CHANNELS + 8)), "its list of 2 channels at 0x600008 is not in .tensor.channels"),
        (script_of(layer(channel_list=CHANNELS - 16)), "is not in .tensor.channels"),
        (script_of(layer(channel_list=CHANNELS + 48)), "is not in .tensor.channels"),
        (script_of(layer(channel_list=VECTORS)), "is not in .tensor.channels"),
        (script_of(layer(channel_list=CHANNELS + 16)), "channels of its list at 0x600010 have different limits"),
        (script_of(layer(channel_list=CHANNELS + 48, channels=1)), "2 taps times the limit 0 of its multipliers is not between 1 and"),
        (script_of(layer(channels=1)), "beyond channel 1 have sums that are not 0"),
        (script_of(layer(taps=8, x_stride=0)), "it reads vectors 0 to 7"),
    ],
)  # fmt: skip
def test_what_has_no_proof_traps(script: Script, message: str) -> None:
    with pytest.raises(GuestTrap, match=message) as caught:
        execute(program(script), script.stdin)
    assert caught.value.kind in ("tensor_call", "outside_memory")


def test_the_bound_on_taps_times_limit_is_sharp() -> None:
    for limit, allowed in ((2**31 - 1, True), (2**30, True), (2**30 + 1, False)):
        taps = 2 if limit == 2**31 - 1 else 4
        script = Script(vectors=[[1] + [0] * 7] * 4, channels=[(0, 1, limit)])
        x = script.add_import([[1] * 8] * 4)
        script.add(Descriptor(LINEAR, 1, 1, taps, 0, 4, VECTORS, 4, CHANNELS, ALL), x)
        if allowed:
            check(script)
            continue
        with pytest.raises(GuestTrap, match=rf"4 taps times the limit {limit} of its multipliers is not between 1 and 2\^32"):
            execute(program(script), script.stdin)


def call_of(descriptor: Descriptor, a0: int, a1: int, a2: int, *before: Item) -> None:
    """Run one call with these registers."""
    items: list[Item] = [*before, ("la", "a0", a0), ("la", "a1", a1), ("la", "a2", a2), ("li", "t0", 4097), ("mv", "a7", "t0"), ("ecall",)]
    rodata = b"".join(word.to_bytes(4, "little") for word in descriptor)
    vectors, channels = vector_bytes([[1] + [0] * 7] * 2), channel_bytes([(0, 1, 2**30)] * 2)
    execute(image_of(items, rodata, vectors, channels, rodata))


@pytest.mark.parametrize(
    ("registers", "message"),
    [
        ((DATA, 0, 0), f"the descriptor at 0x{DATA:08x} is not in read-only memory"),
        ((RODATA + 2, 0, 0), "is not aligned to 4 bytes"),
        ((0, 0, 0), "the descriptor at 0x00000000 is not in read-only memory"),
        ((2**32 - 4, 0, 0), "is not in read-only memory"),
        ((VECTORS, 0, 0), "is not in read-only memory"),
        ((RODATA, 5, 0), "no call made a tensor with the handle 5"),
        ((RODATA, 8, 0), "operand 8 is no tensor that was made before this call, whose id is 8"),
        ((RODATA, 0, 2**32 - 38), "operand 4294967258 is no tensor that was made before this call"),
    ],
)
def test_registers_that_have_no_proof(registers: tuple[int, int, int], message: str) -> None:
    right = layer(x=VECTORS)
    call_of(right, RODATA, 0, 0)
    with pytest.raises(GuestTrap, match=message):
        call_of(right, *registers)


def test_a_descriptor_at_the_end_of_read_only_memory() -> None:
    """An operation reads the words that it has, and no more."""
    call_of(Descriptor(0, v=IMPORT, steps=0), RODATA + 48, 0, 0)
    for last in (IMPORT, LINEAR):
        with pytest.raises(GuestTrap, match="is not in read-only memory"):
            call_of(Descriptor(0, steps=last), RODATA + 52, 0, 0)


@pytest.mark.parametrize("instruction", ["lw", "lh", "lbu", "sw"])
@pytest.mark.parametrize("address", [VECTORS, CHANNELS + 16])
def test_instructions_do_not_reach_the_constants(instruction: str, address: int) -> None:
    items: list[Item] = [("la", "t0", address), (instruction, "t1", "t0", 0)]
    image = image_of(items, b"", vector_bytes([[1] * 8] * 2), channel_bytes([(0, 1, 1)] * 2), bytes(4))
    with pytest.raises(GuestTrap, match=rf"0x{address:08x}, which is outside memory: it holds constants that only tensor calls read"):
        execute(image)


def test_constants_are_plain_data_without_tensor_calls() -> None:
    items: list[Item] = [("la", "t0", VECTORS), ("lh", "a0", "t0", 18), ("sub", "a0", "a0", "a0")]
    assert execute(image_of(items, b"", vector_bytes([[1] * 8] * 2), b"", bytes(4), tensors=False)).exit_code == 0


def test_more_than_a_proof_holds_is_a_limit() -> None:
    script = script_of(layer(blocks=2**28, x_stride=0))
    with pytest.raises(LimitError, match="a tensor call needs 536870912 rows of one table"):
        execute(program(script), script.stdin)
    script = script_of(layer(blocks=2**20, x_stride=0))
    with pytest.raises(LimitError, match="execution needs"):
        execute(program(script), script.stdin, max_memory=1 << 28)


@pytest.mark.parametrize(("shape", "rows"), [((4, 32, 1 << 14), (0, 1 << 14)), ((4, 32, (1 << 14) - 1), (4 * ((1 << 14) - 1), 0)),
                                             ((9, 65, 1 << 13), ((5 * 5 - 16) << 13, 4 << 13))])  # fmt: skip
def test_rows_of_products(shape: tuple[int, int, int], rows: tuple[int, int]) -> None:
    """Of a layer's single tiles and of its fours, which only large layers have."""
    blocks, channels, taps = shape
    assert Descriptor(tensors.LINEAR, blocks, channels, taps).product_rows == rows
    assert Descriptor(tensors.MAXIMUM, blocks, channels, taps).wide is False


def test_room_for_products_is_that_of_their_tables() -> None:
    """A layer with 2^28 taps of single tiles and more, a fourth in tables of fours: it is not its products that do not fit."""
    script = script_of(layer(blocks=2**15, x_stride=0, channels=64, taps=1 << 12))
    with pytest.raises(LimitError, match="execution needs"):
        execute(program(script), script.stdin, max_memory=1 << 28)
    script = script_of(layer(blocks=2**15, x_stride=0, channels=32, taps=1 << 16))
    with pytest.raises(LimitError, match="a tensor call needs 536870912 rows of one table"):
        execute(program(script), script.stdin)


def test_operations_have_names_and_words() -> None:
    assert set(tensors.NAMES) == set(tensors.WORDS)
    assert max(tensors.WORDS.values()) == len(Descriptor._fields)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in tensors.NAMES.values())


def test_random_scripts_agree_with_themselves_in_parts() -> None:
    """A layer of 33 positions is five layers of 8: each block is computed by itself."""
    rng = random.Random(7)
    x, w = random_vectors(rng, 5 * 6), random_vectors(rng, 6)
    channels = [(1, 2**20, 2**20)] * 8
    whole = Script(channels=channels)
    operands = whole.add_import(x), whole.add_import(w)
    whole.add(Descriptor(LINEAR, 5, 8, 6, 0, 6, 0, 6, CHANNELS, ALL), *operands)
    parts = Script(channels=channels)
    operands = parts.add_import(x), parts.add_import(w)
    for block in range(5):
        parts.add(Descriptor(LINEAR, 1, 8, 6, 16 * 6 * block, 0, 0, 0, CHANNELS, ALL), *operands)
    one, several = (outcome(execute(program(script), script.stdin))[0][2:] for script in (whole, parts))
    assert one[0] == [vector for part in several for vector in part]
