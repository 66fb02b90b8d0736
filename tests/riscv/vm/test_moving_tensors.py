"""Tensor calls that gather, compare and look functions up, in the executor: everything that traps, with its message; edges."""

from __future__ import annotations

import struct

import pytest

from tests.riscv.vm.tensor_programs import (
    CONSTANTS,
    FUNCTIONS,
    PATTERNS,
    RODATA,
    VECTORS,
    Script,
    image_of_segments,
    meaning,
    outcome,
    program,
)
from tests.sample_moves import of_second
from zkvm.errors import GuestTrap, LimitError
from zkvm.riscv.isa.calls import TENSOR
from zkvm.riscv.isa.tensors import APPLY, EXPORT, GATHER, INT16_OFFSET, MAXIMUM, Descriptor
from zkvm.riscv.vm.assemble import Item
from zkvm.riscv.vm.executor import execute

ROWS = [[1, 2, 3, 4, 5, 6, 7, 16], of_second(1, 2, 3, 4, 5, 6, 7, 8), [0] * 8, of_second(*[0] * 8)]
ENTRIES = [x * x for x in range(-8, 8)]
FUNCTION = FUNCTIONS - 2 * (INT16_OFFSET - 8)
"""Where entries of -8 to 7 are those of a function."""


def script_of(descriptor: Descriptor, first: int = 0, second: int = CONSTANTS) -> Script:
    """Imports of two vectors and of none, one constant vector, and the call; its operands are those of the imports."""
    script = Script(vectors=[[9, -9, 0, 0, 0, 0, 0, 0]], entries=list(ENTRIES), patterns=ROWS)
    script.add_import([list(range(-8, 0)), list(range(8))])
    script.add_import([])
    script.add(descriptor, first, second)
    return script


def gather(rows: int = 1, at: int = PATTERNS) -> Descriptor:
    return Descriptor(GATHER, rows, channel_list=at)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (script_of(gather(at=PATTERNS + 16)), "gather: its pattern of 1 rows at 0x680010 is not in .tensor.patterns"),
        (script_of(gather(at=PATTERNS - 32)), "its pattern of 1 rows at 0x67ffe0 is not in"),
        (script_of(gather(5)), "its pattern of 5 rows at 0x680000 is not in"),
        (script_of(gather(2, PATTERNS + 96)), "its pattern of 2 rows at 0x680060 is not in"),
        (script_of(gather(at=0)), "its pattern of 1 rows at 0x0 is not in"),
        (script_of(gather(at=VECTORS)), "its pattern of 1 rows at 0x500000 is not in"),
        (script_of(gather(), first=1), "its first operand, tensor .*, has no elements"),
        (script_of(gather(2), second=1), "its second operand, tensor .*, has no elements"),
        (script_of(gather(1, PATTERNS + 64), first=1), "its first operand, tensor .*, has no elements"),
        (script_of(gather(4), second=1), "its second operand, tensor .*, has no elements"),
        (
            script_of(gather(), first=CONSTANTS),
            r"its pattern takes lane 0 of vector 0 of the constant vectors, which has \[327680, ",
        ),
        (script_of(Descriptor(MAXIMUM, 1, x_stride=1)), "maximum: it compares no vectors"),
        (script_of(Descriptor(MAXIMUM, 1, taps=3, x_stride=1, w_stride=1)), "it reads vectors 0 to 2 of tensor"),
        (script_of(Descriptor(MAXIMUM, 2, taps=2, x_stride=1, w_stride=1)), "it reads vectors 0 to 2 of tensor"),
        (script_of(Descriptor(MAXIMUM, 2, taps=1, x_stride=2**32 - 1)), "it reads vectors 0 to 4294967295 of tensor"),
        (script_of(Descriptor(MAXIMUM, 1, taps=2, w_stride=2**32 - 1)), "it reads vectors 0 to 4294967295 of tensor"),
        (script_of(Descriptor(MAXIMUM, 1, taps=1, x=8)), "begins at 0x8, which is not a multiple of 16"),
        (script_of(Descriptor(MAXIMUM, 1, taps=1), first=1), "it reads vectors 0 to 0 of tensor"),
        (script_of(Descriptor(APPLY, 1, x_stride=1, channel_list=FUNCTION + 1)), "apply: its function at 0x6f0011 is not aligned to 2"),
        (script_of(Descriptor(APPLY, 1, x_stride=1, channel_list=FUNCTION - 2)), "the entry for -8 of its function"),
        (script_of(Descriptor(APPLY, 2, x_stride=1, channel_list=FUNCTION + 2)), "the entry for 7 of its function at 0x6f0012 is not in"),
        (script_of(Descriptor(APPLY, 2, x_stride=1, channel_list=FUNCTION - 2)), "the entry for -8 of its function at 0x6f000e is not in"),
        (script_of(Descriptor(APPLY, 1, x_stride=1)), "the entry for -8 of its function at 0x0 is not in .tensor.functions"),
        (script_of(Descriptor(APPLY, 1, x=4, channel_list=FUNCTION)), "begins at 0x4, which is not a multiple of 16"),
        (script_of(Descriptor(APPLY, 3, x_stride=1, channel_list=FUNCTION)), "it reads vectors 0 to 2 of tensor"),
    ],
)
def test_what_has_no_proof_traps(script: Script, message: str) -> None:
    with pytest.raises(GuestTrap, match=message) as caught:
        execute(program(script), script.stdin)
    assert caught.value.kind == "tensor_call"


