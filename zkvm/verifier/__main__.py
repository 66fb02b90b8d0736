"""The stand-alone verifier: ``python -m zkvm.verifier RECEIPT --image-id HEX``. numpy and the standard library only.

Exit codes: 0 accepted, 1 rejected, 2 usage, or the output cannot be written, 3 the file cannot be read, or is too long for a receipt,
5 out of memory.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from zkvm.errors import FormatError, UsageError
from zkvm.files import open_standard_streams
from zkvm.stark.protocol.params import Policy
from zkvm.verifier.receipt import read_receipt, verdict

ACCEPTED, REJECTED, USAGE, BAD_INPUT, LIMIT, INTERRUPTED = 0, 1, 2, 3, 5, 130


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    result = argparse.ArgumentParser(prog="python -m zkvm.verifier", description="Verify a receipt.")
    result.add_argument("receipt", type=Path, help="the receipt's file")
    result.add_argument("--image-id", required=True, metavar="HEX", help="image ID of the program that you trust")
    result.add_argument(
        "--min-security", type=int, default=Policy().min_security_bits, metavar="BITS", help="proven bits that you demand (default 100)"
    )
    result.add_argument("--exit-code", type=int, default=0, metavar="N", help="exit code that you accept (default 0)")
    result.add_argument("--json", action="store_true", help="print one JSON object")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify, print the verdict, return the exit code."""
    options = parser().parse_args(arguments)
    try:
        code = _verify(options)
        sys.stdout.flush()
        return code
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
    """
    try:
        data = read_receipt(options.receipt)
    except OSError as error:
        return _fail(BAD_INPUT, f"{options.receipt}: {error.strerror}", options.json)
    except FormatError as error:
        return _fail(BAD_INPUT, f"{options.receipt}: {error.detail}", options.json)
    try:
        answer = verdict(data, options.image_id, policy=Policy(options.min_security), exit_code=options.exit_code)
    except UsageError as error:
        return _fail(USAGE, str(error), options.json)
    if options.json:
        print(json.dumps(answer))
    elif answer["accepted"]:
        print(f"accepted: image {answer['image_id']}, exit code {answer['exit_code']}, {answer['security_bits']} proven bits")
        print(f"journal: {answer['journal']}")
    else:
        print(f"rejected: {answer['reason']}: {answer['detail']}", file=sys.stderr)
    return ACCEPTED if answer["accepted"] else REJECTED


def _fail(code: int, message: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": message, "exit_code": code}))
    print(f"zkvm.verifier: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    open_standard_streams()
    sys.exit(main())
