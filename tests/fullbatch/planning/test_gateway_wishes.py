"""What a profile says of the gateway, and that the gateway takes it so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fullbatch.core.errors import UsageError
from fullbatch.planning import plan, profile
from fullbatch.planning.gateway_wishes import GatewayWishes
from fullbatch.runtime.compose.files import files
from gateway.config.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
BASE: dict[str, Any] = {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}
ALL = {
    "operators": ["ops"], "admins": ["alice"], "public_urls": ["https://llm.example", "http://192.168.1.5:8080"],
    "cors_origins": ["https://chat.example"], "clamp_max_tokens": True, "prefix_sharing": "key", "tracing": "http://collector:4318",
}  # fmt: skip


def rendered(wishes: dict[str, Any]) -> str:
    made = plan.make("p", profile.parse(BASE | {"gateway": wishes}, "p"))
    return files(ROOT, made)["gateway.yaml"]


def test_the_gateway_takes_what_is_rendered() -> None:
    taken = Settings.model_validate_json(json.dumps(yaml.safe_load(rendered(ALL))))
    assert (taken.operators, taken.admins, taken.prefix_sharing) == (("ops",), ("alice",), "key")
    assert taken.limits.requests.clamp_max_tokens and taken.cors.origins == ("https://chat.example",)
    assert [str(url).rstrip("/") for url in taken.public_urls] == ALL["public_urls"]


def test_the_engine_is_told_of_the_collector_too() -> None:
    asked = profile.parse(BASE | {"gateway": {"tracing": "http://collector:4318"}}, "p")
    (engine,) = plan.make("p", asked).engines
    words = engine.command("MODEL", "HOST", 0)
    assert words[words.index("--otlp-traces-endpoint") + 1] == "http://collector:4318/v1/traces"
    assert dict(engine.environment)["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"
    (untraced,) = plan.make("p", profile.parse(BASE, "p")).engines
    assert "--otlp-traces-endpoint" not in untraced.command("MODEL", "HOST", 0)


@pytest.mark.parametrize(
    "url", ["collector:4318", "http://a:b@collector:4318", "http://collector:4318/v1/traces", "grpc://c:1"]
)
def test_what_is_no_collector_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is no collector"):
        profile.parse(BASE | {"gateway": {"tracing": url}}, "p")


def test_without_wishes_nothing_is_written() -> None:
    text = rendered({})
    assert GatewayWishes().settings() == {}
    assert not [word for word in ("operators", "admins", "cors", "requests:", "prefix_sharing") if word in text]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"operator": ["a"]}, "gateway.operator: no such setting (did you mean operators?)"),
        ({"operators": "ops"}, "gateway.operators: a text should be a list"),
        ({"admins": [""]}, "gateway.admins[0]: '': write a name of a key"),
        ({"operators": ["a\nb"]}, "gateway.operators[0]: 'a\\nb': write a name of a key"),
        ({"public_urls": ["https://x/"]}, "'https://x/' is no address; write https://HOST or http://HOST:PORT, in"),
        ({"public_urls": ["https://X"]}, "'https://X' is no address"),
        ({"public_urls": ["https://x:99999"]}, "'https://x:99999' is no address"),
        ({"public_urls": ["https://[::1"]}, "'https://[::1' is no address"),
        ({"cors_origins": ["https://*.x"]}, "'https://*.x' is no origin"),
        ({"public_urls": ["llm.example"]}, "'llm.example' is no address; write https://HOST or http://HOST:PORT"),
        ({"public_urls": ["https://u:pw@llm.example"]}, "'llm.example' is no address"),
        ({"cors_origins": ["https://chat.example/path"]}, "'https://chat.example/path' is no origin; write https://"),
        ({"clamp_max_tokens": "yes"}, "gateway.clamp_max_tokens: 'yes' should be a valid boolean"),
        ({"prefix_sharing": "none"}, "gateway.prefix_sharing: 'none' should be 'all' or 'key'"),
        ([], "gateway: a list should be a mapping"),
    ],
)
def test_a_mistake_is_one_line(wishes: Any, said: str) -> None:
    with pytest.raises(UsageError) as error:
        profile.parse(BASE | {"gateway": wishes}, "p")
    assert said in str(error.value) and "\n" not in str(error.value) and "pw" not in str(error.value)
