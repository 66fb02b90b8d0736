"""Receipts that an earlier day's prover made still verify: format, protocol and machine have not changed unnoticed.

Whoever changes one of them on purpose raises its version and runs ``tools/freeze_receipt.py --replace``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zkvm.errors import VerificationError
from zkvm.riscv.machine import machine
from zkvm.stark.protocol.params import PROTOCOL_VERSION, Policy
from zkvm.verifier.receipt import FORMAT_VERSION, Receipt

FOLDER = Path(__file__).parent
INDEX = json.loads((FOLDER / "receipts.json").read_text())
every_receipt = pytest.mark.parametrize("name", sorted(INDEX["receipts"]))


def test_versions_and_machine_are_those_of_the_frozen_receipts() -> None:
    assert (INDEX["format"], INDEX["protocol"]) == (FORMAT_VERSION, PROTOCOL_VERSION)
    assert INDEX["machine"] == machine().digest.hex()


def test_every_frozen_file_is_in_the_index() -> None:
    assert {path.stem for path in FOLDER.glob("*.receipt")} == set(INDEX["receipts"])


@every_receipt
def test_a_frozen_receipt_verifies(name: str) -> None:
    expected = INDEX["receipts"][name]
    data = (FOLDER / f"{name}.receipt").read_bytes()
    receipt = Receipt.from_bytes(data)
    claim = receipt.verify(expected["image_id"], policy=Policy(expected["security_bits"], allow_dev=expected["dev"]))
    assert claim.image_id.hex() == expected["image_id"]
    assert receipt.journal.hex() == expected["journal"]
    assert (receipt.zk, receipt.dev) == (expected["zk"], expected["dev"])
    assert receipt.to_bytes() == data


@every_receipt
def test_the_stand_alone_verifier_agrees(name: str) -> None:
    expected = INDEX["receipts"][name]
    command = [sys.executable, "-m", "zkvm.verifier", str(FOLDER / f"{name}.receipt"), "--image-id", expected["image_id"], "--json"]
    result = subprocess.run(command, cwd=FOLDER.parents[1], capture_output=True, text=True, check=False, timeout=120)
    assert json.loads(result.stdout)["accepted"] is not expected["dev"]
    assert result.returncode == int(expected["dev"])


@every_receipt
def test_another_image_is_refused(name: str) -> None:
    receipt = Receipt.load(FOLDER / f"{name}.receipt")
    with pytest.raises(VerificationError, match="is for image"):
        receipt.verify("00" * 32, policy=Policy(0, allow_dev=True))
