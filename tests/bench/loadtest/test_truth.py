"""The bench runs and its numbers are those of its engine. What they are worth on this machine is not tested."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.loadtest.programs import ROOT


def test_the_fake_engine_keeps_the_truth_and_the_bench_compares_with_it() -> None:
    command = [sys.executable, "-m", "bench.loadtest.truth", "--users", "2", "--share-cores", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == "" and done.returncode in (0, 1)
    found = json.loads(done.stdout)
    assert found["requests"] == 10
    true = {(row["metric"], row["statistic"]): row["true_ms"] for row in found["rows"]}
    assert 100 <= true["ttft_ms", "p50"] < 200
    assert 19 < true["tpot_ms", "mean"] < 30
