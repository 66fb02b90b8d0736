"""Tensor calls of compiled guests: in C, under the executor and the emulator, and as calls: the same bits."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import compiled, needs_compiler
from tests.riscv.vm.combining_programs import random_elementwise
from tests.riscv.vm.depthwise_programs import random_depthwise
from tests.riscv.vm.digest_programs import random_digested, with_digest
from tests.riscv.vm.random_tensors import private_extremes, random_layer, random_moves, random_vectors
from tests.riscv.vm.tensor_programs import (
    CHANNELS,
    FUNCTIONS,
    VECTORS,
    Script,
    bounds,
    meaning,
    outcome,
    program,
    script_input,
    script_outcome,
)
from tools.emulator import emulate
from zkvm.errors import GuestTrap, LimitError
from zkvm.guest.library import INCLUDE
from zkvm.guest.toolchain import build
from zkvm.riscv.isa import calls, tensors
from zkvm.riscv.isa.tensors import (
    COMBINE,
    DEPTHWISE,
    DIGEST,
    DIGESTED,
    EXPORT,
    IMPORT,
    LINEAR,
    LOAD,
    MAXIMUM,
    MULTIPLY,
    RELATIVE,
    SCALED,
    SCALED_DEPTHWISE,
    Descriptor,
)
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

pytestmark = needs_compiler
SOURCE = Path(__file__).with_name("tensor_script.c")
HEADER = (INCLUDE / "zkvm_tensor.h").read_text()


@pytest.fixture(scope="module")
def script_guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    warnings: list[str] = []
    elf = build([SOURCE], tmp_path_factory.mktemp("tensors") / "script.elf", warn=warnings.append)
    assert warnings == []
    return elf


@pytest.mark.parametrize("size", range(1, 34))
def test_every_opinion_is_the_same(script_guest: Path, size: int) -> None:
    """Plain integers, the executor's calls, the C code under the executor and under the emulator, on layers of each size."""
    rng = random.Random(100 + size)
    image = load_image(script_guest.read_bytes(), tensors=False)
    for positions, channels in ((size, rng.randrange(1, 34)), (rng.randrange(1, 34), size)):
        script = random_layer(rng, positions, channels, rng.randrange(1, 12))
        expected = meaning(script)
        called = execute(program(script), script.stdin)
        assert outcome(called) == expected
        in_c = execute(image, script_input(script), trace=False)
        assert in_c.exit_code == 0, in_c.stderr
        assert script_outcome(script, in_c.journal) == expected
        emulated = emulate(script_guest, script_input(script))
        assert emulated.journal == in_c.journal


@pytest.mark.parametrize("seed", range(24))
def test_other_calls_in_c(script_guest: Path, seed: int) -> None:
    """Gathers, maxima and functions, and elementwise products, likewise."""
    rng = random.Random(seed)
    if seed % 2:
        script = random_elementwise(rng, rng.randrange(1, 4), rng.randrange(1, 10))
    else:
        script = random_moves(rng, rng.randrange(1, 40), functions=seed % 4 == 0)
    image = load_image(script_guest.read_bytes(), tensors=False)
    in_c = execute(image, script_input(script), trace=False)
    assert in_c.exit_code == 0, in_c.stderr
    assert script_outcome(script, in_c.journal) == meaning(script) == outcome(execute(program(script), script.stdin))
    assert emulate(script_guest, script_input(script)).journal == in_c.journal


@pytest.mark.parametrize("seed", range(12))
def test_windows_in_c(script_guest: Path, seed: int) -> None:
    """Sums over windows of one channel, with constant channels and with vectors of their own."""
    rng = random.Random(seed)
    script = random_depthwise(rng, rng.randrange(1, 5), rng.randrange(1, 8), rng.randrange(1, 4))
    image = load_image(script_guest.read_bytes(), tensors=False)
    in_c = execute(image, script_input(script), trace=False)
    assert in_c.exit_code == 0, in_c.stderr
    assert script_outcome(script, in_c.journal) == meaning(script) == outcome(execute(program(script), script.stdin))
    assert emulate(script_guest, script_input(script)).journal == in_c.journal


