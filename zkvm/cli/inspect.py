"""``zkvm inspect`` and ``zkvm image-id``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zkvm.cli.errors import InputFileError, reading
from zkvm.cli.options import JsonOption, ProgramArgument, named, source
from zkvm.cli.output import emit, line, shown, size
from zkvm.cli.screen import screen
from zkvm.errors import ElfError, FormatError
from zkvm.files import read_kinds

FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RECEIPT|GUEST.elf|DIR|-",
        help="a receipt or a program (- is standard input), or a directory that zkvm compile wrote",
        show_default=False,
    ),
]


def inspect(file: FileArgument, as_json: JsonOption = False) -> None:
    """Show what is inside a receipt (without verifying it), a program or a compiled model."""
    from zkvm.riscv.vm.elf import ELF_MAGIC, MAX_ELF_BYTES
    from zkvm.verifier.receipt import MAGIC, MAX_RECEIPT_BYTES, MAX_SEGMENTED_BYTES, SEGMENTS_MAGIC, Receipt

    model = None
    if file.is_dir():
        from zkvm.cli.model import model_view, program_of, show_model

        program, model = program_of(file), model_view(file)
        file = program
    with reading(file):
        data = read_kinds(source(file), {MAGIC: MAX_RECEIPT_BYTES, SEGMENTS_MAGIC: MAX_SEGMENTED_BYTES, ELF_MAGIC: MAX_ELF_BYTES})
    if data is None:
        raise InputFileError(f"{named(file)}: longer than any receipt or program")
    if data.startswith((MAGIC, SEGMENTS_MAGIC)):
        try:
            view = Receipt.from_bytes(data).to_json()
        except FormatError as error:
            raise InputFileError(f"{named(file)}: {error.detail}") from error
        emit({"kind": "receipt"} | view) if as_json else show_receipt(view)
        return
    try:
        view = program_view(data, not as_json)
    except ElfError as error:
        raise InputFileError(f"{named(file)}: not a receipt, and no program: {error}") from error
    if as_json:
        emit({"kind": "program"} | view if model is None else {"kind": "model", "model": model} | view)
        return
    if model is not None:
        show_model(model)
    show_program(view)


def image_id(guest: ProgramArgument, as_json: JsonOption = False) -> None:
    """Print the image ID of a program: what a verifier must know to check its receipts."""
    from zkvm.verifier.image import read_image

    identity = computed_image_id(guest, not as_json)
    if as_json:
        emit({"image_id": identity, "content_id": read_image(guest).content_id.hex()})
    else:
        print(identity)


def computed_image_id(program: bytes | Path, shown: bool) -> str:
    """The image ID of a program; ``shown``: with its progress on a terminal."""
    from zkvm import api
    from zkvm.cli.start import load_committer

    with screen(shown) as view:
        load_committer()
        return api.compute_image_id(program, progress=view.phase if view.on else None)


def program_view(data: bytes, shown: bool) -> dict[str, Any]:
    """What the machine sees of an ELF file; ``shown``: with its progress on a terminal."""
    from zkvm import api
    from zkvm.riscv.isa.opcodes import REGISTER_COUNT
    from zkvm.riscv.vm.constants import NAMES
    from zkvm.riscv.vm.elf import parse_elf

    image = api.load_image(data)
    segments = [
        {
            "address": segment.address,
            "size": segment.size,
            "data_bytes": len(segment.data),
            "permissions": "r" + "w" * segment.writable + "x" * segment.executable,
            "tensor_constants": NAMES.get(segment.kind),
        }
        for segment in parse_elf(data).segments
    ]
    return {
        "image_id": computed_image_id(data, shown),
        "content_id": image.content_id.hex(),
        "entry": image.entry,
        "initial_sp": image.initial_sp,
        "heap": [image.heap_start, image.heap_limit],
        "instructions": len(image.program),
        "ram_words": len(image.ram_address) - REGISTER_COUNT,
        "rom_words": len(image.rom_address),
        "zero_ranges": [[4 * start, 4 * end] for start, end in image.gaps],
        "segments": segments,
        "functions": len(image.symbols),
        "tensor_calls": tensor_calls(data),
    }


def tensor_calls(data: bytes) -> dict[str, Any] | None:
    """The descriptors of a program by the name of their operation: how many, and how many products they say; None without symbols."""
    from zkvm.riscv.isa.tensors import NAMES
    from zkvm.riscv.vm.descriptors import find_descriptors, products

    found = find_descriptors(data)
    if found is None:
        return None
    view = {NAMES[words.operation]: {"descriptors": 0, "products": 0} for words in sorted(found)}
    for words in found:
        view[NAMES[words.operation]]["descriptors"] += 1
        view[NAMES[words.operation]]["products"] += products(words)
    return view


def show_program(view: dict[str, Any]) -> None:
    """The readable form of a program."""
    line("image ID", view["image_id"])
    line("content ID", view["content_id"])
    line("entry", f"0x{view['entry']:08x}")
    line("stack pointer", f"0x{view['initial_sp']:08x}")
    line("heap", "0x{:08x} to 0x{:08x}".format(*view["heap"]))
    line("instructions", view["instructions"])
    line("functions", view["functions"])
    line("memory", f"{view['ram_words']} initialised words, {view['rom_words']} read-only words")
    for start, end in view["zero_ranges"]:
        line("zeros", f"0x{start:08x} to 0x{end:08x}")
    for segment in view["segments"]:
        content = f"{segment['data_bytes']} of {segment['size']} bytes in the file"
        constants = f"  {segment['tensor_constants']}" if segment["tensor_constants"] else ""
        line("segment", f"0x{segment['address']:08x}  {segment['permissions']:<3}  {content}{constants}")
    for name, calls in (view["tensor_calls"] or {}).items():
        count = f"{calls['descriptors']} descriptor{'s' * (calls['descriptors'] != 1)}"
        line("tensor call", f"{name}: {count}" + (f", {calls['products']} products" if calls["products"] else ""))
    if view["tensor_calls"] is None and any(segment["tensor_constants"] for segment in view["segments"]):
        line("tensor call", "not known: the file has no symbols")


def show_receipt(view: dict[str, Any]) -> None:
    """The readable form of a receipt."""
    numbers = view["parameters"]
    line("receipt", "DEV: nothing is proven" if view["dev"] else f"{size(view['receipt_bytes'])}, not verified by this command")
    line("image ID", view["image_id"])
    line("exit code", view["exit_code"])
    line("journal", shown(bytes.fromhex(view["journal"])))
    line("parameters", f"blowup {numbers['blowup']}, {numbers['queries']} queries, {numbers['exempt_rows']} exempt rows")
    line("zero knowledge", "yes, says the prover" if view["zk"] else "no")
    line("entry", f"0x{view['image']['entry']:08x}")
    if "segments" in view.get("seal", {}):
        segments = view["seal"]["segments"]
        line("segments", f"{len(segments)}, and the proof of memory: {size(view['seal']['bytes'])}")
        for number, own in enumerate([view["seal"]["memory"], *segments]):
            tables = ", ".join(f"{name} {height}" for name, height in own["heights"].items())
            what = f"segment {number}, {own['journal_bytes']} bytes of journal" if number else "memory"
            line("proof", f"{what}: {size(own['bytes'])}; {tables}")
    elif "seal" in view:
        line("tables", ", ".join(f"{name} {height}" for name, height in view["seal"]["heights"].items()))
        line("proof", f"{size(view['seal']['bytes'])}, {view['seal']['openings']} openings, {view['seal']['fri_layers']} FRI layers")
