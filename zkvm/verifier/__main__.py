"""The stand-alone verifier: ``python -m zkvm.verifier RECEIPT --image-id HEX``. numpy and the standard library only.

Exit codes: 0 accepted, 1 rejected, 2 usage, 3 the file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from zkvm.errors import UsageError
from zkvm.stark.protocol.params import BEST, DEFAULT_DEMAND, REGIMES, Policy
from zkvm.verifier.receipt import verdict

ACCEPTED, REJECTED, USAGE, BAD_INPUT = 0, 1, 2, 3


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    result = argparse.ArgumentParser(prog="python -m zkvm.verifier", description="Verify a receipt.")
    result.add_argument("receipt", type=Path, help="the receipt's file")
    result.add_argument("--image-id", required=True, metavar="HEX", help="image ID of the program that you trust")
    result.add_argument(
        "--min-security", type=int, default=DEFAULT_DEMAND, metavar="BITS", help="proven bits that you demand (default %(default)s)"
    )
    result.add_argument("--regime", choices=REGIMES, default=BEST, help="theorems that these bits may rest on (default %(default)s)")
    result.add_argument("--exit-code", type=int, default=0, metavar="N", help="exit code that you accept (default 0)")
    result.add_argument("--json", action="store_true", help="print one JSON object")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify, print the verdict, return the exit code."""
    options = parser().parse_args(arguments)
    try:
        data = options.receipt.read_bytes()
    except OSError as error:
        return _fail(BAD_INPUT, f"{options.receipt}: {error.strerror}", options.json)
    try:
        answer = verdict(data, options.image_id, policy=Policy(options.min_security, regime=options.regime), exit_code=options.exit_code)
    except UsageError as error:
        return _fail(USAGE, str(error), options.json)
    if options.json:
        print(json.dumps(answer))
    elif answer["accepted"]:
        bits = f"{answer['security_bits']} proven bits" + ("" if options.regime == BEST else f" ({options.regime})")
        print(f"accepted: image {answer['image_id']}, exit code {answer['exit_code']}, {bits}")
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
    sys.exit(main())
