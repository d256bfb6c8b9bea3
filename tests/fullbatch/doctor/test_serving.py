from __future__ import annotations

from collections.abc import Callable

import pytest

from fullbatch.doctor import serving
from fullbatch.planning.plan import Plan

PlanOf = Callable[[str], Plan]


def test_how_the_last_run_ended(plan_of: PlanOf) -> None:
    plan = plan_of("cpu")
    assert serving.last_run([], plan) == []
    assert serving.last_run(["(APIServer pid=1) INFO:     Application startup complete."], plan) == []
    (found,) = serving.last_run(["vllm serve: error: unrecognized arguments: --num-scheduler-steps 8"], plan)
    assert found.severity == "warn"
    assert found.finding == "it ended: vLLM 0.32.0 does not know --num-scheduler-steps 8"
    assert "profiles/cpu.yaml" in found.fix


def test_proxies_and_a_mirror_are_told_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert serving.network() == []
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.corp:3128")
    (proxy,) = serving.network()
    assert (proxy.check, proxy.severity) == ("proxy", "ok")
    assert proxy.finding.startswith("HTTPS_PROXY is http://proxy.corp:3128: downloads go through it")
    assert "secret" not in proxy.finding
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert serving.network()[1].finding == "weights come from https://mirror.example (HF_ENDPOINT)"
    monkeypatch.setenv("HF_ENDPOINT", "https://me:SECRETPW@mirror.example")
    assert serving.network()[1].finding == "weights come from https://mirror.example (HF_ENDPOINT)"
