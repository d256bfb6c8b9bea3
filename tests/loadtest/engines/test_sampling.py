"""Samples joined to stages, and the sampler's process."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil

from loadtest.engines.sampler import FIELDS
from loadtest.engines.sampling import EngineSampling, Sample, join, read_sample
from tests.loadtest.programs import ROOT


def sample(at: int, **known: float) -> Sample:
    return Sample(at=at, memory_bytes=known.pop("memory_bytes", None), **{name: known.get(name) for name in FIELDS})


def test_peaks_are_of_samples_inside_the_stage_and_counters_of_its_borders() -> None:
    samples = [
        sample(5, running=50, kv_usage=0.9, preemptions=1, generation_tokens=100),
        sample(10, running=2, kv_usage=0.1, preemptions=1, generation_tokens=120, memory_bytes=7),
        sample(15, running=5, kv_usage=0.3, waiting=1, memory_bytes=9),
        sample(20, running=3, kv_usage=0.2, preemptions=4, generation_tokens=170),
        sample(25, running=60, preemptions=9, generation_tokens=999),
    ]
    joined = join(samples, 8, 18)
    assert (joined.samples, joined.batch_peak, joined.kv_peak, joined.waiting_peak) == (2, 5, 0.3, 1)
    assert (joined.memory_peak_bytes, joined.preemptions, joined.engine_tokens) == (9, 3, 70)


def test_without_a_sample_inside_peaks_are_unknown() -> None:
    joined = join([sample(5, running=1), sample(30, running=2)], 10, 20)
    assert (joined.samples, joined.batch_peak, joined.kv_peak, joined.memory_peak_bytes) == (0, None, None, None)


def test_counters_are_unknown_when_the_engine_restarted_or_a_border_is_missing() -> None:
    assert join([sample(5, preemptions=7), sample(30, preemptions=0)], 10, 20).preemptions is None
    assert join([sample(15, preemptions=7), sample(30, preemptions=8)], 10, 20).preemptions is None


def test_prefix_hits_are_a_share_of_the_queries_in_the_stage() -> None:
    samples = [sample(5, prefix_queries=100, prefix_hits=90), sample(30, prefix_queries=300, prefix_hits=100)]
    assert join(samples, 10, 20).prefix_hit_ratio == 0.05


def test_a_sum_with_a_silent_engine_is_unknown() -> None:
    line = json.dumps({"at": 1, "engines": [{"running": 3, "kv_usage": 0.5}, None], "rss": [100, 20]})
    read = read_sample(line)
    assert (read.running, read.kv_usage, read.memory_bytes) == (None, 0.5, 120)


def test_the_sampler_sees_a_live_engine_and_its_memory(engine: tuple[str, int]) -> None:
    url, pid = engine
    children = set(psutil.Process().children())
    watch = EngineSampling([f"{url}/metrics"], [pid], interval=0.1)
    watch.start()
    watch.ask()
    before = time.perf_counter_ns()
    time.sleep(0.5)
    watch.ask()
    samples = watch.stop()
    inside = [one for one in samples if one.at > before]
    assert len(inside) >= 2
    assert inside[0].running == 0 and inside[0].generation_tokens is not None
    assert inside[0].memory_bytes is not None and inside[0].memory_bytes > 5 * 2**20
    assert set(psutil.Process().children()) <= children, "the sampler is still there"


def test_an_engine_that_does_not_answer_is_unknown() -> None:
    watch = EngineSampling(["http://127.0.0.1:9/metrics"], [], interval=0.1)
    watch.start()
    watch.ask()
    assert {(one.running, one.kv_usage) for one in watch.stop()} == {(None, None)}


def test_the_sampler_ends_with_its_parent_however_that_ends() -> None:
    """Killed outright, so that nobody can tell the sampler: only its stdin ends."""
    program = (
        "import time; from loadtest.engines.sampling import EngineSampling\n"
        "watch = EngineSampling(['http://127.0.0.1:9/metrics'], [], 0.2); watch.start(); watch.ask()\n"
        "print('started', flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    [sampler] = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs([sampler], timeout=10)
    assert not alive
