"""Models in turns with real processes: who is served when, what is cut (nothing), and what a kill leaves."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.gateway.harness import chat, error_of, keys
from tests.gateway.turns.worlds import Load, World, took, whole
from tests.waiting import wait_for, wait_until

Start = Callable[..., World]


def test_p300_whoever_is_asked_for_is_loaded_and_answers(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    for name in "abab":
        answer = world.ask(name)
        assert (answer.status_code, answer.json()["model"]) == (200, name)
        assert answer.headers["x-model-state"] == "loading"
        assert float(answer.headers["x-load-wait"]) > 0
        assert "x-model-state" not in world.ask(name).headers
    assert world.states() == {"a": "asleep", "b": "ready"}
    assert world.gateway.metric("gateway_model_load_seconds_count", model="a", kind="cold") == 1
    assert world.gateway.metric("gateway_model_load_seconds_count", model="a", kind="wake") == 1
    assert world.gateway.metric("gateway_card_lost_seconds_total", card="card0") > 0
    assert world.engine("a")["disturbed"] == 0  # nothing is asked of a sleeper, not by health checks either


def test_p300_one_that_does_not_sleep_is_stopped_and_started(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}}, sleep=False)
    for name in "aba":
        assert world.ask(name).json()["model"] == name
    assert world.states() == {"a": "ready", "b": "stopped"}
    assert world.gateway.metric("gateway_model_load_seconds_count", model="a", kind="cold") == 2


def test_p301_b_is_served_while_a_never_pauses_and_nothing_of_a_is_cut(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    world.ask("b")
    world.ask("a")
    load = Load(world, "a", threads=5, tokens=200)
    time.sleep(1.5)
    began = time.monotonic()
    answer = world.ask("b")
    waited = took(began)
    time.sleep(1.5)  # A comes back
    answers = load.stop()
    assert answer.json()["model"] == "b"
    # Patience, the longest answer's draining, and a load, on a machine that others use.
    assert waited < 0.4 + 400 * 0.005 + 0.5 + 8
    assert len(answers) > 5 and all(answers)
    assert world.gateway.metric("gateway_model_switches_total", to="b", reason="patience") == 1


def test_p301_only_a_asked_for_is_never_turned_away(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    load = Load(world, "a", threads=2)
    time.sleep(2.0)
    load.stop()
    assert (world.switches("a"), world.switches("b")) == (1, 0)


def test_p302_all_who_wait_leave_and_the_load_ends_without_a_request(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {"fault": "slow-start", "slow_start_s": 2.0}})
    world.ask("a")
    with world.client() as client, pytest.raises(Exception, match="timed out"):
        client.post("/v1/chat/completions", json={"model": "b", "messages": []}, timeout=0.7)
    world.wait("b", "ready")
    assert world.engine("b")["submitted"] <= 2  # the token that it had to bring, and nothing of the client's
    assert world.gateway.metric("gateway_model_waiting", model="b") == 0
    began = time.monotonic()
    assert world.ask("a").json()["model"] == "a"  # and it has no claim to stay
    assert took(began) < 6


def test_p302_one_of_two_leaves_while_it_loads_and_the_next_in_line_is_served(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {"fault": "slow-start", "slow_start_s": 3.0}})
    world.ask("a")
    with concurrent.futures.ThreadPoolExecutor() as pool, world.client() as client:
        with pytest.raises(Exception, match="timed out"):  # whom the load is for
            client.post("/v1/chat/completions", json=chat(model="b", max_tokens=4), timeout=1.5)
        stays = pool.submit(world.ask, "b", 4)
        assert stays.result().json()["model"] == "b"
    assert world.engine("b")["submitted"] <= 3  # the one that stayed, and tokens that it had to bring
    assert world.gateway.metric("gateway_requests_total", model="b", outcome="ok") == 1
    assert world.launcher.log().count("launcher: start 'b'") == 1


def test_p302_nobody_waits_any_more_while_answers_run_out_and_a_stays(start_world: Start) -> None:
    world = start_world({"a": {"itl_ms": 100.0}, "b": {}})
    world.ask("a")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        long = pool.submit(world.stream, "a", 40)
        wait_until(lambda: world.engine("a")["running"], 10, "it runs")
        with world.client() as client, pytest.raises(Exception, match="timed out"):
            client.post("/v1/chat/completions", json={"model": "b", "messages": []}, timeout=1.5)
        assert world.ask("a", 2).status_code == 200  # while the long one still runs
        assert whole(long.result(), 40)
    assert world.switches("b") == 0
    assert world.states()["a"] == "ready"


def test_p303_batch_is_cut_for_somebody_interactive_only(start_world: Start) -> None:
    settings = {
        "residency": {"drain_s": 0.5, "patience_s": 0.1},
        "store": "keys.sqlite",
        "admission": {"ageing_s": 0.1},
    }
    world = start_world({"a": {"itl_ms": 50.0}, "b": {}}, **settings)
    urgent = keys(world.folder / "keys.sqlite", "create", "boss", "--priority", "interactive")["key"]
    world.ask("a")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        batch = pool.submit(world.stream, "a", 3000, **{"x-priority": "batch"})
        plain = pool.submit(world.stream, "a", 200)
        wait_until(lambda: world.engine("a")["running"] == 2, 10, "they run")
        other = pool.submit(world.ask, "b", headers={"x-priority": "batch"})
        time.sleep(1.5)
        assert not other.done() and not batch.done()  # batch work waits for batch work
        answer = wait_for(lambda: _asked(world, urgent), 30, world.told)
        assert answer == 200
        assert other.result().status_code == 200
    cut = batch.result()
    assert '"code":"model_turned_away"' in cut and not whole(cut, 3000)
    assert whole(plain.result(), 200)  # what is not batch is never cut


def _asked(world: World, key: str) -> int:
    """The status that a key's request for b comes to; the gateway may not know the key yet."""
    status = world.ask("b", key=key).status_code
    return 0 if status == 401 else status


