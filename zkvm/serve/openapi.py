"""The description of the service's interface, from the table that its routes are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zkvm.session.pieces import version
from zkvm.stark.protocol.params import BEST, DEFAULT_DEMAND, DEFAULT_SECURITY, DEFAULT_SEGMENTS, PARAMETERS, REGIMES

BYTES, JSON, TEXT, EVENTS = "application/octet-stream", "application/json", "text/plain", "text/event-stream"
Schema = dict[str, Any]
HEX: Schema = {"type": "string", "pattern": "^(0x)?[0-9a-fA-F]{64}$"}
SWITCH: Schema = {"type": "boolean", "default": False}


def number(default: int) -> Schema:
    """A whole number that is not negative."""
    return {"type": "integer", "minimum": 0, "default": default}


def one_of(values: Sequence[Any], default: Any) -> Schema:
    """One of some values."""
    return {"type": "integer" if isinstance(default, int) else "string", "enum": list(dict.fromkeys(values)), "default": default}


VERIFY: dict[str, tuple[Schema, str]] = {
    "image_id": (HEX, "of the program that you trust; this or image is needed"),
    "image": ({"type": "string"}, "the same by the name of an image that the service knows"),
    "exit_code": (number(0), "exit code that you accept"),
    "min_security": (number(DEFAULT_DEMAND), "proven bits that you demand"),
    "regime": (one_of(REGIMES, BEST), "theorems that they may rest on"),
    "max_segments": (number(DEFAULT_SEGMENTS), "segments that you accept"),
    "allow_dev": (SWITCH, "accept a dev receipt, which proves nothing"),
}
"""Parameters of a verification: schema and meaning."""
PROVE: dict[str, tuple[Schema, str]] = {
    "image": ({"type": "string"}, "name or image ID of the program"),
    "params": (one_of([own.name for own in PARAMETERS], "balanced"), "parameter set"),
    "security": (one_of(sorted(own.security_bits for own in PARAMETERS), DEFAULT_SECURITY), "proven bits of the set"),
    "zk": (SWITCH | {"default": True}, "whether the proof hides the input from who sees the receipt"),
    "dev": (SWITCH, "no proof, a dev receipt, which proves nothing"),
    "pad_to": ({"type": "string"}, 'least rows of tables, a power of two, or "program"; models: program, else 0'),
    "max_cycles": ({"type": "integer", "minimum": 1}, "instructions after which the guest is stopped"),
}
"""Parameters of a proof."""

_STRING: Schema = {"type": "string"}
SCHEMAS: dict[str, Schema] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "object", "required": ["code", "message"], "properties": {"code": _STRING, "message": _STRING}}},
    },
    "Verdict": {
        "type": "object",
        "required": ["accepted"],
        "properties": {
            "accepted": {"type": "boolean"},
            **dict.fromkeys(("reason", "detail", "image_id", "journal", "regime"), _STRING),
            **dict.fromkeys(("exit_code", "security_bits"), {"type": "integer"}),
            **dict.fromkeys(("parameters", "bits_by_regime"), {"type": "object"}),
            **dict.fromkeys(("zk", "dev"), {"type": "boolean"}),
        },
    },
    "Images": {
        "type": "object",
        "required": ["images"],
        "properties": {
            "images": {
                "type": "array",
                "items": {"type": "object", "properties": dict.fromkeys(("name", "image_id", "kind"), _STRING)},
            }
        },
    },
    "Job": {
        "type": "object",
        "required": ["id", "state", "phase", "share", "error"],
        "properties": {
            **dict.fromkeys(("id", "image", "image_id", "phase", "journal"), _STRING),
            "state": {"type": "string", "enum": ["waiting", "running", "done", "failed", "cancelled"]},
            **dict.fromkeys(("share", "created", "seconds"), {"type": "number"}),
            **dict.fromkeys(("started", "ended"), {"type": ["number", "null"]}),
            **dict.fromkeys(
                ("exit_code", "cycles", "security_bits", "receipt_bytes", "segments", "peak_memory_bytes"), {"type": "integer"}
            ),
            "saturated_inputs": {"type": "integer"},
            **dict.fromkeys(("options", "salts"), {"type": "object"}),
            "error": {"type": ["object", "null"]},
            "deleted": {"type": "boolean"},
        },
    },
    "Health": {"type": "object", "required": ["status", "version"], "properties": {"status": _STRING, "version": _STRING}},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for.

    Attributes:
        method: of HTTP.
        path: with {job} where a job's ID stands.
        endpoint: answers it.
        summary: what it does.
        answers: content by status: a kind of content, or the name of a schema.
        query: parameters.
        body: what is sent; "": nothing.
        refusals: statuses that it may refuse with, beside 500.
    """

    method: str
    path: str
    endpoint: Callable[..., Awaitable[Any]]
    summary: str
    answers: dict[int, str]
    query: dict[str, tuple[Schema, str]] = field(default_factory=dict)
    body: str = ""
    refusals: tuple[int, ...] = ()

    def described(self) -> Schema:
        """Its part of the description."""
        parameters = [
            {"name": name, "in": "query", "schema": schema, "description": text, "required": self.path == "/v1/proofs" and name == "image"}
            for name, (schema, text) in self.query.items()
        ]
        if "{job}" in self.path:
            parameters.append({"name": "job", "in": "path", "required": True, "schema": _STRING, "description": "ID of a job"})
        responses = {str(status): _answer(kind) for status, kind in self.answers.items()}
        responses |= {str(status): _answer("Error") for status in (*self.refusals, 500)}
        view: Schema = {"summary": self.summary, "parameters": parameters, "responses": responses}
        if self.body:
            schema = {"type": "string", "format": "binary"}
            view["requestBody"] = {"required": True, "description": self.body, "content": {BYTES: {"schema": schema}}}
        return view


def _answer(kind: str) -> Schema:
    if kind in SCHEMAS:
        return {"description": kind, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{kind}"}}}}
    return {"description": "content", "content": {kind: {}}}


def description(operations: Sequence[Operation]) -> Schema:
    """The whole description, OpenAPI 3.1."""
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = operation.described()
    info = {"title": "zkvm serve", "version": version(), "description": "Verifies receipts, and proves runs of known programs."}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": SCHEMAS}}
