"""The gateway's own OpenAPI document."""

from __future__ import annotations

import re

import httpx
from jsonschema import Draft202012Validator

from gateway.telemetry.metrics import ENDPOINTS
from tests.gateway.harness import ROOT, Gateway

PAGE = (ROOT / "docs" / "gateway-behaviour.md").read_text()


def test_p58_the_document_is_there_without_a_key_and_its_schemas_are_schemas(gateway: Gateway) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_p58_the_document_names_every_path_of_the_page_and_no_other(gateway: Gateway) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json").json()
    table = PAGE.partition("## Paths")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(document["paths"]) == {path for row in rows for path in re.findall(r"`([^`]+)`", row)}


def test_p58_what_an_engine_answers_is_counted_under_its_own_path(gateway: Gateway) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json").json()
    asked = {path for path, methods in document["paths"].items() if "post" in methods}
    assert asked - {"/api/show", "/ui/v1/keys", "/ui/v1/models/do"} == ENDPOINTS
