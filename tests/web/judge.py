"""Asks the verifier in JavaScript: one process of Node that answers questions until it is closed (``web/verifier/support/judge.js``)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.web_machine import facts
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Closing
from zkvm.stark.protocol.joint import JointStatement, Part, PartProof
from zkvm.stark.protocol.joint_codec import encode_part
from zkvm.stark.protocol.params import BEST, DEFAULT_DEMAND, Policy
from zkvm.stark.protocol.shape import ProofShape
from zkvm.stark.protocol.statement import Statement

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "web" / "verifier"
OLDEST_NODE = 20

Answer = dict[str, Any]


@cache
def node() -> str | None:
    """The path of Node, if it is there and new enough."""
    path = shutil.which("node")
    if path is None:
        return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    major = version.strip().lstrip("v").partition(".")[0]
    return path if major.isdigit() and int(major) >= OLDEST_NODE else None


needs_node = pytest.mark.skipif(node() is None, reason=f"needs Node {OLDEST_NODE} or newer")


class Judge:
    """A running verifier."""

    def __init__(self) -> None:
        path = node()
        assert path is not None
        self._process = subprocess.Popen([path, str(PACKAGE / "support" / "judge.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._machines = {own.digest: own.name for own in (machine(), segment_machine(), memory_machine())}

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def receipt(self, data: bytes, image_id: str | bytes | list[str], **options: Any) -> Answer:
        """What it says of a receipt's bytes; options are those of ``verify`` in JavaScript."""
        named = image_id.hex() if isinstance(image_id, bytes) else image_id
        return self._ask({"kind": "receipt", "options": {"imageId": named, **options}}, data)

    def image(self, program: bytes) -> Answer:
        """The image of a program: entry, stack pointer, gaps, and of each table its height and its hash."""
        return self._ask({"kind": "image"}, program)

    def image_id(self, program: bytes) -> Answer:
        """The image ID of a program."""
        return self._ask({"kind": "image id"}, program)

    def seal(
        self,
        subject: Machine,
        statement: Statement,
        data: bytes,
        minimum: float = DEFAULT_DEMAND,
        regime: str = BEST,
        draws: Mapping[str, Any] | None = None,
    ) -> Answer:
        """What it says of a seal's bytes, with the challenges of ``draws`` if there are any."""
        frozen = None if draws is None else _frozen(draws)
        policy = {"minSecurity": minimum, "regime": regime}
        told = {"kind": "seal", "machine": self._known(subject), "statement": _statement(statement), "policy": policy, "draws": frozen}
        return self._ask(told, data)

    def joint(
        self,
        statement: JointStatement,
        parts: Sequence[Part],
        proofs: Sequence[PartProof],
        policy: Policy,
        draws: Sequence[Mapping[str, Any]] | None = None,
    ) -> Answer:
        """What it says of joined proofs, with the challenges of ``draws``, one entry for each transcript, if there are any."""
        told = {
            "kind": "joint",
            "statement": {"fields": _fields(statement.fields), "closings": [_closing(own) for own in statement.closings]},
            "parts": [{"machine": self._known(part.machine), "statement": _statement(part.statement)} for part in parts],
            "policy": {"minSecurity": policy.min_security, "regime": policy.regime},
            "draws": None if draws is None else [_frozen(own) for own in draws],
        }
        return self._ask(told, b"".join(map(encode_part, proofs)))

    def journal(self, model: str, journal: bytes, weights_digest: str | None = None) -> Answer:
        """What it says of a journal of a compiled model; ``model`` is the text of its ``model.json``."""
        return self._ask({"kind": "journal", "model": model, "weightsDigest": weights_digest}, journal)

    def bits(self, parameters: tuple[int, int, int], logs: Sequence[int], tuples: int) -> list[float]:
        """Proven bits of a shape of the machine itself under each regime."""
        answer = self._ask({"kind": "bits", "parameters": list(parameters), "logs": list(logs), "tuples": tuples}, b"")
        bits: list[float] = answer["bits"]
        return bits

    def joined_bits(self, shapes: Sequence[ProofShape], tuples: Sequence[int], joint_tuples: int) -> list[float]:
        """Proven bits of joined proofs under each regime."""
        parts = [
            {"machine": self._known(shape.machine), "logs": list(shape.log_heights), "tuples": own}
            for shape, own in zip(shapes, tuples, strict=True)
        ]
        told = {"kind": "joined bits", "parameters": list(shapes[0].parameters.numbers), "parts": parts, "tuples": joint_tuples}
        bits: list[float] = self._ask(told, b"")["bits"]
        return bits

    def _known(self, subject: Machine) -> str:
        """The name under which it knows a machine: told once."""
        if subject.digest not in self._machines:
            name = f"{subject.name} {len(self._machines)}"
            question = {"kind": "machine", "name": name, "facts": facts(subject), "maxRows": subject.max_rows}
            assert self._ask(question, subject.description.encode())["digest"] == subject.digest.hex()
            self._machines[subject.digest] = name
        return self._machines[subject.digest]

    def _ask(self, question: dict[str, Any], data: bytes) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        told = json.dumps(question).encode()
        self._process.stdin.write(len(told).to_bytes(4, "little") + len(data).to_bytes(4, "little") + told + data)
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict)
        assert "crash" not in answer, answer["crash"]
        return answer


def _fields(fields: Sequence[tuple[str, bytes]]) -> list[list[str]]:
    return [[label, field.hex()] for label, field in fields]


def _statement(statement: Statement) -> dict[str, Any]:
    return {
        "fields": _fields(statement.fields),
        "heights": list(statement.preprocessed_heights),
        "root": statement.preprocessed_root.hex(),
        "closings": [_closing(own) for own in statement.closings],
    }


def _frozen(draws: Mapping[str, Any]) -> dict[str, Any]:
    return {label: _drawn(value) for label, value in draws.items()}


def _closing(own: Closing) -> dict[str, Any]:
    """Tuples of the verifier; of each value its two words."""
    return {"bus": own.bus.id, "sent": own.sent, "tuples": own.values.astype("<u8").view("<u4").tolist()}


def _drawn(value: Any) -> list[Any]:
    """An element of K as decimal strings, positions as numbers."""
    return [str(part) for part in value] if isinstance(value, tuple) else value.tolist()
