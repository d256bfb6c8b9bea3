from __future__ import annotations

import pytest

from fullbatch.top.figures import figures
from fullbatch.top.reading import Reading, read
from tests.prometheus.exposition import DRAFTING, ENGINE, GATEWAY, TURNS
from tests.prometheus.live import grown

PLAN = """\
gateway_engine_up{address="10.0.0.1:8000",engine_name="engine"} 1
gateway_engine_up{address="10.0.0.2:8000",engine_name="engine"} %d
gateway_engine_max_num_seqs{engine_name="engine"} 64
gateway_engine_kv_cache_tokens{engine_name="engine"} 1000
"""
RUNNING, WAITING = 'vllm:num_requests_running{model_name="m"}', 'vllm:num_requests_waiting{model_name="m"}'


def engine(running: float, waiting: float, kv: float) -> str:
    return f"{RUNNING} {running}\n{WAITING} {waiting}\nvllm:kv_cache_usage_perc {kv}\n"


def test_the_recorded_overload_reads_as_what_it_was() -> None:
    gateway = GATEWAY.read_text()
    old, new = read(0, gateway, ENGINE.read_text()), read(10, grown(gateway, 1.1), grown(ENGINE.read_text(), 1.1))
    found = figures(old, new)
    assert (found.running, found.slots, found.waiting_engine, found.kv_tokens) == (11, 16, 13, 1048576)
    assert found.limit == "KV cache full"
    assert found.preemptions_per_s == pytest.approx(5.29)
    assert found.ttft_p95_s is not None and 0.25 <= found.ttft_p95_s <= 0.5
    assert found.failed_share == pytest.approx(0.099, abs=0.001)  # the engine drained for a second
    assert found.output_tokens_per_s is not None and found.output_tokens_per_s > 0
    assert [key.name for key in found.keys] == ["batch", "alice", "bob", "slow", "other"]
    assert (found.keys[0].running, found.keys[0].waiting) == (2, 21)


def test_drafts_that_were_right() -> None:
    text = DRAFTING.read_text()
    found = figures(read(0, "", grown(text, 0)), read(10, "", text))
    assert found.drafts_right_share == pytest.approx(218 / 240)
    assert found.tokens_per_draft == pytest.approx(1 + 218 / 64)
    plain = ENGINE.read_text()
    none = figures(read(0, "", plain), read(10, "", grown(plain, 1.1)))
    assert (none.drafts_right_share, none.tokens_per_draft) == (None, None)


def test_two_engines_count_twice_and_only_while_they_are_up() -> None:
    both, one = read(0, PLAN % 1, engine(1, 0, 0)), read(0, PLAN % 0, engine(1, 0, 0))
    assert (figures(both, both).slots, figures(both, both).kv_tokens) == (128, 2000)
    assert (figures(one, one).slots, figures(one, one).kv_tokens, figures(one, one).engines_up) == (64, 1000, 1)


@pytest.mark.parametrize(
    ("running", "waiting", "kv", "held", "limit"),
    [
        (0, 0, 0.0, 0, "idle"),
        (9, 0, 0.99, 0, "room left"),
        (64, 3, 0.5, 0, "all slots taken"),
        (64, 0, 0.5, 3, "all slots taken"),
        (40, 3, 0.95, 0, "KV cache full"),
        (40, 3, 0.5, 0, "step budget"),
        (40, 0, 0.5, 3, "held at the gateway"),
    ],
)
def test_the_limit_is_called_as_on_the_dashboards(
    running: float, waiting: float, kv: float, held: float, limit: str
) -> None:
    now = read(0, f'{PLAN % 0}gateway_queue_depth{{model="m"}} {held}\n', engine(running, waiting, kv))
    assert figures(now, now).limit == limit


def test_two_engines_one_after_the_other_are_added_up() -> None:
    now = read(0, PLAN % 1, engine(5, 1, 0.2) + engine(7, 2, 0.6))
    assert (figures(now, now).running, figures(now, now).waiting_engine, figures(now, now).kv_share) == (12, 3, 0.6)


def test_silence_is_said() -> None:
    assert figures(Reading(0), Reading(1)).limit == "nothing answers"
    assert figures(Reading(0), read(1, PLAN % 0, "")).limit == "the engine does not answer"
    alone = figures(Reading(0), read(1, "", engine(3, 0, 0.1)))
    assert (alone.limit, alone.slots, alone.failed_share) == ("room left", None, None)


def test_a_share_of_requests_fails() -> None:
    before = 'gateway_requests_total{outcome="ok"} 0\ngateway_requests_total{outcome="cut"} 0\n'
    after = 'gateway_requests_total{outcome="ok"} 9\ngateway_requests_total{outcome="cut"} 1\n'
    assert figures(read(0, before, ""), read(1, after, "")).failed_share == pytest.approx(0.1)


def test_models_in_turns_have_their_state_and_who_waits() -> None:
    """The recording was made while the tiny model was being loaded and two waited for it."""
    queued = 'gateway_queue_depth{model="tiny"} 2\ngateway_queue_depth{model="bge"} 0\n'
    now = read(0, TURNS.read_text() + queued, "")
    found = {one.name: one for one in figures(now, now).models}
    assert {name: one.state for name, one in found.items()} == {
        "tiny": "loading", "SmolLM2-135M-Instruct": "stopped", "bge": "always",
    }  # fmt: skip
    assert found["tiny"].waiting == 2
    assert found["tiny"].first_wait_s is not None and found["tiny"].first_wait_s > 0
    assert figures(now, now).limit == "a model is being loaded"


def test_where_nobody_is_loaded_the_engine_is_not_said_to_be_gone() -> None:
    state = 'gateway_model_state{model="a",state="asleep"} 1\ngateway_model_state{model="a",state="ready"} 0\n'
    assert figures(Reading(0), read(1, state, "")).limit == "no model is loaded"
    ready = state.replace("asleep", "failed").replace("} 0", "} 1").replace("} 1", "} 0", 1)
    assert figures(Reading(0), read(1, ready, "")).limit == "the engine does not answer"


def test_two_models_that_are_always_there_are_told_and_one_model_is_not() -> None:
    two = 'gateway_engine_max_num_seqs{engine_name="a"} 4\ngateway_engine_max_num_seqs{engine_name="b"} 4\n'
    queues = 'gateway_queue_depth{model="x"} 0\ngateway_queue_depth{model="y"} 1\n'
    now = read(0, two + queues, "")
    assert [(one.name, one.state, one.waiting) for one in figures(now, now).models] == [
        ("x", "always", 0), ("y", "always", 1),
    ]  # fmt: skip
    one = read(0, PLAN % 1 + queues, "")
    assert figures(one, one).models == ()
