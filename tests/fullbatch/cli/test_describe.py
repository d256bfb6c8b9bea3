from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from fullbatch.cli import describe
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make
from tests.fullbatch.shipped import ONE


@pytest.mark.parametrize("name", ONE)
def test_every_flag_and_its_reason_is_shown(name: str, plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(name)
    text = describe.as_text(plan)
    flowing = " ".join(text.split())
    for flag in plan.engines[0].flags:
        assert " ".join([flag.words()[0], flag.shown()][: len(flag.words())]) in text
        assert flag.reason in flowing
    for flag_name, reason in plan.left_to_engine:
        assert f"--{flag_name}" in text
        assert reason in flowing
    assert max(len(line) for line in text.splitlines()) <= 130


def test_a_card_is_drawn_to_scale(plan_of: Callable[[str], Plan]) -> None:
    text = describe.as_text(plan_of("rtx4090-qwen2.5-7b"))
    bar = next(line.strip() for line in text.splitlines() if line.strip().startswith("[#"))
    assert len(bar) == describe.BAR_WIDTH + 2
    # 14.2 of 23.5 GiB are weights.
    assert bar.count("#") == round(14.2 / 23.5 * describe.BAR_WIDTH)
    assert "107,328 tokens at 57,344 bytes each" in text


def test_a_cpu_profile_says_that_its_pool_is_set(plan_of: Callable[[str], Plan]) -> None:
    assert "1 GiB KV cache (set in the profile)" in describe.as_text(plan_of("cpu-tiny"))


def test_what_does_not_fit_is_said(plan_of: Callable[[str], Plan]) -> None:
    risks = describe.risks(plan_of("rtx4090-llama3.1-8b"))
    assert len(risks) == 1
    assert risks[0].startswith("20 requests of 8192 tokens at once do not fit the KV cache")
    assert "What gives first" in describe.as_text(plan_of("rtx4090-llama3.1-8b"))


def test_where_everybody_fits_there_is_no_warning(plan_of: Callable[[str], Plan]) -> None:
    assert describe.risks(plan_of("cpu-tiny")) == []
    assert "What gives first" not in describe.as_text(plan_of("cpu-tiny"))


def test_json_carries_the_same_numbers(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("rtx4090-qwen2.5-7b")
    data = json.loads(json.dumps(describe.as_json(plan)))
    assert data["kv_tokens"] == plan.engines[0].capacity.kv_tokens
    assert data["weights_bytes"] == int(14.2 * 2**30)
    assert data["flags"]["max-model-len"] == 8192
    assert set(data["reasons"]) == set(data["flags"])
    assert data["risks"] == describe.risks(plan)


@pytest.mark.parametrize("name", ONE)
def test_what_the_gateway_lets_in_is_shown_with_its_reasons(name: str, plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(name)
    flowing, data = " ".join(describe.as_text(plan).split()), describe.as_json(plan)["admission"]
    assert data["max_running"] == plan.admission.max_running
    for key, value in data.items():
        assert f"{key} {value:g}" in flowing
    for why in (plan.admission.why_running, plan.admission.why_queued, plan.admission.why_timeout):
        assert why in flowing


def test_copies_and_machines_are_counted_together(plan_of: Callable[[str], Plan]) -> None:
    two, nodes = (plan_of(name) for name in ("rtx4090x2-llama3.1-8b-fp8", "h100x8x2-llama3.1-405b"))
    assert "47.0 GiB on 2 cards for 2 copies of the model" in describe.as_text(two)
    data = describe.as_json(two)
    assert (data["engines"], data["cards"]) == (2, 2)
    assert data["kv_tokens"] == 2 * two.engines[0].capacity.kv_tokens
    assert data["weights_bytes"] == int(2 * 8.5 * 2**30)
    assert "GiB on 16 cards" in describe.as_text(nodes)
    assert describe.as_json(nodes)["cards"] == 16


def test_a_request_with_windows_is_told_by_its_bytes() -> None:
    data = {"description": "d", "model": "google/gemma-2-2b-it", "hardware": {"gpu": "rtx4090"}, "context": 8192}
    short = make("x", profile.parse(data | {"engine": {"args": {"max-num-batched-tokens": 512}}}, "x"))
    assert re.search(r"KV cache: [\d,]+ tokens at \d+ MiB a request", describe.as_text(short))
    assert short.capacity.request_bytes < 8192 * short.capacity.kv_bytes_per_token


def test_status_of_a_running_deployment() -> None:
    text = describe.status_line(
        {
            "profile": "cpu-tiny", "runtime": "process", "gateway_url": "http://127.0.0.1:8080", "healthy": True,
            "kv_tokens_planned": 1000, "kv_tokens_reported": 1020, "processes": {"engine": 17},
        }
    )  # fmt: skip
    assert text.splitlines() == [
        "cpu-tiny (process): answers at http://127.0.0.1:8080",
        "  KV cache: 1,000 tokens planned, 1,020 reported (+2.0%)",
        "  engine: process 17",
    ]


def test_status_of_one_that_starts() -> None:
    found = {"profile": "x", "runtime": "compose", "gateway_url": "u", "healthy": False, "kv_tokens_planned": 5}
    assert describe.status_line(found) == "x (compose): does not answer yet at u"


def test_what_is_up_says_how_to_talk_to_it(plan_of: Callable[[str], Plan]) -> None:
    said = describe.started("http://h", plan_of("cpu-tiny"), "in k", "python", kept=False)
    assert "Talk to it with:       python -m fullbatch chat cpu-tiny\n" in said