def test_many_taps_in_c(script_guest: Path) -> None:
    """Sums and scaled sums at their bounds."""
    image = load_image(script_guest.read_bytes(), tensors=False)
    for taps, limit in ((2, 2**31 - 1), (4, 2**30), (1024, 2**22)):
        most = min(2**48 - 1, 2**61 // limit)
        script = Script()
        script.vectors = [[-(2**15), 2**15 - 1] + [0] * 6] * taps
        script.channels = [(most, limit, limit), (most, -limit, limit)]
        x = script.add_import([[-(2**15), 2**15 - 1, 0, 1, -1, 2, -2, 3]] * taps)
        script.add(Descriptor(LINEAR, 1, 2, taps, 0, taps, VECTORS, taps, CHANNELS, bounds(-(2**15), 2**15 - 1)), x)
        assert script_outcome(script, execute(image, script_input(script), trace=False).journal) == meaning(script)
        assert outcome(execute(program(script), script.stdin)) == meaning(script)


@pytest.mark.parametrize(("taps", "limit"), [(8, 2**29), (512, 2**23), (2, 2**15)])
def test_private_channels_at_their_bounds_in_c(script_guest: Path, taps: int, limit: int) -> None:
    script = private_extremes(taps, limit)
    seen = execute(load_image(script_guest.read_bytes(), tensors=False), script_input(script), trace=False)
    assert script_outcome(script, seen.journal) == meaning(script) == outcome(execute(program(script), script.stdin))


@pytest.mark.parametrize(
    ("descriptor", "message"),
    [
        (Descriptor(IMPORT, 2**27), "a tensor has too many vectors"),
        (Descriptor(IMPORT, 3), "the input ended early"),
        (Descriptor(LOAD, 1, 2), "1 or 8 elements of a vector have words"),
        (Descriptor(LOAD, 1, 8), "a number is no int16"),
        (Descriptor(EXPORT, 1, 8, 0, 24, 1), "an operand does not begin at a vector"),
        (Descriptor(EXPORT, 3, 8, 0, 0, 1), "an operand has too few vectors"),
        (Descriptor(LINEAR, 1, 0, 2, 0, 2, VECTORS, 2, CHANNELS), "a layer has 1 to 2^16 channels"),
        (Descriptor(LINEAR, 1, 1, 2, 0, 2, VECTORS, 2, CHANNELS, bounds(1, 0)), "the bounds of a layer are exchanged"),
        (Descriptor(LINEAR, 1, 1, 0, 0, 2, VECTORS, 2, CHANNELS), "a layer has no taps"),
        (Descriptor(LINEAR, 1, 1, 3, 0, 2, VECTORS, 2, CHANNELS), "an operand has too few vectors"),
        (Descriptor(LINEAR, 1, 2, 2, 0, 2, VECTORS, 2, CHANNELS), "the channels of a list have different limits"),
        (Descriptor(LINEAR, 1, 1, 2, 0, 2, VECTORS, 2, CHANNELS + 32), "taps times limit is not between 1 and 2^32"),
        (Descriptor(LINEAR, 1, 1, 5, 0, 0, VECTORS, 0, CHANNELS), "an operand has too few vectors"),
        (Descriptor(LINEAR, 2**31, 1, 1, 0, 0, VECTORS, 2, CHANNELS + 16), "a tensor has too many vectors"),
        (Descriptor(DEPTHWISE, 2, 0, 1, 0, 0, VECTORS, 0, CHANNELS), "a layer has 1 to 2^16 channels"),
        (Descriptor(DEPTHWISE, 2, 1, 0, 0, 0, VECTORS, 0, CHANNELS), "a channel has 1 to 2^16 windows"),
        (Descriptor(DEPTHWISE, 1, 1, 1, 0, 0, VECTORS, 0, CHANNELS), "blocks are made by twos"),
        (Descriptor(DEPTHWISE, 2, 1, 1, 0, 0, VECTORS, 0, CHANNELS), "an operand has too few vectors"),
        (Descriptor(DEPTHWISE, 2, 1, 1, 8, 0, VECTORS, 0, CHANNELS), "an operand does not begin at a vector"),
        (Descriptor(DIGESTED, 0, 1), "a digested import has no row of int16"),
        (Descriptor(DIGESTED, 2**27, 0), "a tensor has too many vectors"),
        (Descriptor(DIGESTED, 1, 2**25), "a tensor has too many vectors"),
        (Descriptor(SCALED_DEPTHWISE, 0, 1, 1, 0, 0, VECTORS, 0, 0, 0, 2**29, 0), "taps times limit is not between 1 and 2^32"),
    ],
)
def test_the_c_code_panics_where_it_looks(script_guest: Path, descriptor: Descriptor, message: str) -> None:
    script = Script(vectors=[[1] + [0] * 7] * 2, channels=[(0, 1, 2**30), (0, 1, 1), (0, 0, 0)], ram=[2**15] * 8)
    x = script.add_import([[1] * 8] * 2)
    script.add(descriptor, x)
    stdin = script_input(Script(script.steps[:1], script.vectors, script.channels, script.ram, script.imported))
    step = script_input(Script(script.steps[1:], [], [], [], [[]]))[36:]
    seen = execute(load_image(script_guest.read_bytes(), tensors=False), stdin + step, trace=False)
    assert (seen.exit_code, seen.stderr.decode()) == (1, f"{message}\n")


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_the_c_code_compares_digests(script_guest: Path, rows: int) -> None:
    """A right one passes, and one that is wrong in any lane, or of a row more, does not."""
    honest = with_digest(random_vectors(random.Random(rows), 3 * rows))
    for lane in (None, *range(8 * len(honest) - 16, 8 * len(honest)), *([0, 23] if rows else [])):
        vectors = [list(vector) for vector in honest]
        if lane is not None:
            vectors[lane // 8][lane % 8] ^= 1
        script = Script()
        script.add(Descriptor(DIGEST, rows), script.add_import(vectors))
        seen = execute(load_image(script_guest.read_bytes(), tensors=False), script_input(script), trace=False)
        said = "" if lane is None else "vectors are not the digest of those before them\n"
        assert (seen.exit_code, seen.stderr.decode()) == (lane is not None, said)


@pytest.mark.parametrize(("rows", "byte_rows"), [(1, 0), (1, 1), (3, 5)])
def test_digested_imports_in_c(script_guest: Path, rows: int, byte_rows: int) -> None:
    script = random_digested(random.Random(rows), rows, byte_rows)
    seen = execute(load_image(script_guest.read_bytes(), tensors=False), script_input(script), trace=False)
    assert script_outcome(script, seen.journal) == meaning(script) == outcome(execute(program(script), script.stdin))


@pytest.mark.parametrize("operation", [COMBINE, MULTIPLY])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": 0}, "a layer has 1 to 2^16 channels"),
        ({"channels": 2**16 + 1}, "a layer has 1 to 2^16 channels"),
        ({"bounds": bounds(1, 1) - 2**16}, "the bounds of a layer are exchanged"),
        ({"steps": 4}, "steps that mean nothing"),
        ({"blocks": 2**31, "channels": 2}, "a tensor has too many vectors"),
        ({"x": 24}, "an operand does not begin at a vector"),
        ({"x": 16}, "an operand has too few vectors"),
        ({"x_stride": 3}, "an operand has too few vectors"),
        ({"y_stride": 2**32 - 1}, "an operand has too few vectors"),
        ({"y": 16}, "an operand has too few vectors"),
        ({"w": 8}, "an operand does not begin at a vector"),
        ({"v": 8}, "an operand does not begin at a vector"),
        ({"channels": 1, "steps": 0, "channel_list": CHANNELS + 16}, "taps times limit is not between 1 and 2^32"),
        ({"channel_list": CHANNELS + 16}, "the channels of a list have different limits"),
        ({"taps": 4}, "taps times limit is not between 1 and 2^32"),
        ({"taps": 2**32 - 1}, "taps times limit is not between 1 and 2^32"),
    ],
)
def test_the_c_code_panics_in_elementwise_calls(script_guest: Path, operation: int, changed: dict[str, int], message: str) -> None:
    """What it looks at is refused by the executor's calls as well."""
    script = Script(vectors=[[2] * 8] * 4, channels=[(0, 1, 2**30), (0, 0, 0), (0, 1, 2**30), (0, 1, 2**30)])
    x = script.add_import([[1] * 8] * 4)
    start = VECTORS if operation == COMBINE else 0
    words = Descriptor(operation, 2, 2, 1, 0, 2, start, 2, CHANNELS + 32, bounds(-9, 9), 0, 2, start, 3)
    changed = {name: value + start * (name in "wv") for name, value in changed.items()}
    script.add(words._replace(**changed), x, x)
    seen = execute(load_image(script_guest.read_bytes(), tensors=False), script_input(script), trace=False)
    assert (seen.exit_code, seen.stderr.decode()) == (1, f"{message}\n")
    with pytest.raises((GuestTrap, LimitError)):
        execute(program(script), script.stdin)


