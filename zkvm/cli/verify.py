"""``zkvm verify``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from zkvm.cli.errors import DONE, REJECTED, InputFileError, reading
from zkvm.cli.options import JsonOption, RegimeOption
from zkvm.cli.output import by_regime, emit, line, shown
from zkvm.errors import UsageError
from zkvm.stark.protocol.params import BEST, DEFAULT_DEMAND, Policy

ReceiptArgument = Annotated[Path, typer.Argument(metavar="RECEIPT", help="the receipt's file", show_default=False)]


def verify(
    receipt: ReceiptArgument,
    image_id: Annotated[str | None, typer.Option("--image-id", metavar="HEX", help="image ID of the program that you trust")] = None,
    elf: Annotated[
        Path | None,
        typer.Option("--elf", metavar="GUEST.elf|DIR", help="that program itself (or a compiled model): its image ID is computed"),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="model.json", help="of a compiled model: show what the journal says, in its numbers")
    ] = None,
    min_security: Annotated[int, typer.Option("--min-security", metavar="BITS", help="proven bits that you demand")] = DEFAULT_DEMAND,
    regime: RegimeOption = BEST,
    exit_code: Annotated[int, typer.Option("--exit-code", metavar="N", help="exit code that you accept")] = 0,
    allow_dev: Annotated[bool, typer.Option("--allow-dev", help="accept a dev receipt, which proves nothing")] = False,
    as_json: JsonOption = False,
) -> None:
    """Accept a receipt as the proof of a run of a program, or reject it with a reason."""
    if image_id is None and elf is None:
        raise UsageError("say which program the receipt must be for: --image-id HEX, --elf GUEST.elf, or both")
    from zkvm.verifier.receipt import parse_image_id, read_receipt, verdict

    named = [] if image_id is None else [parse_image_id(image_id)]
    with reading(receipt):
        data = read_receipt(receipt)
    interface = None
    if model is not None:
        from zkvm.cli.journal import decoded, read_model, show_decoded

        interface = read_model(model)
    if elf is not None:
        from zkvm.cli.inspect import computed_image_id

        named.append(bytes.fromhex(computed_image_id(elf, not as_json)))
    started = time.perf_counter()
    answer = verdict(data, *named, policy=Policy(min_security, allow_dev, regime), exit_code=exit_code)
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
        line("security", f"{answer['security_bits']} bits, proven ({by_regime(answer['bits_by_regime'])})")
        line("zero knowledge", "yes" if answer["zk"] else "no")
    else:
        print(f"zkvm: rejected: {answer['reason']}: {answer['detail']}", file=sys.stderr)
    raise typer.Exit(DONE if answer["accepted"] else REJECTED)