def call_of(descriptor: Descriptor, first: int, second: int) -> None:
    """Run one call with these handles; its id is 7."""
    items: list[Item] = [("la", "a0", RODATA), ("li", "a1", first), ("li", "a2", second), ("li", "a7", TENSOR.number), ("ecall",)]
    constants = Script(vectors=[[0] * 8], patterns=[[0] * 8], entries=list(ENTRIES)).constants
    execute(image_of_segments(items, [(RODATA, struct.pack("<14I", *descriptor), 0), *constants]))


OPERATIONS = [gather(), Descriptor(MAXIMUM, 1, taps=1, x=VECTORS), Descriptor(APPLY, 1, x=VECTORS, channel_list=FUNCTION)]


@pytest.mark.parametrize("descriptor", [own._replace(blocks=blocks) for own in OPERATIONS for blocks in (0, 1)])
def test_operands_are_earlier(descriptor: Descriptor) -> None:
    """Also those of calls that read nothing, and a second one that no row of the pattern takes elements of."""
    call_of(descriptor, 0, 0)
    for handle in (7, 8, 2**11 - 1):
        with pytest.raises(GuestTrap, match=f"operand {handle} is no tensor that was made before this call, whose id is 7"):
            call_of(descriptor, handle, 0)
        if descriptor.operation != GATHER:
            call_of(descriptor, 0, handle)
            continue
        with pytest.raises(GuestTrap, match=f"operand {handle} is no tensor that was made before this call, whose id is 7"):
            call_of(descriptor, 0, handle)


@pytest.mark.parametrize("descriptor", OPERATIONS)
def test_operands_that_no_call_made(descriptor: Descriptor) -> None:
    with pytest.raises(GuestTrap, match="no call made a tensor with the handle 5"):
        call_of(descriptor, 5, 0)
    call_of(descriptor._replace(blocks=0), 5, 5)
    call_of(descriptor, 0, 5)  # of a second operand nothing is taken


def test_more_than_a_proof_holds_is_a_limit() -> None:
    for descriptor in (
        gather(2**28 + 1),
        Descriptor(MAXIMUM, 2**14, taps=2**14 + 1),
        Descriptor(MAXIMUM, 1, taps=2**28 + 1),
        Descriptor(APPLY, 2**28 + 1, channel_list=FUNCTION),
    ):
        script = script_of(descriptor)
        with pytest.raises(LimitError, match="a tensor call needs [0-9]+ rows of one table"):
            execute(program(script), script.stdin)


def test_empty_operations() -> None:
    """They read nothing, whatever else their descriptors say."""
    script = script_of(gather(0, 7))
    script.add(Descriptor(MAXIMUM, 0, 0, 0, 3, 1, 0, 1), 0)
    script.add(Descriptor(MAXIMUM, 0, 0, 2**32 - 1, 3, 2**32 - 1, 0, 2**32 - 1), 1)
    script.add(Descriptor(APPLY, 0, x=5, channel_list=1), 1)
    assert outcome(execute(program(script), script.stdin))[0] == meaning(script)[0]


def test_constants_as_operands_and_entries_of_extremes() -> None:
    """Elements of constant vectors by the address of the vector; a function's first and last entry."""
    script = Script(vectors=[[-(2**15), 2**15 - 1, 1, 2, 3, 4, 5, 6], [7] * 8])
    place = 1 + 8 * (VECTORS // 16)
    x = script.add(Descriptor(GATHER, 2, channel_list=script.add_pattern([[place, place + 15, 0, *[place + 1] * 5], of_second(*[0] * 8)])))
    function = script.add_function([-k for k in range(2**15)] + [k // 2 for k in range(2**15)])
    script.add(Descriptor(APPLY, 2, x=VECTORS, x_stride=1, channel_list=function))
    script.add(Descriptor(MAXIMUM, 2, 0, 2, VECTORS, 0, 0, 1))
    script.ram = [0] * 16
    script.add(Descriptor(EXPORT, 2, 8, 0, 0, 1), x)
    execution = execute(program(script), script.stdin)
    made = [call.vectors.tolist() for call in execution.tensor_calls]
    assert made[0] == [[-(2**15), 7, 0, *[2**15 - 1] * 5], [0] * 8]
    assert made[1] == [[0, 2**14 - 1, 0, 1, 1, 2, 2, 3], [3] * 8]
    assert made[2] == [[7, 2**15 - 1, 7, 7, 7, 7, 7, 7]] * 2
