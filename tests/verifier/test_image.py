"""Image IDs computed with numpy alone: those that are committed, those of the kernels, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.riscv.vm.elf_files import EXECUTE, READ, TEXT, WRITE, ElfSpec, Header, code
from tests.test_layers import run_without_extras
from zkvm import api
from zkvm.errors import ElfError, LimitError, UsageError
from zkvm.ml.package import GUEST
from zkvm.riscv.machine import machine
from zkvm.stark.protocol.params import BLOWUPS
from zkvm.stark.protocol.preprocessed import preprocessed_roots
from zkvm.stark.prover.preprocessed import commit_preprocessed, compiled_roots
from zkvm.verifier import image as verifier_image
from zkvm.verifier.image import COMPILED_PROGRAM, image_columns, image_header, image_id, read_image

ROOT = Path(__file__).resolve().parents[2]
GUESTS = ROOT / "guest_programs"
RECORDED = json.loads((GUESTS / "image_ids.json").read_text())
VECTOR = json.loads((ROOT / "tests" / "vectors" / "hello.json").read_text())


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_committed_guests(name: str) -> None:
    """The recorded ID, from numpy and from kernels; every root alone, too, so that an error cannot hide in one that no proof uses."""
    path = GUESTS / name / f"{name}.elf"
    image = read_image(path)
    columns = image_columns(image)
    roots = preprocessed_roots(machine(), columns)
    assert roots == tuple(commit_preprocessed(machine(), columns, blowup).root for blowup in BLOWUPS)
    assert roots == compiled_roots(machine(), columns, threads=2)
    assert image_header(image, columns, roots).image_id().hex() == RECORDED[name]


def test_test_vector() -> None:
    assert image_id((GUESTS / "hello" / "hello.elf").read_bytes()) == VECTOR["image id"] == RECORDED["hello"]


def random_program(seed: int) -> bytes:
    """A program of odd shape: any number of instructions, words that are none among them, constants, data and zeros or not."""
    rng = random.Random(seed)
    instructions = code() + b"".join(
        rng.choice([0x13, 0x73, rng.getrandbits(32)]).to_bytes(4, "little") for _ in range(rng.randrange(3000))
    )
    segments = [Header(TEXT, instructions + bytes(rng.randrange(4)), READ | EXECUTE)]
    if rng.randrange(4):
        segments.append(Header(0x40_0000 + rng.randrange(4), rng.randbytes(rng.randrange(1, 9000)), READ))
    if rng.randrange(4):
        data = rng.randbytes(rng.randrange(9000))
        segments.append(Header(0x80_0000 + rng.randrange(4), data, READ | WRITE, size=len(data) + rng.randrange(1, 100_000)))
    return ElfSpec(segments).build()


@pytest.mark.parametrize("seed", range(3))
def test_programs_of_odd_shapes(seed: int) -> None:
    file = random_program(seed)
    assert image_id(file) == image_id(file, roots=compiled_roots)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 40))
def test_many_programs_of_odd_shapes(seed: int) -> None:
    file = random_program(seed)
    assert image_id(file) == image_id(file, roots=compiled_roots)


@pytest.mark.slow
def test_a_large_program() -> None:
    """2^20 rows of instructions, which are half as many rows of ROM."""
    words = np.random.default_rng(1).integers(0, 2**25, (1 << 20) - 1000, dtype=np.uint32) << np.uint32(7) | np.uint32(0x37)
    file = ElfSpec([Header(TEXT, code() + words.astype("<u4").tobytes(), READ | EXECUTE)]).build()
    columns = image_columns(read_image(file))
    assert columns["program"].shape[1] == 1 << 20
    assert preprocessed_roots(machine(), columns) == compiled_roots(machine(), columns, threads=2)


def test_the_public_function_takes_the_way_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    path = GUESTS / "hello" / "hello.elf"
    used: list[str] = []

    def noted(name: str, roots: Callable[..., tuple[bytes, ...]]) -> Callable[..., tuple[bytes, ...]]:
        def compute(*arguments: object, **options: object) -> tuple[bytes, ...]:
            used.append(name)
            return roots(*arguments, **options)

        return compute

    monkeypatch.setattr("zkvm.stark.prover.preprocessed.compiled_roots", noted("kernels", compiled_roots))
    monkeypatch.setattr(verifier_image.image_id, "__defaults__", (None, noted("numpy", preprocessed_roots)))
    assert api.compute_image_id(path, threads=2) == RECORDED["hello"]
    monkeypatch.setattr(api, "prove_extra_found", lambda: False)
    assert api.compute_image_id(path) == RECORDED["hello"]
    assert used == ["kernels", "numpy"]
    with pytest.raises(UsageError, match="0 threads"):
        api.compute_image_id(path, threads=0)


def test_the_public_function_without_extras() -> None:
    """As in the base installation, where there are neither kernels nor what could compile them."""
    path = GUESTS / "echo" / "echo.elf"
    result = run_without_extras(f"import zkvm; print(zkvm.compute_image_id({str(path)!r}))", base=True)
    assert (result.returncode, result.stdout.strip()) == (0, RECORDED["echo"]), result.stderr


def test_a_compiled_model_is_its_program(tmp_path: Path) -> None:
    assert COMPILED_PROGRAM == GUEST
    (tmp_path / GUEST).write_bytes((GUESTS / "hello" / "hello.elf").read_bytes())
    assert image_id(str(tmp_path), roots=compiled_roots) == RECORDED["hello"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ElfError, match=f"{tmp_path}: Is a directory"):
        image_id(tmp_path)
    with pytest.raises(ElfError, match="absent: No such file"):
        image_id(tmp_path / "absent")
    (tmp_path / GUEST).write_bytes(b"no program")
    with pytest.raises(ElfError, match=f"{GUEST}: not an ELF file"):
        image_id(tmp_path)
    with pytest.raises(ElfError, match="^not an ELF file"):
        image_id(b"no program")


def test_a_program_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier_image, "MAX_HEIGHT", 1 << 14)
    with pytest.raises(LimitError, match="table range would have more than 16384 rows"):
        image_id(ElfSpec().build())
