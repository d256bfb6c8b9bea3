"""Sides in one run, with the fake engine: gateways and load test are the real ones."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable

import pytest

from tests.fullbatch.checkout import REPOSITORY, Checkout, read_until, rest
from tests.loadtest.programs import fake_engine

LOAD = ["--", "--users", "2", "--requests-per-user", "1", "--max-tokens", "8", "--repeats", "2", "--warmup", "0"]


@pytest.fixture
def compare(checkout: Checkout, free_port: Callable[..., int]) -> list[str]:
    checkout.engine()
    shutil.copytree(REPOSITORY / "loadtest", checkout.root / "loadtest", ignore=shutil.ignore_patterns("__pycache__"))
    return [
        "compare",
        "--timeout",
        "60",
        "--gateway-port",
        str(free_port(together=2)),
        "--engine-port",
        str(free_port()),
    ]


def test_profiles_and_an_address_take_turns_in_one_report(checkout: Checkout, compare: list[str]) -> None:
    with fake_engine(ttft_ms=5, itl_ms=2) as (url, _):
        run = checkout.run(*compare, "cpu-tiny", "cpu-tiny-naive", f"other={url},model=tiny", *LOAD, timeout=280)
    # 3: on a busy machine the client is too slow to be believed, and says so.
    assert run.returncode in (0, 1, 3), run.stdout + run.stderr
    (folder,) = (checkout.root / "reports").iterdir()
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [side["name"] for side in report["sides"]] == ["cpu-tiny", "cpu-tiny-naive", "other"]
    assert [side["meta"].get("profile") for side in report["sides"]] == ["cpu-tiny", "cpu-tiny-naive", None]
    assert "--max-model-len 8192" in report["sides"][1]["meta"]["command"]
    turns = [(stage["repeat"], stage["label"], stage["side"]) for stage in report["stages"]]
    names = ["cpu-tiny", "cpu-tiny-naive", "other"]
    assert turns[:3] == [(1, "2 users", name) for name in names]
    assert turns[3:] == [(2, "2 users", name) for name in reversed(names)]
    assert all(stage["client"]["failures"] == {} for stage in report["stages"])
    assert checkout.processes() == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cpu-tiny"], "compare: name two or more sides"),
        (["cpu-tiny", "cpu-tiny"], "two sides are called 'cpu-tiny'"),
        (["cpu-tiny", "other=ftp://x", "--", "--users", "none"], "is not a list of whole numbers"),
        (["cpu-tiny", "other=http://x,modell=m"], "'modell=m' is not one of model"),
        (["cpu-tiny", "cpu-tiny-naive", "--", "--workload", "sead"], "there is no 'sead'"),
        (["cpu-tiny", "nosuch"], "profile 'nosuch': no such profile"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(
    checkout: Checkout, compare: list[str], words: list[str], expected: str
) -> None:
    run = checkout.run(*compare, *words)
    assert run.returncode == 2, run.stdout + run.stderr
    assert expected in run.stderr and "Traceback" not in run.stderr
    assert not (checkout.root / ".fullbatch" / "run").exists()


def test_ctrl_c_stops_every_side(checkout: Checkout, compare: list[str]) -> None:
    with checkout.started(*compare, "cpu-tiny", "cpu-tiny-naive", "--", "--requests-per-user", "500") as run:
        read_until(run, "stage 1/")
        run.send_signal(signal.SIGINT)
        said = rest(run)
    assert run.returncode == 130
    assert "Traceback" not in said
    assert checkout.processes() == []
