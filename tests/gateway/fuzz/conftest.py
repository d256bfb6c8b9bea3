"""A gateway with short patience for the fuzz, and what must hold after every file of it.

A long run: ``pytest tests/gateway/fuzz --hypothesis-profile=long``.
"""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from tests.gateway.harness import Engine, Gateway, wait_until

_SILENCED = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile(
    "suite", max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=_SILENCED
)
hypothesis.settings.register_profile("long", max_examples=20_000, deadline=None, suppress_health_check=_SILENCED)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile", default=None):
        hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="package")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Engine]]:
    engine = Engine(tmp_path_factory.mktemp("engine"), ttft_ms=0, itl_ms=0, max_model_len=512)
    limits = {"header_timeout_s": 0.4, "body_timeout_s": 0.4, "keep_alive_s": 5, "max_body_bytes": 300_000}
    numbers = {"max_num_seqs": 64, "max_num_batched_tokens": 2048, "max_model_len": 512, "kv_cache_tokens": 1048576}
    section = {"name": "e", "url": engine.url, "models": ["tiny"], **numbers}
    # No trial by itself: it would come in the middle of an example, and be taken for what hid in a body.
    polling = {"canary_interval_s": 0}
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), [], engines=[section], limits=limits, polling=polling)
    gateway.wait_up()
    yield gateway, engine
    gateway.stop()
    engine.stop()


@pytest.fixture(scope="module")
def hostile(fuzzed: tuple[Gateway, Engine]) -> Iterator[Gateway]:
    """The gateway. Afterwards no request is left in it or in the engine, and nothing in it was a defect."""
    gateway, engine = fuzzed
    yield gateway
    wait_until(lambda: gateway.metric("gateway_requests_in_flight") == 0, 5, "every place given back")
    wait_until(lambda: engine.running() == 0, 5, "the engine without requests")
    assert gateway.metric("gateway_requests_total", outcome="internal") == 0
    assert gateway.metric("gateway_responses_total", code="500") == 0
    assert "Traceback" not in gateway.stderr()
