"""What the service's child processes do: verify a receipt, prove a run. They see files and bytes, nothing of HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zkvm.errors import ElfError, InexactError, InputError
from zkvm.files import write_folder
from zkvm.session.resources import Progress
from zkvm.stark.crypto.hashes import blake3
from zkvm.stark.protocol.params import Policy
from zkvm.verifier.receipt import verdict

INPUT, RECEIPT = "input", "receipt"
"""Files of a job."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be proven.

    Attributes:
        path: of the ELF file, or of a compiled model's directory.
        elf: of the ELF file.
        digest: BLAKE3 of the ELF file when its image ID was computed.
        model: whether it is a compiled model, whose inputs are data and not raw bytes.
    """

    path: Path
    elf: Path
    digest: bytes
    model: bool


def verify_work(data: bytes, image_id: str, policy: Policy, exit_code: int, progress: Progress) -> dict[str, Any]:
    """The answer to a receipt, as :func:`zkvm.verifier.receipt.verdict` gives it."""
    return verdict(data, image_id, policy=policy, exit_code=exit_code)


def prove_work(folder: Path, program: Program, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Prove a run, and write its receipt into the job's folder.

    Args:
        folder: of the job, with its input.
        program: to be run.
        options: of :func:`zkvm.prove`.
        progress: is told of the phases.

    Returns:
        What is known of the run afterwards.

    Raises:
        ElfError: the program has changed since the service knows it.
        InputError: the input does not fit the compiled model.
        InexactError: a value of the compiled model saturated.
    """
    from zkvm import api
    from zkvm.session.preparing import kept_image

    elf = program.elf.read_bytes()
    if blake3(elf) != program.digest:
        raise ElfError(f"{program.path.name}: the program was changed after the service began; start the service again")
    stdin = (folder / INPUT).read_bytes()
    more: dict[str, Any] = {}
    if program.model:
        stdin, more = _model_input(program.path, elf, stdin, options)
    with kept_image(for_good=True):
        info = api.prove(elf, stdin, progress=progress, **options)
    data = info.receipt.to_bytes()
    write_folder(folder, {RECEIPT: data}, {RECEIPT})
    claim = {"exit_code": info.session.exit_code, "journal": info.session.journal.hex(), "cycles": info.cycles}
    return claim | {"security_bits": info.security_bits, "receipt_bytes": len(data), "segments": info.receipt.segments} | more


def _model_input(path: Path, elf: bytes, data: bytes, options: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """What the guest of a compiled model reads, and the salts with which its digests can be opened later."""
    from zkvm import api
    from zkvm.ml.package import CompiledModel
    from zkvm.ml.samples import read_samples

    model = CompiledModel.load(path)
    samples = read_samples(data, model.inputs, "the input")
    if len(samples) != 1:
        raise InputError(f"the input has {len(samples)} samples, and a run takes one")
    integers, saturated = model.words(samples[0])
    salts = model.fresh_salts()
    stdin = model.stdin(integers, salts)
    refused = model.refused_exits()
    if refused:
        limits = {name: options[name] for name in ("max_cycles", "max_memory") if name in options}
        session = api.execute(elf, stdin, **limits)
        if session.exit_code in refused:
            said = session.stderr.decode(errors="replace").strip()
            raise InexactError(f"{said}; nothing was proven. {refused[session.exit_code]}")
    more: dict[str, Any] = {"saturated_inputs": saturated}
    return stdin, more | ({"salts": {name: salt.hex() for name, salt in salts.items()}} if salts else {})
