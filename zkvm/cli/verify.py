"""``zkvm verify``."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zkvm.cli.errors import DONE, REJECTED, reading
from zkvm.cli.options import JsonOption, ReceiptArgument, RegimeOption, source
from zkvm.cli.output import by_regime, emit, line, shown
from zkvm.errors import UsageError, VerificationError
from zkvm.stark.protocol.params import BEST, DEFAULT_DEMAND, DEFAULT_SEGMENTS, Policy

if TYPE_CHECKING:
    from zkvm.ml.interface import ModelInterface


def verify(
    receipt: ReceiptArgument,
    image_id: Annotated[str | None, typer.Option("--image-id", metavar="HEX", help="image ID of the program that you trust")] = None,
    elf: Annotated[
        Path | None,
        typer.Option("--elf", metavar="GUEST.elf|DIR", help="that program itself (or a compiled model): its image ID is computed"),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="model.json",
            help="of a compiled model: refuse what is not its run, with its weights; show the journal's numbers",
        ),
    ] = None,
    weights_digest: Annotated[
        str | None, typer.Option("--weights-digest", metavar="HEX", help="published digest of a compiled model's private weights")
    ] = None,
    min_security: Annotated[int, typer.Option("--min-security", metavar="BITS", help="proven bits that you demand")] = DEFAULT_DEMAND,
    regime: RegimeOption = BEST,
    exit_code: Annotated[int, typer.Option("--exit-code", metavar="N", help="exit code that you accept")] = 0,
    max_segments: Annotated[
        int, typer.Option("--max-segments", metavar="N", help="segments that you accept, of a run that is proven in several")
    ] = DEFAULT_SEGMENTS,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, help="threads that verify a run that is proven in several proofs (default: 1)"),
    ] = None,
    allow_dev: Annotated[bool, typer.Option("--allow-dev", help="accept a dev receipt, which proves nothing")] = False,
    as_json: JsonOption = False,
) -> None:
    """Accept a receipt as the proof of a run of a program, or reject it with a reason."""
    if image_id is None and elf is None:
        raise UsageError("say which program the receipt must be for: --image-id HEX, --elf GUEST.elf, or both")
    from zkvm.verifier.receipt import open_receipt, parse_image_id, verdict

    named = [] if image_id is None else [parse_image_id(image_id)]
    policy = Policy(min_security, allow_dev, regime, max_segments)
    with ExitStack() as opened:
        with reading(receipt):
            data = opened.enter_context(open_receipt(source(receipt)))
        interface = None
        if model is not None:
            from zkvm.cli.journal import read_model

            interface = read_model(model)
        if elf is not None:
            from zkvm.cli.inspect import computed_image_id

            named.append(bytes.fromhex(computed_image_id(elf, not as_json)))
        started = time.perf_counter()
        with reading(receipt):
            answer = verdict(data, *named, policy=policy, exit_code=exit_code, threads=threads)
        answer["seconds"] = time.perf_counter() - started
    if answer["accepted"] and (interface is not None or weights_digest is not None):
        answer = judged(answer, interface, weights_digest)
    if as_json:
        emit(answer)
    else:
        show(answer, interface is not None)
    raise typer.Exit(DONE if answer["accepted"] else REJECTED)


def show(answer: dict[str, Any], of_model: bool) -> None:
    """The answer in words."""
    if not answer["accepted"]:
        print(f"zkvm: rejected: {answer['reason']}: {answer['detail']}", file=sys.stderr)
        return
    print("accepted" if not answer["dev"] else "accepted as a DEV RECEIPT: nothing is proven")
    line("image ID", answer["image_id"])
    line("exit code", answer["exit_code"])
    line("journal", shown(bytes.fromhex(answer["journal"])))
    if of_model:
        from zkvm.cli.journal import show_decoded

        show_decoded(answer)
    line("security", f"{answer['security_bits']} bits, proven ({by_regime(answer['bits_by_regime'])})")
    line("zero knowledge", "yes" if answer["zk"] else "no")


def judged(answer: dict[str, Any], interface: ModelInterface | None, weights_digest: str | None) -> dict[str, Any]:
    """The answer on a valid receipt with what its journal says of a compiled model, or a refusal.

    Args:
        answer: of :func:`zkvm.verifier.receipt.verdict`, accepted.
        interface: of the model, if it is known.
        weights_digest: the published one, if it was named.

    Raises:
        UsageError: it is no digest.
    """
    from zkvm.ml.interface import check_weights

    journal = bytes.fromhex(answer["journal"])
    try:
        if weights_digest is not None:
            check_weights(journal, weights_digest)
        if interface is None:
            return answer
        from zkvm.cli.journal import decoded

        return answer | decoded(interface, journal)
    except VerificationError as error:
        return {"accepted": False, "reason": error.reason.value, "detail": error.detail}
