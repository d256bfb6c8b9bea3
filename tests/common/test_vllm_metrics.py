"""What is read out of a vLLM exposition."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from common.vllm_metrics import EngineMetrics, read

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
RECORDED = (FIXTURES / "vllm_metrics_0.32.0.txt").read_bytes()

TEXT = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a {curly} name"} 3.0
vllm:num_requests_running{engine="1",model_name="a {curly} name"} 4.0
vllm:num_requests_waiting{engine="0"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 9.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:generation_tokens_total{engine="0"} 1.5e+06 1790000000000
vllm:generation_tokens_created{engine="0"} 1.79e+09
vllm:num_preemptions_total NaN
process_resident_memory_bytes 1e9
"""


def test_ranks_are_summed_and_of_their_caches_mean_and_fullest_are_told() -> None:
    sample = read(TEXT)
    assert (sample.running, sample.waiting, sample.kv_usage, sample.kv_usage_highest) == (7, 0, 0.5, 0.75)
    assert sample.generation_tokens == 1.5e6


def test_what_is_not_there_is_unknown_and_not_zero() -> None:
    sample = read(TEXT)
    assert (sample.preemptions, sample.prefix_queries, sample.prefix_hits) == (None, None, None)
    assert read(b"") == EngineMetrics()
    assert read(b"<html>vllm:num_requests_running{</html>\nvllm:num_requests_running{ x\n") == EngineMetrics()


def test_a_longer_name_is_another_family() -> None:
    """As `vllm:num_requests_waiting_by_reason`, which may stand before."""
    page = b'vllm:num_requests_waiting_by_reason{a="b"} 9.0\nvllm:num_requests_waiting{engine="0"} 2.0\n'
    assert read(page).waiting == 2
    assert read(page.partition(b"\n")[0]).waiting is None
    assert read(b"vllm:num_requests_waiting 3.0\n").waiting == 3


def test_the_recorded_page_is_read() -> None:
    assert read(RECORDED) == EngineMetrics(
        running=11,
        waiting=13,
        kv_usage=1.0,
        kv_usage_highest=1.0,
        iterations=17113,
        generation_tokens=202331,
        prompt_tokens=68238,
        preemptions=529,
        prefix_queries=272910,
        prefix_hits=204672,
        kv_tokens=5120,
        block_tokens=128,
    )


def test_every_series_exists_in_a_recording_of_the_pinned_engine() -> None:
    for path in FIXTURES.glob("**/vllm_metrics*.txt"):
        if path.stem.endswith("_drafting"):  # cut out of one: only what drafts add
            continue
        sample = read(path.read_bytes())
        assert None not in [getattr(sample, name) for name in EngineMetrics.__slots__], path


@given(cut=st.integers(0, len(RECORDED)))
def test_a_page_that_was_cut_off_breaks_nothing(cut: int) -> None:
    found = read(RECORDED[:cut])
    assert found.running is None or found.running >= 0


@given(noise=st.binary(max_size=200), at=st.integers(0, len(RECORDED)))
def test_a_page_with_nonsense_in_it_breaks_nothing(noise: bytes, at: int) -> None:
    found = read(RECORDED[:at] + noise + RECORDED[at:])
    assert all(value is None or isinstance(value, float | int) for value in (found.waiting, found.kv_tokens))
