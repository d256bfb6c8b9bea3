"""The Compose files of several models: together, and in turns behind a launcher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from fullbatch.planning.plan import Plan
from fullbatch.runtime.compose import files
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.several_profiles import BGE, CARD, CPU, EMBEDDING, LLAMA, QWEN, QWEN_AWQ, SMOL, on_demand, planned


def _services(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files.files(REPOSITORY, plan)["compose.yaml"])["services"]
    return found


def test_engines_of_one_card_start_one_after_the_other() -> None:
    services = _services(planned({"model": QWEN_AWQ}, {"model": EMBEDDING}, {"model": BGE, "context": 512}))
    waits = {name: list(one["depends_on"]) for name, one in services.items() if name.startswith("engine")}
    assert waits == {
        "engine-qwen2-5-7b-instruct-awq": ["model-qwen2-5-7b-instruct-awq"],
        "engine-qwen3-embedding-0-6b": ["model-qwen3-embedding-0-6b", "engine-qwen2-5-7b-instruct-awq"],
        "engine-bge-m3": ["model-bge-m3", "engine-qwen3-embedding-0-6b"],
    }
    condition = services["engine-bge-m3"]["depends_on"]["engine-qwen3-embedding-0-6b"]
    assert condition == {"condition": "service_healthy"}
    assert all(one["gpus"][0]["device_ids"] == ["0"] for name, one in services.items() if name.startswith("engine"))


def test_engines_on_cards_of_their_own_and_on_the_processor_start_at_once() -> None:
    two = planned({"model": QWEN, "cards": [0]}, {"model": LLAMA, "cards": [1]}, hardware=CARD | {"count": 2})
    for plan in (two, planned({"model": "tiny"}, {"model": SMOL}, hardware=CPU)):
        engines = [one for name, one in _services(plan).items() if name.startswith("engine")]
        assert [len(one["depends_on"]) for one in engines] == [1, 1]


def test_each_model_is_fetched_in_its_own_way() -> None:
    services = _services(planned({"model": "tiny"}, {"model": SMOL}, hardware=CPU))
    assert "tinymodel.py" in services["model-tiny"]["command"][0]
    assert "fullbatch.packaged" in services["model-smollm2-135m-instruct"]["command"][0]


def test_models_that_take_turns_are_one_container_with_a_launcher() -> None:
    plan = planned(on_demand(QWEN), on_demand(LLAMA), {"model": EMBEDDING}, hardware={"gpu": "l40s"})
    services = _services(plan)
    launcher = services["launcher-card0"]
    assert launcher["entrypoint"] == ["python3", "-m", "launcher"]
    assert set(services) == {
        "engine-qwen3-embedding-0-6b",
        "launcher-card0",
        "model-qwen2-5-7b-instruct",
        "model-llama-3-1-8b-instruct",
        "model-qwen3-embedding-0-6b",
    }
    assert launcher["depends_on"]["engine-qwen3-embedding-0-6b"] == {"condition": "service_healthy"}
    mounts = {one["target"]: one for one in launcher["volumes"] if isinstance(one, dict)}
    assert mounts["/fullbatch/launcher"]["read_only"] is True
    assert mounts["/run/launcher"]["source"] == "launcher"
    assert not any("docker.sock" in str(one) for one in launcher["volumes"])
    made = services["model-qwen2-5-7b-instruct"]
    assert "chmod 0770 /run/launcher" in made["command"][0], "who is of group 0 writes there: launcher and gateway"


def test_the_launchers_file_and_the_gateways_say_the_same() -> None:
    plan = planned(on_demand(QWEN), on_demand(LLAMA))
    made = files.files(REPOSITORY, plan)
    launcher, gateway = json.loads(made["launcher-card0.json"]), yaml.safe_load(made["gateway.yaml"])
    for model, engine in zip(launcher["models"], gateway["engines"], strict=True):
        assert engine["turn"]["name"] == model["name"]
        assert engine["turn"]["launcher"] == launcher["socket"] == "/run/launcher/card0.sock"
        port = model["listen"]["port"]
        assert engine["url"] == f"http://launcher-card0:{port}"
        assert model["command"][:2] == ["vllm", "serve"]
        assert model["command"][-2:] == ["--port", str(port)]
        assert engine["turn"]["sleep"] is model["sleep"] is True
    assert len({engine["url"] for engine in gateway["engines"]}) == 2


def test_prometheus_asks_each_of_them_at_its_port() -> None:
    plan = planned(on_demand(QWEN), on_demand(LLAMA))
    jobs = yaml.safe_load(files.files(REPOSITORY, plan)["prometheus.yaml"])["scrape_configs"]
    assert jobs[0]["job_name"] == "vllm-turns", "VllmDown looks at vllm: one that is asleep is no fault"
    assert [(one["names"], one["port"]) for one in jobs[0]["dns_sd_configs"]] == [
        (["launcher-card0"], 8000),
        (["launcher-card0"], 8001),
    ]


def test_how_they_take_turns_is_the_profiles_to_say() -> None:
    plan = planned(on_demand("tiny"), on_demand(SMOL), hardware=CPU, residency={"patience_s": 5.0, "drain_s": 10.0})
    made = yaml.safe_load(files.files(REPOSITORY, plan)["gateway.yaml"])
    assert made["residency"] == {"patience_s": 5.0, "drain_s": 10.0}


def test_folders_of_this_machine_reach_the_launcher(tmp_path: Path) -> None:
    from fullbatch.runtime.tinymodel import write_model

    write_model(tmp_path / "mine")
    plan = planned(on_demand("tiny"), on_demand(str(tmp_path / "mine"), context=1024), hardware=CPU)
    volumes = _services(plan)["launcher-cpu"]["volumes"]
    assert {"type": "bind", "source": f"{tmp_path}/mine", "target": f"{tmp_path}/mine", "read_only": True} in volumes


def test_aliases_are_of_their_own_model() -> None:
    plan = planned({"model": "tiny", "aliases": ["a"]}, {"model": SMOL, "aliases": ["b*"]}, hardware=CPU)
    made = yaml.safe_load(files.files(REPOSITORY, plan)["gateway.yaml"])
    assert made["aliases"] == {"a": "tiny", "b*": "SmolLM2-135M-Instruct"}
