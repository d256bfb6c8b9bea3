"""The order that the simulator gives."""

from __future__ import annotations

from fullbatch.simulate.request import LoadRequest
from fullbatch.tune import arms, order
from tests.fullbatch.tune.test_arms import planned

TYPICAL = LoadRequest(64, 64)


def made(name: str) -> list[arms.Arm]:
    wanted, plan = planned(name)
    return list(arms.build(name, wanted, plan, lambda _: False)[0])


def test_few_seats_come_last_and_what_is_not_known_comes_after_the_better_half() -> None:
    found = made("cpu-smollm2")
    forecast = order.forecast(found, TYPICAL, {"ttft_p95_ms": 6000.0}, None)
    assert "ngram-3" in forecast.unknown and forecast.values["seats-28"] < forecast.values["seats-112"]
    names = [arm.name for arm in order.ordered(found, forecast)]
    assert sorted(names) == sorted(arm.name for arm in found)
    assert names[-1] == "seats-28" and 0 < names.index("ngram-3") < len(names) - 1


def test_tokens_are_forecast_for_one_load() -> None:
    forecast = order.forecast(made("cpu-smollm2"), TYPICAL, {}, 50)
    assert forecast.values["seats-28"] < forecast.values["seats-112"]


def test_what_cannot_be_simulated_is_said() -> None:
    tiny = made("cpu-tiny")
    assert set(order.forecast(tiny, TYPICAL, {"ttft_p95_ms": 1.0}, None).unknown) == {arm.name for arm in tiny}
    assert not order.forecast(made("cpu-smollm2"), None, {"ttft_p95_ms": 1.0}, None).values
    assert not order.forecast(made("cpu-smollm2"), LoadRequest(10**7, 1), {"ttft_p95_ms": 1.0}, None).values
