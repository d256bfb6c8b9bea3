"""What is refused before anything is loaded, what Ollama's clients may say, and what operators do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.gateway.harness import KEY, OTHER_KEY, error_of, keys
from tests.gateway.turns.worlds import World
from tests.waiting import wait_for, wait_until

Start = Callable[..., World]
ADMIN = "fb-tests-admin-0123456789abcdef"


@pytest.fixture
def with_admin(start_world: Start) -> Iterator[tuple[World, httpx.Client]]:
    world = start_world({"a": {}, "b": {}})
    file = world.folder / "api_keys"
    file.write_text(f"{KEY}\n{OTHER_KEY}\n{ADMIN} admin\n")
    with world.client(ADMIN) as client:
        wait_until(lambda: client.get("/ui/v1/models").status_code == 200, 20, "the admin's key is known")
        yield world, client


def do(client: httpx.Client, deed: str, name: str) -> httpx.Response:
    return client.post("/ui/v1/models/do", json={"do": deed, "name": name})


def test_p308_a_key_that_may_not_use_a_model_loads_nothing(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}}, store="keys.sqlite")
    mine = keys(world.folder / "keys.sqlite", "create", "carl", "--models", "a")["key"]
    wait_until(lambda: world.ask("a", key=mine).status_code == 200, 30, world.told)
    with world.client(mine) as client:
        body = {"model": "b", "messages": [{"role": "user", "content": "x"}]}
        statuses = {client.post("/v1/chat/completions", json=body).status_code for _ in range(1000)}
        assert statuses == {403}
        asked = [("/v1/messages", body | {"max_tokens": 1}), ("/api/chat", body), ("/api/generate", {"model": "b"})]
        for path, said in asked:  # the last is how Ollama's clients load a model
            assert client.post(path, json=said).status_code == 403, path
    assert "start 'b'" not in world.launcher.log()
    assert world.states() == {"a": "ready", "b": "stopped"}


def test_p308_a_key_causes_so_many_switches_an_hour(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}}, residency={"switches_per_hour": 2})
    world.ask("a")
    world.ask("b")
    refused = world.ask("a")
    assert (refused.status_code, error_of(refused)["code"]) == (429, "overloaded")
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert world.gateway.metric("gateway_limited_total", reason="model_switches") == 1
    assert world.ask("a", key=OTHER_KEY).status_code == 200  # another's are its own


def test_p309_whoever_would_wait_too_long_is_told_at_once(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}}, turn={"cold_guess_s": 100}, residency={"load_timeout_s": 90})
    refused = world.ask("a")
    assert (refused.status_code, error_of(refused)["code"]) == (503, "model_loading")
    assert refused.headers["retry-after"] == "100"
    assert "start" not in world.launcher.log().replace("starting", "")


def test_p309_a_wait_ends_at_its_limit_and_the_queues_own_does_not_count(start_world: Start) -> None:
    settings = {"admission": {"queue_timeout_s": 0.3}, "residency": {"load_timeout_s": 3}}
    world = start_world({"a": {"fault": "slow-start", "slow_start_s": 1.5}, "b": {"fault": "refuse"}}, **settings)
    assert world.ask("a").status_code == 200  # it waited longer than the queue's limit
    refused = world.ask("b")
    assert (refused.status_code, error_of(refused)["code"]) == (503, "model_loading")
    assert int(refused.headers["retry-after"]) >= 1
    assert world.gateway.metric("gateway_queue_wait_seconds_sum", model="a") < 0.3


def test_p310_what_clients_are_shown(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}}, residency={"residency_factor": 50.0})
    with world.client() as client:
        assert client.get("/health").status_code == 200  # nothing is loaded, and whoever asks is served
        world.ask("b")
        world.ask("a")
        assert {one["id"] for one in client.get("/v1/models").json()["data"]} == {"a", "b"}
        assert {one["name"] for one in client.get("/api/tags").json()["models"]} == {"a:latest", "b:latest"}
        (loaded,) = client.get("/api/ps").json()["models"]
        assert loaded["name"] == "a:latest"
        assert loaded["expires_at"].startswith("20") and not loaded["expires_at"].startswith("2999")
        models = client.get("/health").json()["models"]
        assert models["a"]["state"] == "ready" and models["a"]["since"]
        assert models["b"]["state"] == "asleep" and models["b"]["about_s"] > 0


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_p311_keep_alive_0_lets_a_model_go(start_world: Start, path: str) -> None:
    world = start_world({"a": {}, "b": {}}, turn={"wake_guess_s": 30, "cold_guess_s": 8})
    world.ask("a")
    with world.client() as client:
        said = {"messages": [{"role": "user", "content": "x"}]} if path == "/api/chat" else {"prompt": "x"}
        body = {"model": "a", "stream": False, "keep_alive": 0, **said}
        assert client.post(path, json=body).json()["done"] is True
    began = world.gateway.metric("gateway_model_switches_total", to="b")
    assert began == 0
    answer = world.ask("b")  # without it an idle model stays for the 8 s that another takes to load
    assert answer.json()["model"] == "b"
    assert float(answer.headers["x-load-wait"]) < 6


def test_p311_a_request_without_a_prompt_loads(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    with world.client() as client:
        answer = client.post("/api/generate", json={"model": "b"})
        assert (answer.json()["done_reason"], answer.headers["x-model-state"]) == ("load", "loading")
        assert world.states() == {"a": "stopped", "b": "ready"}
        assert "x-model-state" not in client.post("/api/chat", json={"model": "b", "messages": []}).headers
    assert world.engine("b")["submitted"] <= 2  # tokens that it had to bring, and nothing of these
    assert world.gateway.metric("gateway_tokens_total", model="b") == 0


def test_p312_an_admin_loads_pins_and_unloads(with_admin: tuple[World, httpx.Client]) -> None:
    world, admin = with_admin
    assert do(admin, "load", "b").json() == {"version": 1, "name": "b", "did": "load", "state": "loading"}
    world.wait("b", "ready")
    assert do(admin, "pin", "a").json()["did"] == "pin"
    world.wait("a", "ready")
    refused = world.ask("b")
    assert (refused.status_code, error_of(refused)["code"]) == (503, "model_loading")
    assert "'a' is pinned" in error_of(refused)["message"]
    assert do(admin, "pin", "b").status_code == 409
    card = admin.get("/ui/v1/models").json()["cards"][0]
    assert (card["resident"], card["pinned"], card["launcher"], card["phase"]) == ("a", "a", "ok", "idle")
    a, b = card["models"]
    assert (a["state"], b["state"], b["next_load"]) == ("ready", "asleep", "wake")
    assert (a["cold_learned"], a["wake_learned"], a["loads"]) == (True, False, {"wake": 0, "cold": 1})
    do(admin, "unpin", "a")
    assert world.ask("b").json()["model"] == "b"
    do(admin, "unload", "b")
    world.wait("b", "stopped")
    do(admin, "unload", "a")  # a sleeper's memory is given back as well
    wait_for(lambda: world.launcher.of("a")["pid"] is None, 10, world.told)
    assert world.ask("a").json()["model"] == "a"


def test_p312_who_may_not_and_what_is_not(with_admin: tuple[World, httpx.Client]) -> None:
    world, admin = with_admin
    with world.client() as somebody:
        assert somebody.get("/ui/v1/models").status_code == 403
        assert do(somebody, "load", "a").status_code == 403
    bad: list[object] = [{}, {"do": "eat", "name": "a"}, {"do": "load"}, {"do": "load", "name": "zzz"}]
    for body in [*bad, {"do": "load", "name": "a", "x": 1}, []]:
        refused = admin.post("/ui/v1/models/do", content=json.dumps(body))
        assert refused.status_code == 400, body
    assert "there are 'a', 'b'" in do(admin, "load", "zzz").json()["error"]["message"]


def test_p313_other_settings_of_turns_ask_anew_what_is_loaded(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    world.ask("a")
    text = world.gateway.config.read_text()
    world.gateway.config.write_text(text.replace("patience_s: 0.4", "patience_s: 0.3"))
    wait_until(lambda: world.gateway.metric("gateway_config_reloads_total", result="applied") >= 1, 20, world.told)
    assert world.ask("a").status_code == 200
    assert world.ask("b").json()["model"] == "b"
    assert world.switches("a") == 1
    assert world.launcher.log().count("launcher: start 'a'") == 1