MAXIMA = Descriptor(MAXIMUM, 2, 0, 2, 0, 2, 0, 1)
RELATIVES = Descriptor(RELATIVE, 2, 2, 0, 0, 1, 0, 0, FUNCTIONS)
PRIVATE = Descriptor(SCALED, 2, 2, 2, 0, 1, 0, 0, 32, bounds(-9, 9), 2**29)
PRIVATE_WINDOWS = Descriptor(SCALED_DEPTHWISE, 2, 1, 1, 0, 0, 0, 0, 32, bounds(-9, 9), 2**28, 0)


@pytest.mark.parametrize(
    ("words", "changed", "message"),
    [
        (MAXIMA, {"blocks": 2**27}, "a tensor has too many vectors"),
        (MAXIMA, {"taps": 0}, "a maximum of no vectors"),
        (MAXIMA, {"x": 8}, "an operand does not begin at a vector"),
        (MAXIMA, {"x": 32}, "an operand has too few vectors"),
        (MAXIMA, {"taps": 4}, "an operand has too few vectors"),
        (MAXIMA, {"w_stride": 2**32 - 1}, "an operand has too few vectors"),
        (MAXIMA, {"x_stride": 2**32 - 1}, "an operand has too few vectors"),
        (RELATIVES, {"channels": 0}, "blocks have no channels"),
        (RELATIVES, {"blocks": 2**31}, "a tensor has too many vectors"),
        (RELATIVES, {"x": 24}, "an operand does not begin at a vector"),
        (RELATIVES, {"w": 24}, "an operand does not begin at a vector"),
        (RELATIVES, {"x_stride": 2}, "an operand has too few vectors"),
        (RELATIVES, {"w": 64}, "an operand has too few vectors"),
        *(
            case
            for private in (PRIVATE, PRIVATE_WINDOWS)
            for case in (
                (private, {"y": private.y - 1}, "a limit that channels in vectors have not"),
                (private, {"y": 2**14}, "a limit that channels in vectors have not"),
                (private, {"y": 2**32 - 1}, "taps times limit is not between 1 and 2^32"),
                (private, {"y": 0}, "taps times limit is not between 1 and 2^32"),
                (private, {"channel_list": 80 - 16 * private.channels}, "a channel's vector has more than three lanes"),
                (private, {"channel_list": 40}, "an operand does not begin at a vector"),
                (private, {"channel_list": 80}, "an operand has too few vectors"),
                (private, {"bounds": bounds(1, 1) - 2**16}, "the bounds of a layer are exchanged"),
            )
        ),
        (PRIVATE, {"taps": 0}, "a layer has no taps"),
    ],
)
def test_the_c_code_panics_in_other_calls(script_guest: Path, words: Descriptor, changed: dict[str, int], message: str) -> None:
    """Maxima, functions of differences, channels in vectors: what it looks at is refused by the executor's calls as well."""
    script = Script(entries=[0] * 2**17)
    x = script.add_import([[1, 1] + [0] * 6] * 2 + [[1, 0, 1] + [0] * 5] * 2 + [[1] * 8])
    honest = Script(list(script.steps), entries=script.entries, imported=script.imported)
    honest.add(words, x, x)
    script.add(words._replace(**changed), x, x)
    image = load_image(script_guest.read_bytes(), tensors=False)
    for own, ending in ((honest, (0, "")), (script, (1, f"{message}\n"))):
        seen = execute(image, script_input(own), trace=False)
        assert (seen.exit_code, seen.stderr.decode()) == ending
    assert outcome(execute(program(honest), honest.stdin)) == meaning(honest)
    with pytest.raises((GuestTrap, LimitError)):
        execute(program(script), script.stdin)


