"""Segments of constants of tensor calls: how they are read, and which are refused, with or without the calls."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from tests.riscv.vm.elf_files import EXECUTE, READ, TEXT, WRITE, ElfSpec, Header, code
from zkvm.errors import ElfError
from zkvm.guest.toolchain import LINKER_SCRIPT
from zkvm.riscv.vm.constants import CHANNELS, NAMES, VECTORS
from zkvm.riscv.vm.elf import KIND_SHIFT, load_image

GOOD = Header(TEXT, code(), READ | EXECUTE)
VECTORS_AT, CHANNELS_AT = 0x2_0000, 0x3_0000


def channel(bias: int = 0, multiplier: int = 1, limit: int = 1) -> bytes:
    return struct.pack("<qiI", bias, multiplier, limit)


def vectors(data: bytes = bytes(range(32)), address: int = VECTORS_AT, flags: int = READ, size: int | None = None) -> Header:
    return Header(address, data, flags | VECTORS << KIND_SHIFT, size)


def channels(data: bytes) -> Header:
    return Header(CHANNELS_AT, data, READ | CHANNELS << KIND_SHIFT)


def test_constants_become_arrays() -> None:
    row = struct.pack("<8h", -(2**15), 2**15 - 1, 0, 1, -1, 2, 3, 4)
    listed = channel(-(2**48) + 1, 2**13, 2**31 - 1) + channel(2**30, -(2**31) + 1, 2**31 - 1) + channel(0, 0, 0)
    image = load_image(ElfSpec([GOOD, vectors(bytes(16) + row), channels(listed)]).build(), tensors=True)
    constants = image.tensors
    assert constants is not None
    assert (constants.first_vector, constants.first_channel) == (VECTORS_AT // 16, CHANNELS_AT // 16)
    assert constants.vectors.tolist() == [[0] * 8, [-(2**15), 2**15 - 1, 0, 1, -1, 2, 3, 4]]
    assert constants.channels.tolist() == [(-(2**48) + 1, 2**13, 2**31 - 1), (2**30, -(2**31) + 1, 2**31 - 1), (0, 0, 0)]
    assert not np.any(np.isin(image.rom_address // 0x1_0000, [VECTORS_AT // 0x1_0000, CHANNELS_AT // 0x1_0000]))
    assert all(map(constants.holds, (VECTORS_AT, VECTORS_AT + 31, CHANNELS_AT, CHANNELS_AT + 47)))
    assert not any(map(constants.holds, (VECTORS_AT - 1, VECTORS_AT + 32, CHANNELS_AT - 1, CHANNELS_AT + 48)))


def test_without_tensor_calls_they_are_read_only_data() -> None:
    file = ElfSpec([GOOD, vectors()]).build()
    marked, plain = load_image(file, tensors=False), load_image(ElfSpec([GOOD, replace(vectors(), flags=READ)]).build())
    assert marked.tensors is None
    assert np.array_equal(marked.rom_address, plain.rom_address)
    assert np.array_equal(marked.rom_value, plain.rom_value)


def test_the_content_id_has_kind_and_data() -> None:
    specs = [
        [GOOD, vectors()],
        [GOOD, replace(vectors(), flags=READ)],
        [GOOD, replace(vectors(), flags=READ | CHANNELS << KIND_SHIFT, data=channel() * 2)],
        [GOOD, vectors(channel() * 2)],
        [GOOD, vectors(address=VECTORS_AT + 16)],
    ]
    ids = [[load_image(ElfSpec(spec).build(), tensors=tensors).content_id for tensors in (False, True)] for spec in specs]
    assert all(with_calls == without for without, with_calls in ids)
    assert len({one for one, _ in ids}) == len(specs)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        (vectors(address=VECTORS_AT + 8), "must be multiples of 16"),
        (vectors(bytes(24)), "must be multiples of 16"),
        (vectors(bytes(16), size=32), "the file has only 16 of its 32 bytes"),
        (vectors(flags=READ | WRITE), "holds .tensor.vectors and is not only readable"),
        (vectors(flags=READ | EXECUTE), "holds .tensor.vectors and is not only readable"),
        (vectors(address=TEXT), "overlap"),
        (vectors(address=0), "outside the memory"),
        (replace(vectors(), flags=READ | 5 << KIND_SHIFT), "marked as constants of kind 5, which this machine does not know"),
        (replace(vectors(), flags=READ | 0xFF << KIND_SHIFT), "marked as constants of kind 255"),
        (channels(channel() + bytes(8)), "must be multiples of 16"),
        (channels(channel() + channel(multiplier=2)), r"the channel at 0x30010 .*bias 0, multiplier 2, limit 1\) has a multiplier"),
        (channels(channel(multiplier=-2)), "a multiplier above its limit"),
        (channels(channel(multiplier=-(2**31), limit=2**31)), "a limit above 2147483647"),
        (channels(channel(multiplier=-(2**31), limit=2**31 - 1)), "a multiplier above its limit"),
        (channels(channel(limit=2**32 - 1)), "a limit above 2147483647"),
        (channels(channel(bias=2**48)), r"a bias of 2\^48 or more"),
        (channels(channel(bias=-(2**48))), r"a bias of 2\^48 or more"),
        (channels(channel(bias=-(2**63), multiplier=0)), r"a bias of 2\^48 or more"),
        (channels(channel(bias=2**47, multiplier=2**14 + 1, limit=2**15)), r"product with the multiplier is above 2\^61"),
        (channels(channel(bias=-(2**30) - 1, multiplier=-(2**31) + 1, limit=2**31 - 1)), r"product with the multiplier is above 2\^61"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tensors", [False, True])
def test_refused(segment: Header, message: str, tensors: bool) -> None:
    with pytest.raises(ElfError, match=message):
        load_image(ElfSpec([GOOD, segment]).build(), tensors=tensors)


def test_two_segments_of_a_kind_are_refused() -> None:
    with pytest.raises(ElfError, match="is a second one of .tensor.vectors"):
        load_image(ElfSpec([GOOD, vectors(), vectors(address=VECTORS_AT + 0x100)]).build())


def test_a_product_of_bias_and_multiplier_at_its_bound() -> None:
    load_image(ElfSpec([GOOD, channels(channel(bias=2**47, multiplier=2**14, limit=2**14))]).build())


def test_the_linker_script_has_the_same_marks() -> None:
    script = LINKER_SCRIPT.read_text()
    for kind, name in NAMES.items():
        header = name.removeprefix(".").replace(".", "_")
        assert f"{header} PT_LOAD FLAGS(0x{kind << KIND_SHIFT | READ:x});" in script
        assert f"{name} : {{ *({name} {name}.*) }} :{header}" in script
