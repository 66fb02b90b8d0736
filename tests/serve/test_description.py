"""The description of the interface is that of the routes: paths, methods, parameters, and the statuses and shapes of real answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.receipts import dev_receipt
from tests.serve.clients import finished, serving
from zkvm.serve.app import application
from zkvm.serve.endpoints import Service
from zkvm.serve.openapi import JSON, PROVE, SCHEMAS, VERIFY

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list, "null": type(None),
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Service]]:
    with serving(tmp_path_factory.mktemp("serve")) as both:
        yield both


def check(value: Any, schema: dict[str, Any]) -> None:
    """Whether a value is as a schema says, and has nothing that the schema does not know."""
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(isinstance(value, TYPES[kind]) for kind in kinds), (value, schema)
    assert value in schema.get("enum", [value])
    if "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"])
        for name, own in value.items():
            check(own, schema["properties"][name])
    for own in value if "items" in schema else ():
        check(own, schema["items"])


def test_every_route_is_described_and_nothing_else(service: tuple[TestClient, Service]) -> None:
    client, own = service
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.")
    routes = {(route.path, method) for route in application(own).routes if isinstance(route, Route) for method in route.methods or ()}
    found = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert found == {(path, method) for path, method in routes if method != "HEAD"}
    references = [
        content["schema"]["$ref"].rpartition("/")[2]
        for methods in described["paths"].values()
        for operation in methods.values()
        for response in operation["responses"].values()
        for content in response["content"].values()
        if "schema" in content
    ]
    assert set(references) == set(described["components"]["schemas"]) == set(SCHEMAS)


@pytest.mark.parametrize(("path", "known", "needed"), [("/v1/verify", VERIFY, "image=echo"), ("/v1/proofs", PROVE, "image=echo&dev=true")])
def test_described_parameters_and_their_defaults_are_accepted(
    path: str, known: dict[str, Any], needed: str, service: tuple[TestClient, Service]
) -> None:
    client, _ = service
    given = {part.partition("=")[0] for part in needed.split("&")}
    defaults = [f"{name}={str(schema['default']).lower()}" for name, (schema, _) in known.items() if "default" in schema]
    query = "&".join([needed, *(own for own in defaults if own.partition("=")[0] not in given)])
    response = client.post(f"{path}?{query}", content=dev_receipt().to_bytes())
    assert response.status_code in (200, 202), response.text
    for name, (schema, _) in known.items():
        for value in schema.get("enum", []) if name not in ("security",) else ():
            assert client.post(f"{path}?{needed}&{name}={value}", content=b"").status_code in (200, 202)


def test_answers_are_as_described(service: tuple[TestClient, Service]) -> None:
    client, _ = service
    described = client.get("/openapi.json").json()
    data = dev_receipt().to_bytes()
    job = client.post("/v1/proofs?image=echo&dev=true", content=b"x").json()["id"]
    finished(client, job)
    verify, proofs, own = "/v1/verify", "/v1/proofs", "/v1/proofs/{job}"
    asked = [
        ("POST", verify, "?image=echo&allow_dev=true", data), ("POST", verify, "?image=echo", data), ("POST", verify, "", b""),
        ("POST", proofs, "?image=echo&dev=true", b"x"), ("POST", proofs, "?image=no", b""), ("GET", own, "", b""),
        ("GET", f"{own}/receipt", "", b""), ("GET", f"{own}/events", "", b""), ("GET", "/v1/images", "", b""), ("GET", "/health", "", b""),
        ("GET", "/metrics", "", b""), ("GET", "/openapi.json", "", b""), ("DELETE", own, "", b""), ("GET", f"{own}/receipt", "", b""),
    ]  # fmt: skip
    for method, path, query, body in asked:
        response = client.request(method, path.format(job=job) + query, content=body)
        answer = described["paths"][path][method.lower()]["responses"][str(response.status_code)]
        ((kind, content),) = answer["content"].items()
        assert response.headers["content-type"].partition(";")[0] == kind
        if kind == JSON and "schema" in content:
            check(response.json(), SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]])


def test_metrics_count_requests_by_route_and_verdicts(service: tuple[TestClient, Service]) -> None:
    client, _ = service
    client.get("/v1/proofs/secret-name")
    client.get("/some/where")
    text = client.get("/metrics").text
    assert 'zkvm_requests_total{method="GET",route="/v1/proofs/{job}",status="404"} 1.0' in text
    assert 'zkvm_requests_total{method="any",route="none",status="404"} 1.0' in text
    assert 'zkvm_verdicts_total{verdict="POLICY"} ' in text
    assert "secret-name" not in text
    assert 'zkvm_verifications{state="running"} 0.0' in text
