"""The stand-alone verifier: ``python -m zkvm.verifier RECEIPT --image-id HEX`` or ``--elf GUEST.elf``.

It needs numpy and the standard library. Exit codes: 0 accepted, 1 rejected, 2 usage, or the
output cannot be written, 3 a file cannot be read, or is no receipt or program, 5 out of memory, or the program is too large,
130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zkvm.errors import ElfError, FormatError, LimitError, UsageError, VerificationError
from zkvm.files import open_standard_streams
from zkvm.stark.protocol.params import BEST, DEFAULT_DEMAND, DEFAULT_SEGMENTS, REGIMES, Policy
from zkvm.verifier.receipt import open_receipt, parse_image_id, verdict

if TYPE_CHECKING:
    from zkvm.ml.interface import ModelInterface

ACCEPTED, REJECTED, USAGE, BAD_INPUT, LIMIT, INTERRUPTED = 0, 1, 2, 3, 5, 130


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    result = argparse.ArgumentParser(prog="python -m zkvm.verifier", description="Verify a receipt.")
    result.add_argument("receipt", type=Path, metavar="RECEIPT|-", help="the receipt's file; - is standard input")
    result.add_argument("--image-id", metavar="HEX", help="image ID of the program that you trust")
    result.add_argument(
        "--elf",
        type=Path,
        metavar="GUEST.elf|DIR",
        help="that program itself (or a compiled model): its image ID is computed",
    )
    result.add_argument(
        "--model", type=Path, metavar="model.json", help="of a compiled model: refuse what is not its run, with its weights"
    )
    result.add_argument("--weights-digest", metavar="HEX", help="published digest of a compiled model's private weights")
    result.add_argument(
        "--min-security", type=int, default=DEFAULT_DEMAND, metavar="BITS", help="proven bits that you demand (default %(default)s)"
    )
    result.add_argument("--regime", choices=REGIMES, default=BEST, help="theorems that these bits may rest on (default %(default)s)")
    result.add_argument("--exit-code", type=int, default=0, metavar="N", help="exit code that you accept (default 0)")
    result.add_argument(
        "--max-segments",
        type=int,
        default=DEFAULT_SEGMENTS,
        metavar="N",
        help="segments that you accept, of a run that is proven in several (default %(default)s)",
    )
    result.add_argument("--threads", type=int, metavar="N", help="threads that verify a run that is proven in several proofs (default 1)")
    result.add_argument("--json", action="store_true", help="print one JSON object")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify, print the verdict, return the exit code."""
    options = parser().parse_args(arguments)
    try:
        code = _verify(options)
        sys.stdout.flush()
        return code
    except ElfError as error:
        return _fail(BAD_INPUT, str(error), options.json)
    except FormatError as error:
        return _fail(BAD_INPUT, error.detail, options.json)
    except UsageError as error:
        return _fail(USAGE, str(error), options.json)
    except LimitError as error:
        return _fail(LIMIT, str(error), options.json)
    except BrokenPipeError:
        code, message = REJECTED, "nobody reads the output"
    except OSError as error:
        code, message = USAGE, f"cannot write the output: {error.strerror}"
    except MemoryError:
        return _fail(LIMIT, "out of memory: verifying takes about a hundred MiB", options.json)
    except KeyboardInterrupt:
        code, message = INTERRUPTED, "interrupted"
    print(f"zkvm.verifier: {message}", file=sys.stderr)
    return code


def _verify(options: argparse.Namespace) -> int:
    """The verdict on a file, printed.

    Raises:
        OSError: it cannot be printed.
        ElfError: the program cannot be read, or is none.
        UsageError: no program is named.
        LimitError: the program is too large.
    """
    piped = str(options.receipt) == "-"
    name = "standard input" if piped else str(options.receipt)
    with ExitStack() as opened:
        try:
            data = opened.enter_context(open_receipt(0 if piped else options.receipt))
        except OSError as error:
            return _fail(BAD_INPUT, f"{name}: {error.strerror}", options.json)
        except FormatError as error:
            return _fail(BAD_INPUT, f"{name}: {error.detail}", options.json)
        named = _programs(options)
        interface = None if options.model is None else _interface(options.model)
        policy = Policy(options.min_security, regime=options.regime, max_segments=options.max_segments)
        try:
            answer = verdict(data, *named, policy=policy, exit_code=options.exit_code, threads=options.threads)
        except OSError as error:
            return _fail(BAD_INPUT, f"{name}: {error.strerror}", options.json)
    if answer["accepted"] and (interface is not None or options.weights_digest is not None):
        answer = _judged(answer, interface, options.weights_digest)
    if options.json:
        print(json.dumps(answer))
    elif answer["accepted"]:
        bits = f"{answer['security_bits']} proven bits" + ("" if options.regime == BEST else f" ({options.regime})")
        print(f"accepted: image {answer['image_id']}, exit code {answer['exit_code']}, {bits}")
        print(f"journal: {answer['journal']}")
    else:
        print(f"rejected: {answer['reason']}: {answer['detail']}", file=sys.stderr)
    return ACCEPTED if answer["accepted"] else REJECTED


def _programs(options: argparse.Namespace) -> list[bytes]:
    """Image IDs of the programs that are named.

    Raises:
        ElfError: a program cannot be read, or is none.
        UsageError: none is named.
        LimitError: it is too large.
    """
    named = [] if options.image_id is None else [parse_image_id(options.image_id)]
    if options.elf is not None:
        named.append(bytes.fromhex(_computed(options.elf, sys.stderr.isatty() and not options.json)))
    if not named:
        raise UsageError("say which program the receipt must be for: --image-id HEX, --elf GUEST.elf, or both")
    return named


def _computed(elf: Path, shown: bool) -> str:
    """The image ID of a program; ``shown``: with its progress on standard error."""
    from zkvm.verifier.image import image_id

    if not shown:
        return image_id(elf)
    try:
        return image_id(elf, _show_progress)
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _show_progress(phase: str, share: float) -> None:
    print(f"\r\x1b[Kimage ID: {phase} {100 * share:3.0f} %", end="", file=sys.stderr, flush=True)


def _interface(path: Path) -> ModelInterface:
    """What is public of a compiled model.

    Raises:
        FormatError: the file is no such description.
    """
    from zkvm.ml.interface import ModelInterface  # only where a model is named: the verifier of receipts does not need it

    try:
        return ModelInterface.read(path)
    except UsageError as error:
        raise FormatError(str(error)) from error


def _judged(answer: dict[str, Any], interface: ModelInterface | None, weights_digest: str | None) -> dict[str, Any]:
    """The answer on a valid receipt, or a refusal because its journal is not the model's."""
    from zkvm.ml.interface import check_weights

    journal = bytes.fromhex(answer["journal"])
    try:
        if weights_digest is not None:
            check_weights(journal, weights_digest)
        if interface is not None:
            interface.decode(journal)
    except VerificationError as error:
        return {"accepted": False, "reason": error.reason.value, "detail": error.detail}
    return answer


def _fail(code: int, message: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": message, "exit_code": code}))
    print(f"zkvm.verifier: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    gc.freeze()  # what was imported stays until this process ends: the collector of cyclic garbage need not look at it
    open_standard_streams()
    sys.exit(main())
