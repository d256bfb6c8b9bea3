"""Schemathesis reads the gateway's own OpenAPI document and tries what it promises, and what it does not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.gateway.fuzz.shapes import GOOD
from tests.gateway.harness import KEY, Gateway

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance, ignored_auth,
    unsupported_method,
]  # fmt: skip


OPERATIONS = [*((path, "post") for path in GOOD), *((path, "get") for path in ("/v1/models", "/v1/models/{model}"))]
OPERATIONS += [(path, "get") for path in ("/", "/api/tags", "/api/ps", "/api/version", "/livez", "/openapi.json")]


@pytest.fixture(scope="module")
def described(hostile: Gateway) -> Any:
    return schemathesis.openapi.from_dict(httpx.get(f"{hostile.url}/openapi.json").json())


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS])
def test_p64_what_the_document_promises_holds(described: Any, hostile: Gateway, path: str, method: str) -> None:
    operation = described[path][method]
    headers = {"Authorization": f"Bearer {KEY}"}

    @settings(max_examples=max(4, settings().max_examples // 15))
    @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def holds(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(base_url=hostile.url, headers=headers, checks=CHECKS, timeout=10)

    holds()
