"""The demo end to end with the fake engine: gateway and load test are the real ones."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable

import pytest

from tests.fullbatch.checkout import REPOSITORY, Checkout, read_until, rest


@pytest.fixture
def demo(checkout: Checkout, free_port: Callable[[], int]) -> list[str]:
    checkout.engine("--kv-tokens", "524288")
    shutil.copytree(REPOSITORY / "loadtest", checkout.root / "loadtest", ignore=shutil.ignore_patterns("__pycache__"))
    ports = ["--gateway-port", str(free_port()), "--engine-port", str(free_port())]
    return ["demo", "--users", "1,2", "--requests-per-user", "1", "--max-tokens", "8", "--timeout", "60", *ports]


def test_it_measures_reports_and_stops_everything(checkout: Checkout, demo: list[str]) -> None:
    run = checkout.run(*demo, timeout=100)
    # 3: on a busy machine the client is too slow to be believed, and says so.
    assert run.returncode in (0, 1, 3), run.stdout + run.stderr
    assert "everything is stopped; the whole run took" in run.stdout
    (report,) = (checkout.root / "reports").iterdir()
    assert {"meta.json", "report.json", "report.html"} <= {path.name for path in report.iterdir()}
    meta = json.loads((report / "meta.json").read_text(encoding="utf-8"))
    assert meta["profile"] == "cpu-tiny"
    assert meta["kv_tokens_planned"] == meta["kv_tokens_reported"] == 524_288
    assert meta["command"].startswith("vllm serve MODEL ")
    assert "HOST" not in meta["command"]
    assert " cores, " in meta["machine"] and "Linux" in meta["machine"]
    assert checkout.processes() == []


@pytest.mark.parametrize("mark", ["starting vLLM", "the first token came back", "stage 1/2"])
def test_ctrl_c_at_any_stage_leaves_nothing(checkout: Checkout, demo: list[str], mark: str) -> None:
    demo[demo.index("--requests-per-user") + 1] = "500"
    with checkout.started(*demo) as run:
        read_until(run, mark)
        run.send_signal(signal.SIGINT)
        said = rest(run)
    assert run.returncode == 130
    assert "Traceback" not in said
    assert checkout.processes() == []


def test_users_that_are_none_are_refused_before_anything_starts(checkout: Checkout, demo: list[str]) -> None:
    demo[demo.index("--users") + 1] = "1;5"
    assert checkout.run(*demo).returncode == 2
    assert not (checkout.root / ".fullbatch" / "run").exists()
