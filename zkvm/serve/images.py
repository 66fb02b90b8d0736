"""The programs that a service proves: what lies in one folder when it begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zkvm import api
from zkvm.errors import UsageError, ZkvmError
from zkvm.ml.interface import METADATA
from zkvm.ml.package import GUEST
from zkvm.serve.work import Program
from zkvm.stark.crypto.hashes import blake3
from zkvm.verifier.receipt import parse_image_id


@dataclass(frozen=True, slots=True)
class KnownImage:
    """A program with its name.

    Attributes:
        name: of its file, without ``.elf``, or of its directory.
        image_id: 64 hexadecimal digits.
        program: where it is.
    """

    name: str
    image_id: str
    program: Program

    def view(self) -> dict[str, Any]:
        """What the service says of it."""
        return {"name": self.name, "image_id": self.image_id, "kind": "model" if self.program.model else "program"}


class Images:
    """Programs by name and by image ID."""

    def __init__(self, folder: Path | None) -> None:
        """Read a folder, and compute the image IDs of what is in it: ELF files, and directories of compiled models.

        Raises:
            UsageError: it cannot be read, or two programs have one name.
            ElfError: a file in it cannot be proven by this machine.
        """
        self.all: list[KnownImage] = []
        self._found: dict[str, KnownImage] = {}
        for name, program_path in _programs(folder):
            image = _known(name, program_path)
            if name in self._found:
                raise UsageError(f"{folder}: two programs are named {name}")
            self.all.append(image)
            self._found[name] = image
            self._found.setdefault(image.image_id, image)

    def find(self, name: str) -> KnownImage | None:
        """The image of this name or image ID."""
        try:
            return self._found.get(name) or self._found.get(parse_image_id(name).hex())
        except UsageError:
            return None


def _programs(folder: Path | None) -> Iterator[tuple[str, Path]]:
    if folder is None:
        return
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}") from error
    for path in entries:
        if path.is_dir() and (path / METADATA).is_file():
            yield path.name, path
        elif path.is_file() and path.suffix == ".elf":
            yield path.stem, path


def _known(name: str, path: Path) -> KnownImage:
    model = path.is_dir()
    elf = path / GUEST if model else path
    try:
        content = elf.read_bytes()
        image_id = api.compute_image_id(content)
    except OSError as error:
        raise UsageError(f"{elf}: {error.strerror}") from error
    except ZkvmError as error:
        raise type(error)(f"{path}: {error}") from error
    return KnownImage(name, image_id, Program(path.absolute(), elf.absolute(), blake3(content), model))
