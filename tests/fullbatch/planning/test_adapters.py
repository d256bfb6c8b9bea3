"""Adapters of a profile in its plan."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.planning import adapters, profile
from fullbatch.planning.plan import Plan, make

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SQL = {"source": "/srv/adapters/sql", "rank": 8}
LAW = {"source": "acme/law", "revision": COMMIT, "rank": 64}


def _plan(settings: dict[str, Any], args: dict[str, Any] | None = None, **changes: Any) -> Plan:
    data = {"description": "d", "model": "meta-llama/Llama-3.1-8B-Instruct", "hardware": {"gpu": "rtx4090"}} | changes
    more = {"engine": {"args": args}} if args else {}
    return make("x", profile.parse(data | {"adapters": settings} | more, "profiles/x.yaml"))


def _refused(settings: dict[str, Any], args: dict[str, Any] | None = None, **changes: Any) -> str:
    with pytest.raises(UsageError) as raised:
        _plan(settings, args, **changes)
    return str(raised.value)


def _words(plan: Plan, hub: str = "/hub") -> list[str]:
    return plan.engines[0].command("m", "h", 1, hub)


def test_each_is_a_model_of_the_engine() -> None:
    made = _plan({"sql": SQL, "law": LAW})
    assert made.engines[0].names == ("meta-llama/Llama-3.1-8B-Instruct", "sql", "law")
    words = _words(made)
    where = words.index("--lora-modules")
    assert words[where + 1 : where + 3] == [
        '{"name":"sql","path":"/srv/adapters/sql"}',
        f'{{"name":"law","path":"/hub/models--acme--law/snapshots/{COMMIT}"}}',
    ]
    assert words[words.index("--max-loras") + 1] == "2" and words[words.index("--max-lora-rank") + 1] == "64"
    assert "--enable-lora" in words and "--max-cpu-loras" not in words


def test_a_place_of_the_widest_rank_is_kept_for_each() -> None:
    none, one, two, wide = _plan({}), _plan({"sql": SQL}), _plan({"a": SQL, "b": SQL}), _plan({"a": SQL, "b": LAW})
    place = two.budget.overhead_gib - one.budget.overhead_gib
    assert place > 0 and one.budget.kv_gib < none.budget.kv_gib - place
    assert wide.budget.overhead_gib - one.budget.overhead_gib == pytest.approx(15 * place)
    assert none.capacity.kv_tokens > one.capacity.kv_tokens > two.capacity.kv_tokens > wide.capacity.kv_tokens


def test_it_is_the_same_memory_as_by_flags() -> None:
    flags = _plan({}, {"enable-lora": True, "max-loras": 2, "max-lora-rank": 64})
    assert _plan({"a": SQL, "b": LAW}).budget == flags.budget


def test_many_share_places() -> None:
    words = _words(_plan({f"a{number}": SQL for number in range(10)}))
    assert words[words.index("--max-loras") + 1] == "8" and words[words.index("--max-cpu-loras") + 1] == "10"
    own = _words(_plan({"a": SQL, "b": SQL}, {"max-loras": 1}))
    assert own[own.index("--max-loras") + 1] == "1" and own[own.index("--max-cpu-loras") + 1] == "2"


def test_experts_are_said_not_to_be_counted() -> None:
    made = _plan({"a": SQL}, model="Qwen/Qwen3-30B-A3B-Instruct-2507", hardware={"gpu": "h100"})
    assert any("adapters on the experts of a mixture are not counted" in line for line in made.assumptions)


@pytest.mark.parametrize(
    ("settings", "args", "said"),
    [
        ({"meta-llama/Llama-3.1-8B-Instruct": SQL}, {}, "is the model's own name; give the adapter another"),
        ({"sql": SQL}, {"lora-modules": "a=/x"}, "engine.args.lora-modules: name them all under adapters"),
        ({"sql": SQL}, {"enable-lora": False}, "engine.args.enable-lora: adapters say it; remove this flag"),
        ({"sql": LAW}, {"max-lora-rank": 8}, "max-lora-rank: 8 is less than the 64 of adapter 'sql'; remove it"),
        ({"sql": SQL | {"rank": 12}}, {}, "12 is no rank of vLLM's; write one of 1, 8, 16, 32, 64, 128, 256, 320, 512"),
        ({"s q": SQL}, {}, "adapters"),
        ({"a=b": SQL}, {}, "adapters"),
        ({"sql": {"rank": 8}}, {}, "adapters.sql.source"),
        ({"sql": 5}, {}, "adapters.sql"),
        ({"sql": SQL | {"what": 1}}, {}, "adapters.sql.what"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], args: dict[str, Any], said: str) -> None:
    found = _refused(settings, args)
    assert said in found and "\n" not in found and "profiles/x.yaml" in found


def test_an_alias_that_an_adapter_has() -> None:
    assert "aliases: 'sql' is served under that name anyway" in _refused({"sql": SQL}, aliases=["sql"])


def test_what_is_fetched() -> None:
    assert adapters.fetched(adapters.of(profile.parse(
        {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}, "adapters": {"a": SQL}}, "x"
    ).adapters)) == []  # fmt: skip
    made = _plan({"sql": SQL, "law": LAW}).engines[0]
    assert made.fetched == ["meta-llama/Llama-3.1-8B-Instruct", f"--adapter=acme/law@{COMMIT}"]
