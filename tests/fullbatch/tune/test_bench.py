"""What a bench is asked; the one of tests keeps to it."""

from __future__ import annotations

from fullbatch.tune.bench import MeasuredLoad, RaceBench, RaceLoad
from tests.fullbatch.tune.benches import KnownBench


def test_a_load_is_of_people_and_of_one_half() -> None:
    bench: RaceBench = KnownBench({"plan": 8.0}, boot_sd=0, load_sd=0)
    boot = bench.boot("plan")
    assert boot.measure(RaceLoad(8)).figures["ttft_p95_ms"] == 1000.0
    assert RaceLoad(8) != RaceLoad(8, held_out=True) and MeasuredLoad().valid
    boot.end()
    assert bench.spent() == 41.0
