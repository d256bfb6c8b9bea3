"""Plans with everything that an export has to say something about."""

from __future__ import annotations

from typing import Any

from fullbatch.planning.plan import Plan, make
from fullbatch.planning.profile import parse

CARD = {
    "description": "d",
    "model": "meta-llama/Llama-3.1-8B-Instruct",
    "hardware": {"gpu": "rtx4090", "replicas": 2},
    "weights": "fp8",
    "context": 2048,
    "users": 20,
}


def plan_with(**changes: Any) -> Plan:
    """The plan of a gated model in two copies, with `changes` of its profile."""
    return make("x", parse(CARD | changes, "profiles/x.yaml"))


def everything() -> Plan:
    """One that is started again when stuck, may fetch pictures, and keeps KV cache in memory."""
    return plan_with(
        hardware={"gpu": "h100"},
        model="Qwen/Qwen3-VL-8B-Instruct",
        media_domains=["pictures.example"],
        engine={"restart_stuck": True},
        kv_offload={"ram_gib": 16},
    )