def test_p304_a_killed_gateway_finds_what_is_loaded(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    world.ask("a")
    world.ask("b")
    pids = {name: world.launcher.of(name)["pid"] for name in "ab"}
    world.gateway.send(signal.SIGKILL)
    world.gateway.exit_code()
    world.start_gateway()
    assert world.ask("b").json()["model"] == "b"
    assert world.switches("b") == 0
    assert world.ask("a").json()["model"] == "a"
    assert {name: world.launcher.of(name)["pid"] for name in "ab"} == pids
    assert world.launcher.log().count("launcher: start") == 2


def test_p304_a_gateway_killed_while_loading_starts_nothing_twice(start_world: Start) -> None:
    world = start_world({"a": {"fault": "slow-start", "slow_start_s": 3.0}, "b": {}})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        lost = pool.submit(world.ask, "a")
        wait_for(lambda: world.launcher.of("a")["pid"], 10, "it is being started")
        world.gateway.send(signal.SIGKILL)
        assert isinstance(lost.exception(30), Exception)
    world.start_gateway()
    assert world.ask("a").json()["model"] == "a"
    assert world.launcher.log().count("launcher: start") == 1


def test_p304_a_killed_launcher_costs_nobody_an_answer(start_world: Start) -> None:
    world = start_world({"a": {"itl_ms": 20.0}, "b": {}})
    world.ask("b")
    world.ask("a")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(world.stream, "a", 100)
        wait_until(lambda: world.engine("a")["running"], 10, "it runs")
        world.launcher.kill()
        other = pool.submit(world.ask, "b")
        time.sleep(1.5)
        world.launcher.start()
        assert whole(running.result(), 100)
        assert other.result().json()["model"] == "b"
    assert world.launcher.log().count("launcher: start") == 2


def test_p304_a_launcher_killed_while_it_loads_keeps_who_waits_and_starts_nothing_twice(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {"fault": "slow-start", "slow_start_s": 4.0}})
    world.ask("a")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waits = pool.submit(world.ask, "b")
        wait_for(lambda: world.launcher.of("b")["pid"], 20, "it is being started")
        pid = world.launcher.of("b")["pid"]
        world.launcher.kill()
        world.launcher.start()
        assert waits.result().json()["model"] == "b"
    assert world.launcher.of("b")["pid"] == pid
    assert world.launcher.log().count("launcher: start 'b'") == 1
    assert world.failures("b", "start") == 0


def test_p305_an_engine_that_ends_by_itself_is_loaded_again(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {}})
    world.ask("b")
    world.ask("a")
    pid = world.launcher.of("b")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: world.launcher.of("b")["state"] == "failed", 10, "seen by the launcher")
    assert world.ask("b").json()["model"] == "b"  # it slept, so this is a cold start


def test_p306_b_is_tried_again_after_half_a_minute_and_then_a_minute(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {"fault": "slow-start", "dies_after_s": 0.1}})
    world.ask("a")
    assert world.ask("b").status_code == 503
    began = time.monotonic()

    def tries() -> int:
        """A request for b, and how often it has been started by then."""
        refused = world.ask("b")
        assert (refused.status_code, error_of(refused)["code"]) == (503, "model_failed")
        return world.launcher.log().count("launcher: start 'b'")

    wait_until(lambda: tries() == 2, 60, world.told)
    assert took(began) > 29  # and there were dozens of requests
    assert 30 < int(world.ask("b").headers["retry-after"]) <= 60
    assert tries() == 2
    assert world.ask("a").json()["model"] == "a"


def test_p306_b_fails_its_waiters_are_told_and_a_comes_back(start_world: Start) -> None:
    world = start_world({"a": {}, "b": {"fault": "slow-start", "dies_after_s": 0.3}})
    world.ask("a")
    refused = world.ask("b")
    assert refused.status_code == 503
    error = error_of(refused)
    assert error["code"] == "model_failed"
    assert "ended with exit code 3 while loading (RuntimeError: Engine core initialization failed.)" in error["message"]
    assert 20 <= int(refused.headers["retry-after"]) <= 30
    world.wait("a", "ready")
    for _ in range(20):
        again = world.ask("b")
        assert (again.status_code, error_of(again)["code"]) == (503, "model_failed")
    assert world.launcher.log().count("launcher: start 'b'") == 1  # not at each request
    assert world.failures("b", "start") == 1
    assert world.states() == {"a": "ready", "b": "failed"}
    assert world.ask("a").json()["model"] == "a"
