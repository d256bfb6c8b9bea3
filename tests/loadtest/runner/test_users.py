"""One Locust user at a time. Locust patches the process, so each scenario has its own."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.loadtest.answers import asked, closed
from tests.loadtest.programs import under_locust

if TYPE_CHECKING:
    from locust.runners import LocalRunner

    from loadtest.runner.stage import Stage
    from loadtest.runner.users import ChatUser

REFUSED = "http://127.0.0.1:9"


def spawn(kind: type[ChatUser], url: str, max_tokens: int = 12) -> LocalRunner:
    """Under Locust: one such user, at work."""
    from locust.env import Environment

    from loadtest.client.connection import server_at

    kind.servers, kind.requests = (server_at(url, None),), asked(16, max_tokens, nonce="users")
    runner: LocalRunner = Environment(user_classes=[kind]).create_local_runner()
    runner.start(1, 1)
    return runner


def shown(runner: LocalRunner) -> dict[str, Any]:
    """What Locust's table and web UI show."""
    row = runner.stats.get("/v1/chat/completions", "stream")
    return {
        "requests": row.num_requests,
        "failures": row.num_failures,
        "tokens": row.avg_content_length,
        "fastest_ms": row.min_response_time,
        "errors": [str(error.error) for error in runner.stats.errors.values()],
    }


def stage_user(url: str, warmup: int, requests: int) -> dict[str, Any]:
    """Under Locust: a stage with this one user, let go after it waited a while."""
    from loadtest.runner.users import StageUser, closed_loop

    class User(StageUser):
        stage = closed(3, 1, requests, warmup)
        work = closed_loop

    stage = User.stage
    runner = spawn(User, url)
    assert stage.warm.full.wait(10)
    stage.warm.open()
    assert stage.start.full.wait(10)
    time.sleep(0.2)
    waiting = [len(stage.records), runner.user_count]
    stage.release()
    assert stage.over.wait(10)
    deadline = time.monotonic() + 5
    while runner.user_count and time.monotonic() < deadline:
        time.sleep(0.02)
    found = told(stage) | {"waiting": waiting, "left": runner.user_count, "shown": shown(runner)}
    runner.quit()
    return found


def told(stage: Stage) -> dict[str, Any]:
    return {
        "released": stage.released,
        "complete": stage.complete,
        "defect": repr(stage.defect),
        "warmups": [[one.stage, one.user, one.index, one.outcome, one.tokens] for one in stage.warmups],
        "records": [[one.stage, one.user, one.index, one.outcome, one.tokens] for one in stage.records],
        "times": [[one.plan, one.send, one.end] for one in stage.records],
    }


def stage_users(live: str, dead: str) -> list[dict[str, Any]]:
    return [stage_user(live, warmup=2, requests=3), stage_user(dead, warmup=1, requests=2)]


@pytest.fixture(scope="module")
def both(engine: tuple[str, int]) -> list[dict[str, Any]]:
    """A runner user of a live server, and one of a dead one."""
    found: list[dict[str, Any]] = under_locust(stage_users, engine[0], REFUSED)
    return found


@pytest.fixture
def finished(both: list[dict[str, Any]]) -> dict[str, Any]:
    return both[0]


def test_a_stage_user_warms_up_shortly_sends_its_share_and_is_gone(finished: dict[str, Any]) -> None:
    assert finished["warmups"] == [[3, 0, index, "ok", 8] for index in range(2)]
    assert finished["records"] == [[3, 0, index, "ok", 12] for index in range(3)]
    assert (finished["complete"], finished["defect"], finished["left"]) == (True, "None", 0)


def test_a_stage_user_sends_nothing_before_the_release_and_then_one_after_the_other(finished: dict[str, Any]) -> None:
    assert finished["waiting"] == [0, 1]
    free = finished["released"]
    for plan, send, end in finished["times"]:
        assert plan == free <= send < end
        free = end


