"""What is told of a model, without processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.admission.controller import Admission
from gateway.config.engine_settings import EngineSettings
from gateway.config.settings import Polling, RoutingSettings, Settings
from gateway.config.turn_settings import TurnSettings
from gateway.core.supervisor import Supervisor
from gateway.core.ticker import Ticker
from gateway.engines.registry import EngineRegistry
from gateway.telemetry.turn_metrics import TurnMetrics
from gateway.turns.card import Around, CardSwitcher
from gateway.turns.report import told


def engine(name: str) -> EngineSettings:
    turn = TurnSettings(
        card="card0", launcher="/nowhere/l.sock", name=name, sleep=True, wake_guess_s=2, cold_guess_s=50
    )
    return EngineSettings(
        name=f"engine-{name}", url=f"http://{name}:1", models=(name, f"{name}-adapter"), max_num_seqs=4,
        max_num_batched_tokens=2048, max_model_len=4096, kv_cache_tokens=65536, turn=turn,
    )  # fmt: skip


@pytest.fixture
async def card() -> AsyncIterator[CardSwitcher]:
    loop = asyncio.get_running_loop()
    settings = Settings(api_keys_file=Path("keys"), deployment="test", engines=(engine("a"), engine("b")))
    ticker = Ticker(loop, Supervisor())
    registry = EngineRegistry(settings.engines, Polling(), RoutingSettings(), ticker, loop)
    admission = Admission(settings.admission, registry, 64, loop.time)
    admission.cards.use([{"a": 1.0, "a-adapter": 1.0, "b": 1.0, "b-adapter": 1.0}], 120.0, loop.time())
    yield CardSwitcher("card0", settings.engines, settings, Around(registry, admission, TurnMetrics(), loop))


async def test_one_that_is_not_loaded(card: CardSwitcher) -> None:
    found = told(card, "a")
    assert found.brief() == {"state": "stopped", "since": None, "about_s": 50.0}
    metrics = TurnMetrics()
    metrics.know("card0", ["a", "b"])
    whole = found.whole(metrics)
    assert (whole["name"], whole["models"], whole["next_load"]) == ("a", ["a", "a-adapter"], "cold")
    assert (whole["wake_s"], whole["wake_learned"], whole["cold_s"]) == (2.0, False, 50.0)
    assert (whole["why"], whole["retry_at"], whole["log"]) == ("", None, [])


async def test_one_that_is_loaded_or_being_loaded(card: CardSwitcher) -> None:
    card.policy.adopt("a", card.now() - 100.0)
    ready = told(card, "a").brief()
    assert ready["state"] == "ready" and "about_s" not in ready and str(ready["since"]).startswith("20")
    card.enter("loading", "b")
    loading = told(card, "b").brief()
    assert loading["state"] == "loading" and loading["about_s"] == pytest.approx(50.0, abs=1)


async def test_one_that_failed_says_why_and_when_it_is_tried_again(card: CardSwitcher) -> None:
    card.policy.failed("a", "could not be loaded: no memory", card.now())
    found = told(card, "a")
    assert found.brief()["why"] == "could not be loaded: no memory"
    metrics = TurnMetrics()
    metrics.know("card0", ["a", "b"])
    metrics.failures["a", "start"] += 2
    whole = found.whole(metrics)
    assert (whole["state"], whole["failures"]) == ("failed", 2)
    assert str(whole["retry_at"]) > datetime.now(UTC).isoformat(timespec="seconds")
