"""What a scrape finds."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.supervisor import PARTS
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from gateway.telemetry.metrics import ENDPOINTS, LIMITS, MAX_KEYS, OUTCOMES, STAGES, TOKEN_KINDS
from tests.gateway.harness import (
    KEY,
    Engine,
    Gateway,
    bearer,
    chat,
    wait_until,
)

URL = "/v1/chat/completions"


def test_p35_metrics_parse_and_hold_no_value_that_a_client_chose(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    with gateway.client() as client:
        client.post(URL, json=chat())
        client.post(URL, json=chat(True))
        for number in range(30):
            client.post(URL, json=chat() | {"model": f"made-up-{number}"})
            client.get(f"/made-up-{number}")
            client.request(f"MADEUP{number}", "/health")
    families = {family.name: family for family in text_string_to_metric_families(gateway.metrics())}
    assert all(name.startswith("gateway_") for name in families)
    allowed = {
        "stage": STAGES,
        "result": {"kept", "escaped", "new", "applied", "rejected"},
        "reason": LIMITS,
        "kind": set(TOKEN_KINDS),
        "key": {hashlib.sha256(KEY.encode()).hexdigest()[:8], "other"},
        "deployment": {"test"},
        "model": {"tiny", "other"},
        "endpoint": ENDPOINTS | {"other"},
        "outcome": OUTCOMES,
        "code": {"200", "400", "404", "405", "503"},
        "engine_name": {"engine"},
        "address": {engine.url.removeprefix("http://")},
        "task": set(PARTS),
        "version": {"0.1.0"},
    }
    for family in families.values():
        for sample in family.samples:
            for label, value in sample.labels.items():
                assert label == "le" or value in allowed[label], sample
    assert families["gateway_time_to_first_token_seconds"].samples[-2].value == 1
    for name, planned in (("max_num_seqs", 64), ("max_num_batched_tokens", 2048), ("kv_cache_tokens", 1048576)):
        assert families[f"gateway_engine_{name}"].samples[0].value == planned
    assert families["gateway_engine_up"].samples[0].value == 1
    assert 0 <= families["gateway_event_loop_lag_seconds"].samples[0].value < 5


def _sample(text: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_the_time_to_first_token_is_there_while_the_answer_still_runs(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine]
) -> None:
    engine = start_engine(tokens=400, itl_ms=20)
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    with gateway.client() as client, client.stream("POST", URL, json=chat(True) | {"max_tokens": 400}) as answer:
        pieces = answer.iter_bytes()  # held: httpx closes the answer when its iterator goes
        next(pieces)
        text = gateway.metrics()
        assert _sample(text, "gateway_requests_in_flight") == 1
        assert _sample(text, "gateway_time_to_first_token_seconds_count", model="tiny") == 1


def test_a_counter_of_failures_is_at_zero_before_the_first(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    for outcome in OUTCOMES:
        assert _sample(gateway.metrics(), "gateway_requests_total", model="tiny", outcome=outcome) == 0


EXPIRY = "gateway_key_expiry_timestamp_seconds"


def test_p162_keys_that_have_ended_are_not_told_of_and_take_no_label_from_others(
    start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path
) -> None:
    store = KeyStore(tmp_path / "store")
    later = float(round(time.time()) + 3600)
    for number in range(MAX_KEYS // 2):
        store.create(f"revoked-{number}", Terms(expires=later))
        store.revoke(f"revoked-{number}")
        store.create(f"expired-{number}", Terms(expires=time.time() - 1))
    alice = store.create("alice", Terms(expires=later))
    gateway = start_gateway([engine.url], store=str(tmp_path / "store"))
    gateway.wait_up()
    text = gateway.metrics()
    assert _sample(text, EXPIRY, key="alice") == later
    for gone in ("revoked-0", "expired-0", "other"):
        assert _sample(text, EXPIRY, key=gone) is None
    with gateway.client() as client:
        assert client.post(URL, json=chat(), headers=bearer(alice)).status_code == 200
    text = gateway.metrics()
    assert _sample(text, "gateway_key_requests_total", key="alice", outcome="ok") == 1
    assert _sample(text, "gateway_key_requests_total", key="other", outcome="ok") is None


def test_p162_of_very_many_keys_the_next_to_end_are_told(
    start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path
) -> None:
    store = KeyStore(tmp_path / "store")
    later = round(time.time()) + 3600
    for number in range(MAX_KEYS + 5):
        store.create(f"key-{number}", Terms(expires=later - number))
    text = start_gateway([engine.url], store=str(tmp_path / "store")).metrics()
    assert text.count(f"\n{EXPIRY}{{") == MAX_KEYS
    assert _sample(text, EXPIRY, key=f"key-{MAX_KEYS + 4}") == later - MAX_KEYS - 4
    assert _sample(text, EXPIRY, key="key-4") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_p165_only_an_operator_reads_names_and_use_of_keys_and_addresses(
    start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path, host: str
) -> None:
    """On loopback too: a proxy with TLS before it makes everybody come from there."""
    store = KeyStore(tmp_path / "store")
    alice, watch = store.create("alice", Terms(expires=time.time() + 3600)), store.create("prometheus", Terms())
    more: dict[str, Any] = {"store": str(tmp_path / "store"), "operators": ["prometheus", "nobody-yet"]}
    gateway = start_gateway([engine.url], listen={"host": host, "plain_http": True}, **more)
    gateway.wait_up()
    with gateway.client() as client:
        assert client.post(URL, json=chat(), headers=bearer(alice)).status_code == 200
    # Neither without a key nor with a user's, of the store or of the file.
    for headers in ({}, bearer(alice), {"x-api-key": alice}, bearer(KEY)):
        answer = httpx.get(f"{gateway.url}/metrics", headers=headers)
        text = answer.text
        assert answer.status_code == 200
        assert "alice" not in text and hashlib.sha256(KEY.encode()).hexdigest()[:8] not in text
        assert engine.url.removeprefix("http://") not in text
        families = text_string_to_metric_families(text)
        labels = {label for family in families for sample in family.samples for label in sample.labels}
        assert not labels & {"key", "address"}
        assert _sample(text, "gateway_requests_total", model="tiny", outcome="ok") == 1
        assert _sample(text, "gateway_fairness_jain_index") == 1
    for headers in (bearer(watch), {"x-api-key": watch}):
        full = httpx.get(f"{gateway.url}/metrics", headers=headers)
        assert _sample(full.text, "gateway_key_requests_total", key="alice", outcome="ok") == 1
        assert _sample(full.text, EXPIRY, key="alice") is not None
        assert _sample(full.text, "gateway_engine_up") == 1
    assert httpx.get(f"{gateway.url}/metrics", headers=bearer("fb-not-ours")).status_code == 401
    assert httpx.get(f"{gateway.url}/health", headers=bearer("fb-not-ours")).status_code == 200

    # An operator's key that has ended is one no more.
    store.revoke("prometheus")
    wait_until(
        lambda: httpx.get(f"{gateway.url}/metrics", headers=bearer(watch)).status_code == 401, 5, "a revoked key"
    )


def test_p165_operators_change_without_a_restart(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url])
    name = hashlib.sha256(KEY.encode()).hexdigest()[:8]

    def shown() -> bool:
        return "gateway_engine_up{" in httpx.get(f"{gateway.url}/metrics", headers=bearer(KEY)).text

    assert not shown()
    before = gateway.config.read_text()
    gateway.config.write_text(f"{before}\noperators: ['{name}']\n")
    wait_until(shown, 5, "made an operator")
    gateway.config.write_text(before)
    wait_until(lambda: not shown(), 5, "an operator no more")
