"""Tokens a second from the engines' counters."""

from __future__ import annotations

import pytest

from gateway.engines.registry import EngineRegistry
from gateway.engines.vllm_metrics import Report
from gateway.pages.token_rate import WINDOW_S, TokenRate
from tests.gateway.engines.registries import serving


def said(registry: EngineRegistry, *counts: float) -> None:
    for replica, count in zip(registry.replicas(), counts, strict=True):
        replica.report = Report(1, 0, 0.1, 1, count, 1, 0)


async def test_it_is_the_sum_of_all_engines_over_the_last_seconds() -> None:
    registry = await serving(4, 4)
    now = 100.0
    token_rate = TokenRate(registry, lambda: now)
    token_rate.tick()
    assert token_rate.tokens_per_second == 0
    said(registry, 5000, 7000)  # what was written before it was seen is not of now
    for step in range(21):
        token_rate.tick()
        now += 0.5
        said(registry, 5000 + 10 * step, 7000 + 40 * step)
    assert token_rate.tokens_per_second == pytest.approx(100, rel=0.1)
    for _ in range(int(WINDOW_S / 0.5) + 1):
        now += 0.5
        token_rate.tick()
    assert token_rate.tokens_per_second == 0
    registry.stop()


async def test_an_engine_that_begins_anew_takes_nothing_back() -> None:
    registry = await serving(4)
    now = 0.0
    token_rate = TokenRate(registry, lambda: now)
    for count in (1000.0, 1100.0, 0.0, 50.0):
        said(registry, count)
        token_rate.tick()
        now += 1.0
    assert token_rate.tokens_per_second == pytest.approx(50)
    registry.stop()
