"""A gateway that watches its engines: how often, and what it tells of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import httpx

from tests.gateway.harness import Engine, Gateway, chat, wait_until

URL = "/v1/chat/completions"
QUICK = {
    "frozen_after_s": 1.0,
    "lone_frozen_after_s": 1.0,
    "health_timeout_s": 0.5,
    "canary_timeout_s": 1.0,
    "canary_interval_s": 0,
}
PATIENT = QUICK | {"lone_frozen_after_s": 60.0}
StartEngine = Callable[..., Engine]
StartGateway = Callable[..., Gateway]


def engine_health(gateway: Gateway, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{gateway.url}/health").json()["engines"][index]
    return found


def breaker_states(gateway: Gateway) -> list[str]:
    return re.findall(r"^gateway_engine_breaker_state{.*} (.*)$", gateway.metrics(), re.MULTILINE)


def wait_all_up(gateway: Gateway, count: int) -> float:
    return wait_until(lambda: breaker_states(gateway) == ["0.0"] * count, 10, "all engines up")


def busy(gateway: Gateway, done: threading.Event, **asked: Any) -> Callable[[int], None]:
    """One user who asks again and again."""

    def load(_: int) -> None:
        with gateway.client(30) as client:
            while not done.is_set():
                client.post(URL, json=chat(**asked))

    return load


def gauge(gateway: Gateway, name: str) -> float:
    return float(re.findall(rf"^{name}{{.*}} (.*)$", gateway.metrics(), re.MULTILINE)[0])


def there(engine: Engine) -> int:
    state = engine.state()
    return int(state["running"] + state["waiting"])
