"""The process runtime with the real vLLM: started once by `fullbatch up`, asked as users ask, killed, taken away."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from typing import Any

import psutil
import pytest
from openai import AuthenticationError, OpenAI

from tests.e2e.served.up import ROOT, Up, fullbatch
from tests.waiting import wait_for

RECORDED = ROOT / "tests" / "fixtures" / "vllm_metrics_0.32.0.txt"

pytestmark = [pytest.mark.engine]


def status(up: Up) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(fullbatch("status", "--json").stdout)
    return next(one for one in found if one["gateway_url"] == up.gateway)


def test_an_answer_comes_whole_and_as_a_stream(up: Up) -> None:
    with up.client() as api:
        whole = api.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=12,
            extra_body={"ignore_eos": True},
        )
        stream = api.completions.create(
            model="tiny", prompt="the batch", max_tokens=40, stream=True,
            stream_options={"include_usage": True}, extra_body={"ignore_eos": True},
        )  # fmt: skip
        chunks = list(stream)
    assert whole.usage is not None and whole.usage.completion_tokens == 12
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 40
    assert chunks[-2].choices[0].finish_reason == "length"


def counted(up: Up, name: str) -> float:
    found = re.search(rf"^vllm:{name}_total{{.*}} (\S+)$", up.metrics(), re.MULTILINE)
    assert found, f"the engine reports no {name}"
    return float(found.group(1))


def test_usage_is_to_the_token_what_the_engine_has_counted(up: Up) -> None:
    key = json.loads(fullbatch("keys", "--profile", "cpu-tiny", "create", f"e2e-{time.time_ns()}", "--json").stdout)

    def used() -> list[dict[str, Any]]:
        lines = json.loads(fullbatch("usage", "--profile", "cpu-tiny", "--json").stdout)
        return [line for line in lines if line["key"] == key["name"]]

    before = [counted(up, name) for name in ("prompt_tokens", "generation_tokens")]
    ask: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Count to ten."}], "max_tokens": 9}
    with OpenAI(base_url=f"{up.gateway}/v1", api_key=key["key"], max_retries=5, timeout=60) as api:
        wait_for(lambda: key_works(api), 5, "the new key known")
        api.chat.completions.create(**ask)
        for event in api.chat.completions.create(**ask, stream=True):
            assert event.usage is None and event.choices
        api.completions.create(model="tiny", prompt="Once", max_tokens=7)
        for part in api.completions.create(model="tiny", prompt="Once upon", max_tokens=7, stream=True):
            assert part.usage is None and part.choices
        wait_for(lambda: used() != [] and used()[0]["requests"] == 4, 5, lambda: f"four requests; usage says {used()}")
        (line,) = used()
        after = [counted(up, name) for name in ("prompt_tokens", "generation_tokens")]
        assert [line["prompt_tokens"], line["completion_tokens"]] == [a - b for a, b in zip(after, before, strict=True)]
        choices = {event.choices[0].index for event in api.chat.completions.create(**ask, n=2, stream=True)}
        assert choices == {0, 1}
    wait_for(lambda: used()[0]["requests"] == 5, 5, lambda: f"five requests; usage says {used()}")
    assert used()[0]["completion_tokens"] == counted(up, "generation_tokens") - before[1]
    assert used()[0]["estimated"] == 0


def test_usage_says_what_came_from_the_prefix_cache(up: Up) -> None:
    with up.client() as api:
        asked = {"model": "tiny", "prompt": "the batch " * 300, "max_tokens": 1}
        api.completions.create(**asked)  # type: ignore[call-overload]
        before = counted(up, "prefix_cache_hits")
        again = api.completions.create(**asked).usage  # type: ignore[call-overload]
    assert again.prompt_tokens_details.cached_tokens == counted(up, "prefix_cache_hits") - before > 0


def key_works(api: OpenAI) -> bool:
    try:
        return bool(api.models.list().data)
    except AuthenticationError:
        return False


def test_the_kv_cache_is_exactly_as_planned(up: Up) -> None:
    found = status(up)
    assert found["healthy"]
    assert found["kv_tokens_planned"] == found["kv_tokens_reported"] == 524_288
    run = json.loads(fullbatch("calibrate", "cpu-tiny", "--json").stdout)
    assert (run["error"], run["kv_tokens_reported"]) == (0.0, 524_288)
    assert run["process_gib"] > 0


def test_the_engines_sockets_lie_beside_its_log(up: Up) -> None:
    """So that a killed engine leaves nothing in /tmp."""
    assert status(up)["healthy"]
    assert any(path.is_socket() for path in (ROOT / ".fullbatch/run/cpu-tiny/ipc").iterdir())


def test_a_client_that_goes_away_frees_its_place_in_the_batch(up: Up) -> None:
    with up.client() as api:
        stream = api.completions.create(
            model="tiny", prompt="count", max_tokens=3900, stream=True, extra_body={"ignore_eos": True}
        )
        next(iter(stream))
        wait_for(lambda: up.running() == 1, 5, "the request running")
        stream.close()
    wait_for(lambda: up.running() == 0, 5, "an engine that stops for a client that has left")


def test_the_engine_cannot_be_reached_around_the_allow_list(up: Up) -> None:
    for path in (
        "/metrics_engine",
        "/invocations",
        "/pause",
        "/server_info",
        "/sleep",
        "/collective_rpc",
        "/docs",
        "/v1/../version",
    ):
        request = urllib.request.Request(up.gateway + path, b"{}", {"Authorization": f"Bearer {up.key}"})
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=10)
        with refusal.value:
            assert refusal.value.code == 404, path


def test_the_live_engine_exports_what_was_recorded(up: Up) -> None:
    """The fixture that rules and panels are checked against is this very engine's."""

    def families(text: str) -> set[str]:
        return set(re.findall(r"^# TYPE (vllm:\S+) ", text, re.MULTILINE))

    assert families(up.metrics()) == families(RECORDED.read_text())


def test_a_second_up_is_refused(up: Up) -> None:
    answer = fullbatch("up", "cpu-tiny", "--runtime", "process")
    assert answer.returncode == 6
    assert answer.stderr.count("\n") == 1 and up.gateway in answer.stderr


def test_a_killed_engine_is_told_and_taken_away(up: Up) -> None:
    """Last of this file: afterwards nothing runs."""
    engine = psutil.Process(status(up)["processes"]["engine"])
    tree = [engine, *engine.children(recursive=True)]
    engine.kill()
    wait_for(lambda: not status(up)["healthy"], 10, "a gateway that says that its engine is gone")
    assert fullbatch("status").returncode == 1
    down = fullbatch("down", "cpu-tiny")
    assert down.returncode == 0, down.stderr
    psutil.wait_procs(tree, timeout=15)
    left = [one for one in tree if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    for one in left:
        one.kill()
    assert not left, "parts of the killed engine live on"
    assert fullbatch("down", "cpu-tiny").returncode == 6
