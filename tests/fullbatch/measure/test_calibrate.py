from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fullbatch.core.errors import StateError
from fullbatch.measure import calibrate
from fullbatch.measure.calibrate import EngineReport
from fullbatch.planning.plan import Plan
from tests.fullbatch.checkout import REPOSITORY, Checkout

TODAY = datetime.date(2026, 11, 23)
METRICS = 'vllm:cache_config_info{engine="0",kv_cache_size_tokens="524288"} 1.0\n'
# The lines of vLLM 0.32's worker on a card (v1/worker/gpu_worker.py), with numbers of this test's own.
CARD_LOG = [
    "(EngineCore pid=9) INFO 11-23 15:12:01 [gpu_model_runner.py:5000] Model loading took 14.25 GiB memory",
    "(EngineCore pid=9) INFO 11-23 15:12:20 [gpu_worker.py:790] Estimated CUDA graph memory: 0.41 GiB total",
    "(EngineCore pid=9) INFO 11-23 15:12:20 [gpu_worker.py:800] Available KV cache memory: 5.61 GiB",
    "(EngineCore pid=9) INFO 11-23 15:12:40 [gpu_worker.py:990] Free memory on device (23.1/23.5 GiB) on startup. "
    "Desired GPU memory utilization is (0.92, 21.62 GiB). Actual usage is 14.8 GiB for consumed memory (weights + "
    "non-torch), 0.8 GiB for peak activation, and 0.39 GiB for CUDAGraph memory. Replace gpu_memory_utilization",
]


def test_an_exact_run(plan_of: Callable[[str], Plan]) -> None:
    run = calibrate.measure(plan_of("cpu-tiny"), EngineReport(METRICS, [], 1.75), TODAY)
    assert run["date"] == "2026-11-23"
    assert (run["kv_tokens_predicted"], run["kv_tokens_reported"], run["error"]) == (524_288, 524_288, 0.0)
    assert run["beside_gib"] == pytest.approx(1.75 - 1.0065, abs=0.01)
    assert "+0.00%" in calibrate.as_text(run)


def test_a_run_that_is_off_says_by_how_much(plan_of: Callable[[str], Plan]) -> None:
    run = calibrate.measure(plan_of("cpu-tiny"), EngineReport(METRICS.replace("524288", "498073"), [], None), TODAY)
    assert run["error"] == -0.05
    assert "beside_gib" not in run


def test_what_the_log_of_a_card_names() -> None:
    assert calibrate.logged(CARD_LOG) == {
        "weights_gib": 14.25, "kv_cache_gib": 5.61, "graphs_estimated_gib": 0.41, "consumed_gib": 14.8,
        "activation_gib": 0.8, "graphs_gib": 0.39,
    }  # fmt: skip
    assert calibrate.logged(["nothing of the kind"]) == {}


def test_an_engine_that_is_not_up_yet(plan_of: Callable[[str], Plan]) -> None:
    with pytest.raises(StateError, match="reports no KV cache yet"):
        calibrate.measure(plan_of("cpu-tiny"), EngineReport("", [], None), TODAY)


def test_a_kept_run_is_the_last_of_the_file(plan_of: Callable[[str], Plan], tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    path.write_text((REPOSITORY / "fullbatch/catalog/calibration.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    before = yaml.safe_load(path.read_text(encoding="utf-8"))
    run = calibrate.measure(plan_of("cpu-tiny"), EngineReport(METRICS, CARD_LOG, None), TODAY)
    assert calibrate.keep(run, path) == path
    after = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert after["runs"] == [*(before["runs"] or []), run]
    assert after["constants"] == before["constants"]


def test_the_command_on_a_running_profile(checkout: Checkout, free_port: Callable[[], int]) -> None:
    checkout.engine("--kv-tokens", "524288")
    ports = ["--gateway-port", str(free_port()), "--engine-port", str(free_port())]
    assert checkout.run("up", "cpu-tiny", "--runtime", "process", "--timeout", "60", *ports).returncode == 0
    said = checkout.run("calibrate", "--write")
    assert said.returncode == 0, said.stderr
    assert "kept in fullbatch/catalog/calibration.yaml" in said.stdout
    kept = yaml.safe_load((checkout.root / "fullbatch/catalog/calibration.yaml").read_text(encoding="utf-8"))["runs"]
    assert (kept[-1]["profile"], kept[-1]["error"]) == ("cpu-tiny", 0.0)
    assert kept[-1]["process_gib"] > 0
    checkout.run("down")
    nothing = checkout.run("calibrate")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (6, 1)
