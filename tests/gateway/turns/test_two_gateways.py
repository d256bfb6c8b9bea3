"""A second gateway in front of a launcher: the first decides, and the second says so at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tests.gateway.harness import KEY, Gateway, chat, error_of
from tests.gateway.turns.worlds import World
from tests.waiting import wait_for, wait_until

Start = Callable[..., World]
ADMIN = "fb-tests-admin-0123456789abcdef"


@contextmanager
def second(world: World) -> Iterator[tuple[Gateway, httpx.Client]]:
    """Where a request waits for a model it waits for longer than the client does."""
    folder = world.folder / "other"
    folder.mkdir()
    gateway = world.another_gateway(folder, residency={"load_timeout_s": 600}, admins=["admin"])
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:
        try:
            yield gateway, client
        finally:
            gateway.stop()


def ask(client: httpx.Client, model: str) -> httpx.Response:
    return client.post("/v1/chat/completions", json=chat(model=model, max_tokens=4))


def state(client: httpx.Client, model: str) -> str:
    return str(client.get("/health").json()["models"][model]["state"])


def test_p315_the_second_says_so_at_once_and_takes_over(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    assert world.ask("a").status_code == 200
    with second(world) as (_, client):
        assert ask(client, "a").json()["model"] == "a"
        refused = ask(client, "b")
        assert (refused.status_code, error_of(refused)["code"]) == (503, "model_loading")
        assert "another gateway decides on 'card0'" in error_of(refused)["message"]
        assert refused.headers["retry-after"] == "5"
        assert world.launcher.of("a")["state"] == "ready", "nothing was taken away"
        assert ask(client, "a").status_code == 200
        world.gateway.stop()
        wait_until(lambda: ask(client, "b").status_code == 200, 30, world.told)


def test_p315_the_firsts_switches_are_no_failures_of_the_seconds(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {"fault": "slow-start", "slow_start_s": 3.0}})
    assert world.ask("a").status_code == 200
    with second(world) as (gateway, client):
        assert ask(client, "a").status_code == 200
        assert world.ask("b").json()["model"] == "b"
        wait_until(lambda: state(client, "b") == "ready", 30, world.told)
        assert ask(client, "b").json()["model"] == "b"
        assert state(client, "a") == "asleep"
        refused = ask(client, "a")
        assert (refused.status_code, error_of(refused)["code"]) == (503, "model_loading")
        for model in "ab":
            assert gateway.metric("gateway_model_load_failures_total", model=model, why="died") == 0


def test_p315_an_admin_is_told_where_to_ask(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    assert world.ask("a").status_code == 200
    with second(world) as (_, client):
        (world.folder / "other" / "api_keys").write_text(f"{KEY}\n{ADMIN} admin\n")
        headers = {"authorization": f"Bearer {ADMIN}"}
        wait_until(lambda: client.get("/ui/v1/models", headers=headers).status_code == 200, 20, "its key is known")
        wait_for(lambda: ask(client, "b").status_code == 503, 20, world.told)
        refused = client.post("/ui/v1/models/do", json={"do": "load", "name": "b"}, headers=headers)
        assert (refused.status_code, error_of(refused)["code"]) == (409, "another_gateway_decides")
        (card,) = client.get("/ui/v1/models", headers=headers).json()["cards"]
        assert (card["launcher"], card["resident"]) == ("another gateway decides on this card", "a")