def example() -> str:
    """The program in the header's first comment."""
    comment = HEADER.split("*/")[0]
    lines = re.findall(r"^ \* {5}(.*)$", comment, re.MULTILINE)
    assert lines[0] == "#include <zkvm_tensor.h>"
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["main.c", "main.cpp"])
def test_the_example_of_the_header(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(example())
    warnings: list[str] = []
    elf = build([tmp_path / name], tmp_path / "guest.elf", warn=warnings.append)
    assert warnings == []
    file = elf.read_bytes()
    x = np.array([[100, 1, 2, 3, 4, 5, 6, 7], [-200] * 8], "<i2")
    scores = np.array([225, 0, 113], "<i4").tobytes()
    called = execute(load_image(file, tensors=True), x.tobytes())
    in_c = execute(load_image(file, tensors=False), x.tobytes())
    assert called.journal == in_c.journal == emulate(elf, x.tobytes()).journal == scores
    assert [call.descriptor.operation for call in called.tensor_calls] == [IMPORT, LINEAR, EXPORT]
    assert called.cycles < 110 < in_c.cycles
    assert load_image(file, tensors=True).content_id == load_image(file, tensors=False).content_id


NETWORK = """
#include <zkvm_tensor.h>
static const zkvm_import read_image = ZKVM_IMPORT(.vectors = 20);
ZKVM_VECTORS(first_weights) = {
    {WEIGHTS(1)}, {WEIGHTS(2)}, {WEIGHTS(3)}, {WEIGHTS(4)}, {WEIGHTS(5)},
    {WEIGHTS(-1)}, {WEIGHTS(-2)}, {WEIGHTS(-3)}, {WEIGHTS(-4)}, {WEIGHTS(-5)},
};
ZKVM_CHANNELS(first_channels) = { SIXTEEN({100, 1 << 16, 1 << 29}) };
static const zkvm_linear first = ZKVM_LINEAR(.blocks = ZKVM_BLOCKS(25), .channels = 16, .taps = 5, .x_stride = 5,
    .w = ZKVM_AT(first_weights), .w_stride = 5, .channel_list = ZKVM_AT(first_channels), .bounds = ZKVM_BOUNDS(0, 32767));
/* Products of two tensors: each position with each of the 24 positions of the first three blocks. */
ZKVM_CHANNELS(second_channels) = { SIXTEEN({-7, 1 << 14, 1 << 20}), EIGHT({7, -(1 << 13), 1 << 20}) };
static const zkvm_linear second = ZKVM_LINEAR(.blocks = 4, .channels = 24, .taps = 16, .x_stride = 16, .w = 0, .w_stride = 16,
    .channel_list = ZKVM_AT(second_channels), .bounds = ZKVM_BOUNDS(-32768, 32767));
static const zkvm_export all = ZKVM_EXPORT(.vectors = 96, .words = 8, .x_stride = 1);
static const zkvm_export heads = ZKVM_EXPORT(.vectors = 3, .words = 1, .x = 16, .x_stride = 24);
static const zkvm_load back = ZKVM_LOAD(.vectors = 96, .words = 8);
static const zkvm_load flat = ZKVM_LOAD(.vectors = 4, .words = 1);
static const zkvm_export four = ZKVM_EXPORT(.vectors = 4, .words = 8, .x_stride = 1);
static int32_t numbers[96 * 8];

int main(void) {
    zkvm_tensor x = zkvm_tensor_import(&read_image);
    zkvm_tensor y = zkvm_tensor_linear(&first, x, ZKVM_CONSTANT_VECTORS);
    zkvm_tensor z = zkvm_tensor_linear(&second, y, y);
    zkvm_tensor_export(&all, z, numbers);
    zkvm_commit(numbers, sizeof numbers);
    z = zkvm_tensor_load(&back, numbers);
    zkvm_tensor_export(&heads, z, numbers + 1);
    zkvm_commit(numbers, 16);
    zkvm_tensor f = zkvm_tensor_load(&flat, numbers);
    zkvm_tensor_export(&four, f, numbers);
    zkvm_commit(numbers, 128);
    return 0;
}
"""
MACROS = """
#define WEIGHTS(k) 3000 * (k), -2999 * (k), 7 * (k), 1, 32767 / (k), -32768, 4000, 11 * (k)
#define FOUR(...) __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__
#define EIGHT(...) FOUR(__VA_ARGS__), FOUR(__VA_ARGS__)
#define SIXTEEN(...) EIGHT(__VA_ARGS__), EIGHT(__VA_ARGS__)
"""


@pytest.mark.parametrize("optimization", ["0", "3", "z"])
def test_a_network_with_products_of_tensors(optimization: str, tmp_path: Path) -> None:
    file = compiled(MACROS + NETWORK, optimization=optimization)
    (tmp_path / "guest.elf").write_bytes(file)
    stdin = np.random.default_rng(3).integers(-(2**15), 2**15, (20, 8)).astype("<i2").tobytes()
    called = execute(load_image(file, tensors=True), stdin)
    in_c = execute(load_image(file, tensors=False), stdin)
    assert called.exit_code == 0, called.stderr
    assert called.journal == in_c.journal == emulate(tmp_path / "guest.elf", stdin).journal
    assert len(np.unique(np.frombuffer(called.journal, "<i4"))) > 100
    assert [call.descriptor.operation for call in called.tensor_calls] == [IMPORT, LINEAR, LINEAR, EXPORT, LOAD, EXPORT, LOAD, EXPORT]


def test_a_network_is_proven(tmp_path: Path) -> None:
    """From C to a receipt: its journal is the one of the C code, and tensor calls made it."""
    (tmp_path / "guest.elf").write_bytes(compiled(MACROS + NETWORK))
    stdin = np.random.default_rng(4).integers(-(2**15), 2**15, (20, 8)).astype("<i2").tobytes()
    info = zkvm.prove(tmp_path / "guest.elf", stdin, params="fast", security=100)
    info.receipt.verify(zkvm.compute_image_id(tmp_path / "guest.elf"), policy=zkvm.Policy(100))
    assert info.receipt.journal == execute(load_image((tmp_path / "guest.elf").read_bytes(), tensors=False), stdin).journal
    with pytest.raises(zkvm.VerificationError):
        info.receipt.verify(zkvm.compute_image_id(compiled(MACROS.replace("3000", "3001") + NETWORK)), policy=zkvm.Policy(100))


def test_the_header_has_the_same_numbers() -> None:
    found = {name.lower(): int(value) for name, value in re.findall(r"#define ZKVM_TENSOR_(\w+) (\d+)", HEADER)}
    assert found == {name: number for number, name in tensors.NAMES.items()}
    assert re.search(r"#define ZKVM_SYS_TENSOR (\d+)", HEADER)[1] == str(calls.TENSOR.number)  # type: ignore[index]
    for name, count in (("import", 2), ("load", 3), ("export", 6), ("linear", 10)):
        struct = re.search(rf"typedef struct zkvm_{name} {{\n    uint32_t (.*);\n}}", HEADER)
        assert struct is not None
        assert len(struct[1].split(",")) == count == tensors.WORDS[getattr(tensors, name.upper())]


def test_guests_without_tensors_have_no_such_segments() -> None:
    image = load_image(compiled("int main(void) { return 0; }"), tensors=True)
    assert image.tensors is not None
    assert len(image.tensors.vectors) == len(image.tensors.channels) == 0
