"""What runs for ever goes on after a defect, and shows that it had one."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from gateway.core import supervisor as module
from gateway.core.supervisor import PARTS, Supervisor
from tests.gateway.harness import Gateway, wait_until


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)


async def test_p142_a_task_that_fails_is_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    supervisor, times = Supervisor(), 0

    async def work() -> None:
        nonlocal times
        times += 1
        if times < 4:
            raise KeyError("a defect")

    await supervisor.task("resolver", work, asyncio.get_running_loop())
    part = supervisor.parts["resolver"]
    assert (times, part.failures, part.last) == (4, 3, "KeyError")
    assert supervisor.report()["resolver"] == {"state": "failing", "failures": 3, "last": "KeyError"}
    # Told once with its traceback, not each time.
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_p142_one_that_is_cancelled_is_not() -> None:
    supervisor = Supervisor()
    task = supervisor.task("resolver", lambda: asyncio.sleep(60), asyncio.get_running_loop())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert supervisor.parts["resolver"].failures == 0


def test_p142_a_thread_that_fails_goes_on() -> None:
    supervisor, done, times = Supervisor(), threading.Event(), 0

    def work() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise ValueError("a defect")
        done.set()

    thread = supervisor.thread("reloader", work)
    thread.start()
    assert done.wait(5)
    thread.join(5)
    assert supervisor.parts["reloader"].failures == 1 and not thread.is_alive()


def test_p142_health_and_metrics_show_every_part(gateway: Gateway) -> None:
    tasks = httpx.get(f"{gateway.url}/health").json()["tasks"]
    assert tasks == {name: {"state": "ok", "failures": 0} for name in PARTS}
    for name in PARTS:
        assert f'gateway_task_failures_total{{deployment="test",task="{name}"}} 0.0' in gateway.metrics()
    wait_until(gateway.is_up, 5, "up")
