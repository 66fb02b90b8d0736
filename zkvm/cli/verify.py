"""``zkvm verify``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from zkvm.cli.errors import DONE, REJECTED, InputFileError, reading
from zkvm.cli.options import JsonOption
from zkvm.cli.output import emit, line, shown
from zkvm.errors import UsageError
from zkvm.stark.protocol.params import Policy

ReceiptArgument = Annotated[Path, typer.Argument(metavar="RECEIPT", help="the receipt's file", show_default=False)]


def verify(
    receipt: ReceiptArgument,
    image_id: Annotated[str | None, typer.Option("--image-id", metavar="HEX", help="image ID of the program that you trust")] = None,
    elf: Annotated[Path | None, typer.Option("--elf", metavar="GUEST.elf", help="that program itself; its image ID is computed")] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="model.json", help="of a compiled model: show what the journal says, in its numbers")
    ] = None,
    min_security: Annotated[int, typer.Option("--min-security", metavar="BITS", help="proven bits that you demand")] = 100,
    exit_code: Annotated[int, typer.Option("--exit-code", metavar="N", help="exit code that you accept")] = 0,
    allow_dev: Annotated[bool, typer.Option("--allow-dev", help="accept a dev receipt, which proves nothing")] = False,
    as_json: JsonOption = False,
) -> None:
    """Accept a receipt as the proof of a run of a program, or reject it with a reason."""
    if (image_id is None) == (elf is None):
        raise UsageError("say which program the receipt must be for: either --image-id HEX or --elf GUEST.elf")
    from zkvm.verifier.receipt import read_receipt, verdict

    with reading(receipt):
        data = read_receipt(receipt)
    interface = None
    if model is not None:
        from zkvm.cli.journal import decoded, read_model, show_decoded

        interface = read_model(model)
    if elf is not None:
        from zkvm import api
        from zkvm.cli.start import load_kernels

        load_kernels()
        image_id = api.compute_image_id(elf)
    assert image_id is not None
    started = time.perf_counter()
    answer = verdict(data, image_id, policy=Policy(min_security, allow_dev), exit_code=exit_code)
    answer["seconds"] = time.perf_counter() - started
    meaning = None
    if interface is not None and answer["accepted"]:
        try:
            meaning = decoded(interface, bytes.fromhex(answer["journal"]))
        except UsageError as error:
            raise InputFileError(f"{model}: not the model of this receipt, which is valid: {error}") from error
        answer |= meaning
    if as_json:
        emit(answer)
    elif answer["accepted"]:
        print("accepted" if not answer["dev"] else "accepted as a DEV RECEIPT: nothing is proven")
        line("image ID", answer["image_id"])
        line("exit code", answer["exit_code"])
        line("journal", shown(bytes.fromhex(answer["journal"])))
        if meaning is not None:
            show_decoded(meaning)
        line("security", f"{answer['security_bits']} bits, proven")
        line("zero knowledge", "yes" if answer["zk"] else "no")
    else:
        print(f"zkvm: rejected: {answer['reason']}: {answer['detail']}", file=sys.stderr)
    raise typer.Exit(DONE if answer["accepted"] else REJECTED)
