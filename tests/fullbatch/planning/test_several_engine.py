from __future__ import annotations

from fullbatch.planning import profile
from fullbatch.planning.plan import make
from fullbatch.planning.several_engine import with_args, with_reasons

BASE = profile.parse({"description": "d", "model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "rtx4090"}}, "x")


def test_flags_that_were_dealt_out_have_reasons_of_the_plans() -> None:
    args = {"gpu-memory-utilization": 0.8, "kv-cache-memory-bytes": 2**30}
    made = with_reasons(make("x", with_args(BASE, args)), dict.fromkeys(args, "because it was dealt out so"))
    flags = {flag.name: flag for flag in made.engines[0].flags}
    assert flags["kv-cache-memory-bytes"].reason == "because it was dealt out so"
    assert made.engines[0].capacity.kv_tokens < make("x", BASE).capacity.kv_tokens
    assert "gpu-memory-utilization" not in dict(made.left_to_engine)
    assert BASE.engine.args == {}, "the profile itself stays as it was"


def test_without_a_cache_of_its_own_the_seats_are_the_bound() -> None:
    made = with_reasons(
        make("x", with_args(BASE, {"gpu-memory-utilization": 0.8})), {"gpu-memory-utilization": "so it"}
    )
    (engine,) = made.engines
    assert engine.capacity.kv_tokens == engine.max_num_seqs * engine.max_model_len
    assert engine.budget.kv_gib == 0