def test_locusts_table_counts_every_request_once_with_its_whole_time_and_its_tokens(finished: dict[str, Any]) -> None:
    """40 ms and 7 gaps of 10 ms for the shortest; warm-ups are requests too."""
    shown = finished["shown"]
    assert (shown["requests"], shown["failures"], shown["errors"]) == (5, 0, [])
    assert shown["tokens"] == pytest.approx((2 * 8 + 3 * 12) / 5)
    assert shown["fastest_ms"] >= 105


def test_a_dead_server_is_a_failure_of_each_request_and_not_a_defect(both: list[dict[str, Any]]) -> None:
    stage = both[1]
    assert [warmup[3] for warmup in stage["warmups"]] == ["connect"]
    assert [record[3] for record in stage["records"]] == ["connect", "connect"]
    assert (stage["complete"], stage["defect"], stage["left"]) == (True, "None", 0)
    assert (stage["shown"]["requests"], stage["shown"]["failures"]) == (3, 3)
    assert stage["shown"]["errors"] == ["connect: Connection refused"]


def early_connection() -> dict[str, Any]:
    """Under Locust: what a server sees of a user that stands at the start, and after its release."""
    from loadtest.runner.users import StageUser, closed_loop

    class User(StageUser):
        stage = closed(1, 1, 1)
        work = closed_loop

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        runner = spawn(User, f"http://127.0.0.1:{listener.getsockname()[1]}")
        User.stage.warm.open()
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(0.3)
            try:
                early = connection.recv(65536).decode()
            except TimeoutError:
                early = ""
            User.stage.release()
            connection.settimeout(5)
            request = connection.recv(65536).decode()
    over = User.stage.over.wait(5)
    runner.quit()
    return {"early": early, "request": request, "over": over, "records": told(User.stage)["records"]}


def test_the_connection_is_there_before_the_release_and_the_request_after_it() -> None:
    seen = under_locust(early_connection)
    assert seen["early"] == ""
    assert seen["request"].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert seen["over"] and [record[3] for record in seen["records"]] == ["cut"]


def steady_user(url: str, seconds: float, max_tokens: int) -> dict[str, Any]:
    """Under Locust: what a steady user did in that time, and what its engine runs before and after it was stopped."""
    from loadtest.engines.sampler import scrape
    from loadtest.runner.users import SteadyUser

    class User(SteadyUser):
        pass

    def running() -> float | None:
        return (scrape(f"{url}/metrics") or {}).get("running")

    began = time.monotonic()
    runner = spawn(User, url, max_tokens)
    time.sleep(seconds)
    before = running()
    found = shown(runner) | {"seconds": time.monotonic() - began}
    runner.stop()
    deadline = time.monotonic() + 5
    while running() and time.monotonic() < deadline:
        time.sleep(0.05)
    return found | {"before": before, "after": running()}


def steady_users(live: str, dead: str) -> list[dict[str, Any]]:
    return [steady_user(live, 1.0, 8), steady_user(live, 0.3, 3000), steady_user(dead, 0.5, 8)]


@pytest.fixture(scope="module")
def steady(engine: tuple[str, int]) -> list[dict[str, Any]]:
    """A user of short answers, one of an answer that takes half a minute, and one of a dead server."""
    found: list[dict[str, Any]] = under_locust(steady_users, engine[0], REFUSED)
    return found


def test_a_steady_user_asks_again_and_again(steady: list[dict[str, Any]]) -> None:
    """110 ms an answer: more than fit into the time would not be one after the other."""
    assert 2 <= steady[0]["requests"] <= steady[0]["seconds"] / 0.11
    assert (steady[0]["failures"], steady[0]["tokens"]) == (0, 8)


def test_a_stopped_user_leaves_the_engine_at_once(steady: list[dict[str, Any]]) -> None:
    assert (steady[1]["requests"], steady[1]["before"], steady[1]["after"]) == (0, 1, 0)


def test_a_steady_user_rests_after_a_failure(steady: list[dict[str, Any]]) -> None:
    """In half a second it could have failed hundreds of times; a rest is a second."""
    assert 1 <= steady[2]["failures"] <= 1 + steady[2]["seconds"]
