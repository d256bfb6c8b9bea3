"""Attained service and Jain's index."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.attained_service import BUCKET_S, WINDOW_S, Attained, ServiceWindow, jain


def test_service_halves_in_its_half_life() -> None:
    attained = Attained(60, now=1000)
    attained.charge("a", 800, 1, now=1000)
    assert attained.service("a", 1060) == pytest.approx(400)
    assert attained.service("a", 1180) == pytest.approx(100)


def test_weight_divides_service() -> None:
    attained = Attained(60, now=0)
    attained.charge("one", 100, 1, now=0)
    attained.charge("four", 100, 4, now=0)
    assert attained.rank("one") == 4 * attained.rank("four")


@given(
    charges=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1e5), st.floats(0, 3e5)), min_size=1, max_size=30),
    half_life=st.floats(1, 1000),
)
def test_the_order_is_that_of_fading_counters(charges: list[tuple[str, float, float]], half_life: float) -> None:
    """Also over times in which the inflation passes every limit of floating point numbers."""
    attained, plain, now = Attained(half_life, now=0), dict.fromkeys("abc", 0.0), 0.0
    for key, amount, passes in charges:
        plain = {name: value * 0.5 ** (passes / half_life) for name, value in plain.items()}
        now += passes
        attained.charge(key, amount, 1, now)
        plain[key] += amount
    for key, value in plain.items():
        # What comes within 0.01 s is inflated by the same.
        assert attained.service(key, now) == pytest.approx(value, rel=1e-6 + 0.01 / half_life, abs=1e-4)


def test_who_comes_back_is_lifted_to_the_least_active_and_never_lowered() -> None:
    attained = Attained(60, now=0)
    for key, amount in (("busy", 500), ("busier", 900), ("had-more", 700)):
        attained.charge(key, amount, 1, now=0)
    attained.lift("new", {"busy", "busier"})
    attained.lift("had-more", {"busy", "busier"})
    attained.lift("alone", set())
    assert attained.rank("new") == attained.rank("busy")
    assert (attained.service("had-more", 0), attained.rank("alone")) == (700, 0)


@given(shares=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=20))
def test_jains_index_is_between_one_nth_and_one(shares: list[float]) -> None:
    assert 1 / len(shares) - 1e-9 <= jain(shares) <= 1 + 1e-9


def test_jains_index_of_known_shares() -> None:
    assert jain([5, 5, 5]) == 1
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)
    assert jain([3, 1]) == pytest.approx(16 / 20)
    assert jain([]) == jain([7]) == jain([0, 0]) == 1


def run_minute(window: ServiceWindow, served: dict[str, float], waits: list[str], now: float) -> float:
    for _ in range(int(WINDOW_S / BUCKET_S) * 10):
        now += BUCKET_S / 10
        window.sample(waits, now)
        for key, amount in served.items():
            window.served(key, amount, 1, now)
    return now


def test_the_window_judges_only_keys_that_waited_all_along() -> None:
    window = ServiceWindow()
    now = run_minute(window, {"a": 30, "b": 10, "rarely-asks": 0.1}, ["a", "b"], 0)
    assert window.jain(now) == pytest.approx(1600 / 2000)
    now = run_minute(window, {"a": 10, "b": 10}, ["a", "b"], now)
    assert window.jain(now) == pytest.approx(1)
    assert window.jain(now + WINDOW_S + BUCKET_S) == 1
