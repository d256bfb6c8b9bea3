"""What is read out of a vLLM exposition."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.engines.vllm_metrics import EngineSample, parse
from tests.loadtest.programs import ROOT

TEXT = """\
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


def test_ranks_are_summed_and_the_fullest_cache_counts() -> None:
    sample = parse(TEXT)
    assert (sample.running, sample.waiting, sample.kv_usage) == (7, 0, 0.75)
    assert sample.generation_tokens == 1.5e6


def test_what_is_not_there_is_unknown_and_not_zero() -> None:
    sample = parse(TEXT)
    assert (sample.preemptions, sample.prefix_queries, sample.prefix_hits) == (None, None, None)
    assert parse("") == EngineSample()
    assert parse("<html>vllm:num_requests_running{</html>\nvllm:num_requests_running{ x\n") == EngineSample()


def recordings() -> list[Path]:
    return sorted((ROOT / "tests" / "fixtures").glob("**/vllm_metrics*.txt"))


@pytest.mark.skipif(not recordings(), reason="no recording of the pinned engine's /metrics yet")
@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.name)
def test_every_series_exists_in_a_recording_of_the_pinned_engine(path: Path) -> None:
    sample = parse(path.read_text())
    assert None not in [getattr(sample, name) for name in EngineSample.__slots__]
