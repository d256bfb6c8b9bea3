"""What a plan says that it takes for granted."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.planning import profile
from fullbatch.planning.plan import make

SQL = {"source": "/srv/sql", "rank": 16}
OWN = {"name": "mine", "memory_gib": 48, "bandwidth_gbs": 800}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "a typical request uses half of its context"),
        ({"hardware": {"gpu": "h100", "count": 2}}, "GiB a card (0.6 to 1.4 measured by us"),
        ({}, "weights: 16 bit; KV cache: 16 bit"),
        ({"hardware": {"gpu": OWN}}, "mine: 46.56 of 48 GiB can be had; compute capability taken as 8.0"),
        ({"adapters": {"a": SQL, "b": SQL}}, "adapters: 2 places of rank 16 take 0.18 GiB of each card"),
        ({"model": "google/gemma-2-2b-it"}, "13 of 26 layers with attention keep the last 4096 tokens"),
        ({"model": "Qwen/Qwen3.5-9B", "hardware": {"gpu": "h100"}}, "24 layers keep a state of"),
    ],
)
def test_it_is_said(changes: dict[str, Any], said: str) -> None:
    data = {"description": "d", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "h100"}} | changes
    found = make("x", profile.parse(data, "x")).assumptions
    assert any(said in line for line in found), found
