"""The image ID of a program, computed with numpy alone from its ELF file: what a relying party does instead of believing a hash.

The image's tables and header come from here for the prover, too; only the roots of the tables have a second, compiled way, which must
give the same (:mod:`zkvm.stark.prover.preprocessed`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import ElfError, LimitError
from zkvm.riscv.header import ImageHeader, preprocessed_chips
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Image
from zkvm.riscv.vm.elf import load_image, read_program
from zkvm.stark.air.machine import Machine
from zkvm.stark.protocol.params import MAX_HEIGHT
from zkvm.stark.protocol.preprocessed import Progress, preprocess, preprocessed_height, preprocessed_roots

Matrices = dict[str, NDArray[np.uint64]]
Roots = Callable[[Machine, Matrices, Progress | None], tuple[bytes, ...]]

COMPILED_PROGRAM = "model.elf"
"""The program in a directory that ``zkvm compile`` wrote."""


def read_image(elf: bytes | str | os.PathLike[str]) -> Image:
    """The image of a program, without the names of its functions.

    Args:
        elf: the ELF file's content, its path, or the directory of a compiled model.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
    """
    if isinstance(elf, bytes):
        return load_image(elf, symbols=False)
    path = Path(elf)
    if path.is_dir() and (path / COMPILED_PROGRAM).is_file():
        path /= COMPILED_PROGRAM
    content = read_program(path)
    try:
        return load_image(content, symbols=False)
    except ElfError as error:
        raise ElfError(f"{path}: {error}") from error


def image_columns(image: Image) -> Matrices:
    """Preprocessed columns of an image: name of the table -> (v, n) uint64.

    Raises:
        LimitError: one of its tables would be too long.
    """
    for chip in machine().chips:
        if preprocessed_height(chip, image) > MAX_HEIGHT:
            raise LimitError(f"the program is too large: table {chip.name} would have more than {MAX_HEIGHT} rows")
    return preprocess(machine(), image)


def image_header(image: Image, columns: Matrices, roots: tuple[bytes, ...]) -> ImageHeader:
    """The header that identifies an image.

    Args:
        image: of the program.
        columns: of :func:`image_columns`.
        roots: of the columns, for each of :data:`zkvm.stark.protocol.params.BLOWUPS`.
    """
    heights = tuple(columns[name].shape[1] if name in columns else 0 for name in preprocessed_chips())
    return ImageHeader(image.entry, image.initial_sp, image.gaps, heights, roots)


def image_id(elf: bytes | str | os.PathLike[str], progress: Progress | None = None, roots: Roots = preprocessed_roots) -> str:
    """The image ID of a program, 64 hexadecimal digits.

    Args:
        elf: the ELF file's content, its path, or the directory of a compiled model.
        progress: called with the phase that begins and the share of the work done before it, in [0, 1]; at the end with ``("", 1.0)``.
        roots: commits to the columns: with numpy, or the same compiled.

    Raises:
        ElfError: the file cannot be read, or is not a program for this machine.
        LimitError: a table would be too long.
    """
    image = read_image(elf)
    columns = image_columns(image)
    return image_header(image, columns, roots(machine(), columns, progress)).image_id().hex()
