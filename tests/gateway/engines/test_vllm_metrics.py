"""Numbers found in a page of metrics; the page of the pinned engine is a fixture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.engines import vllm_metrics
from tests.gateway.harness import ROOT

RECORDED = (ROOT / "tests" / "fixtures" / "vllm_metrics_0.32.0.txt").read_bytes()


def test_the_recorded_page_is_read() -> None:
    assert vllm_metrics.read(RECORDED) == vllm_metrics.Report(
        running=11,
        waiting=13,
        kv_usage=1.0,
        iterations=17113,
        generation_tokens=202331,
        prompt_tokens=68238,
        preemptions=529,
        kv_tokens=5120,
        block_tokens=128,
    )


def test_ranks_are_summed_and_their_caches_averaged() -> None:
    second = b"".join(
        line.replace(b'engine="0"', b'engine="1"') + b"\n"
        for line in RECORDED.splitlines()
        if line.startswith(b"vllm:")
    )
    # One family's lines stand together, as the format demands.
    names = {line.partition(b"{")[0] for line in second.splitlines()}
    lines = RECORDED.splitlines() + second.splitlines()
    page = b"\n" + b"\n".join(line for name in sorted(names) for line in lines if line.startswith(name + b"{")) + b"\n"
    one, both = vllm_metrics.read(RECORDED), vllm_metrics.read(page)
    assert one is not None and both is not None
    assert (both.running, both.waiting, both.iterations) == (22, 26, 2 * 17113)
    assert both.kv_usage == one.kv_usage


def test_a_page_of_something_else_is_no_report() -> None:
    assert vllm_metrics.read(b"") is None
    assert vllm_metrics.read(b"{}") is None
    assert vllm_metrics.read(b"\n# TYPE go_threads gauge\ngo_threads 7\n") is None


def test_nothing_to_do_is_not_busy() -> None:
    idle = vllm_metrics.Report(0, 0, 0, 1, 1, 1, 0)
    assert not idle.busy
    assert vllm_metrics.Report(0, 1, 0, 1, 1, 1, 0).busy


@given(cut=st.integers(0, len(RECORDED)))
def test_a_page_that_was_cut_off_breaks_nothing(cut: int) -> None:
    found = vllm_metrics.read(RECORDED[:cut])
    assert found is None or found.running >= 0
