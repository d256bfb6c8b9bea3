from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch.top.reading import Reading, increase, mean, quantile, rate, read
from tests.prometheus.exposition import ENGINE, GATEWAY


def page(requests: float, *buckets: float, total: float = 0.0) -> str:
    edges = ("0.1", "0.5", "1.0", "+Inf")
    lines = [f'h_seconds_bucket{{le="{edge}"}} {count}' for edge, count in zip(edges, buckets, strict=False)]
    histogram = ["# TYPE h_seconds histogram", *lines, f"h_seconds_sum {total}"]
    if buckets:
        histogram.append(f"h_seconds_count {buckets[-1]}")
    counter = ["# TYPE r_total counter", f'r_total{{outcome="ok"}} {requests}', 'r_total{outcome="cut"} 1']
    return "\n".join([*counter, *(histogram if buckets else [])]) + "\n"


def test_what_the_real_programs_expose_is_read() -> None:
    reading = read(5.0, GATEWAY.read_text(), ENGINE.read_text())
    assert (reading.at, reading.gateway, reading.engine) == (5.0, True, True)
    assert reading.total("vllm:num_requests_running", model_name="tiny") == 11
    assert reading.highest("vllm:kv_cache_usage_perc") == 1.0
    assert reading.by("gateway_engine_max_num_seqs", "engine_name") == {"engine": 16}


@pytest.mark.parametrize("text", ["", "<html>no</html>", "vllm:num_requests_running{"])
def test_what_is_no_exposition_is_no_answer(text: str) -> None:
    reading = read(0, text, page(1))
    assert (reading.gateway, reading.engine) == (False, True)
    assert reading.total("r_total") == 2


def test_a_counter_that_started_anew_counts_from_zero() -> None:
    old, new = read(0, "", page(100)), read(10, "", page(4))
    assert increase(old, new, "r_total", outcome="ok") == 4
    assert rate(old, new, "r_total", outcome="ok") == pytest.approx(0.4)


def test_what_is_not_there_is_not_known() -> None:
    empty = Reading(0)
    assert empty.total("r_total") is None and empty.highest("r_total") is None
    assert rate(empty, empty, "r_total") is None
    assert mean(empty, empty, "h_seconds") is None
    assert quantile(0.5, empty, empty, "h_seconds") is None


def test_no_time_between_two_readings_is_no_rate() -> None:
    assert rate(read(3, "", page(1)), read(3, "", page(9)), "r_total") is None


def test_mean_and_quantile_are_of_what_happened_in_between() -> None:
    old, new = read(0, "", page(1, 50, 50, 50, 50, total=1)), read(1, "", page(1, 50, 60, 60, 60, total=4))
    assert mean(old, new, "h_seconds") == pytest.approx(0.3)
    assert quantile(0.5, old, new, "h_seconds") == pytest.approx(0.3)  # the middle of 0.1 to 0.5
    assert quantile(1.0, old, new, "h_seconds") == pytest.approx(0.5)


def test_beyond_the_last_edge_its_lower_edge_is_said() -> None:
    assert quantile(0.9, Reading(0), read(1, "", page(1, 0, 0, 0, 8)), "h_seconds") == 1.0


counts = st.lists(st.integers(0, 50), min_size=4, max_size=4).map(
    lambda each: [float(sum(each[: n + 1])) for n in range(4)]
)


@given(counts, st.floats(0, 1))
def test_a_quantile_lies_within_the_histogram(buckets: list[float], q: float) -> None:
    found = quantile(q, Reading(0), read(1, "", page(1, *buckets)), "h_seconds")
    assert found is None if buckets[-1] == 0 else found is not None and 0 <= found <= 1 and math.isfinite(found)
