"""What launcher and gateway are told of models that take turns."""

from __future__ import annotations

import json

from fullbatch.planning.plan import Plan
from fullbatch.runtime import launcher_file
from tests.fullbatch.several_profiles import CPU, LLAMA, QWEN, SMOL, on_demand, planned


def _text(plan: Plan) -> str:
    (card,) = plan.turning
    launched = [
        launcher_file.Launched(engine, ["vllm", "serve", "x"], {"uds": f"/s/{n}"}, {"B": "1", "A": "2"})
        for n, engine in enumerate(plan.engines)
    ]
    return launcher_file.text(card, "/s/l.sock", launched, plan.drain_seconds, launcher_file.memory(plan.engines, None))


def test_one_of_each_model_with_its_whole_command() -> None:
    found = json.loads(_text(planned(on_demand(QWEN), on_demand(LLAMA), main_memory_gib=24)))
    assert (found["card"], found["socket"]) == ("card0", "/s/l.sock")
    assert [one["name"] for one in found["models"]] == ["qwen2-5-7b-instruct", "llama-3-1-8b-instruct"]
    assert [one["sleep"] for one in found["models"]] == [True, False]
    assert found["models"][0]["command"] == ["vllm", "serve", "x"]
    assert list(found["models"][0]["env"]) == ["A", "B"], "the same text each time"
    assert found["models"][0]["stop_timeout_s"] > 30
    assert found["memory"]["command"][0] == "nvidia-smi"


def test_on_the_processor_no_card_is_looked_at() -> None:
    assert "memory" not in json.loads(_text(planned(on_demand("tiny"), on_demand(SMOL), hardware=CPU)))


def test_the_gateway_knows_the_same_name_and_what_it_costs() -> None:
    plan = planned(on_demand(QWEN), on_demand(LLAMA))
    told = launcher_file.turn(plan.engines[0], "/s/l.sock")
    assert told == {
        "card": "card0",
        "launcher": "/s/l.sock",
        "name": "qwen2-5-7b-instruct",
        "sleep": True,
        "cost": 7.62,
        "wake_guess_s": 1.7,
        "cold_guess_s": 52.0,
    }
