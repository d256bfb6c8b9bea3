"""A gateway, a launcher and fake engines that take turns on one card; times a hundredth of what they are in earnest."""

from __future__ import annotations

import concurrent.futures
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.harness import KEY, Gateway, chat
from tests.launcher.launchers import Launcher, model
from tests.ports import free_port
from tests.waiting import wait_for

NUMBERS = {"max_num_seqs": 16, "max_num_batched_tokens": 2048, "max_model_len": 4096, "kv_cache_tokens": 1_048_576}
RESIDENCY = {"patience_s": 0.4, "residency_factor": 1.0, "drain_s": 20, "load_timeout_s": 60}


class World:
    """``knobs``: of each fake engine, ``model`` what clients call it; ``turn``: of all turns; more: gateway.yaml."""

    def __init__(
        self, knobs: dict[str, dict[str, Any]], sleep: bool = True, turn: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fb-"))
        listed = [model(name, free_port(), sleep=sleep, **options) for name, options in knobs.items()]
        self.launcher = Launcher(self.folder, listed)
        self._settings = settings
        self._engines = [
            {
                "name": f"engine-{name}",
                "url": self.launcher.engine(name),
                "models": [options.get("model", name)],
                "turn": {
                    "card": "card0", "launcher": str(self.launcher.socket), "name": name, "sleep": sleep,
                    "wake_guess_s": 0.1, "cold_guess_s": 0.5,
                } | (turn or {}),
            } | NUMBERS
            for name, options in knobs.items()
        ]  # fmt: skip
        self.start_gateway()

    def start_gateway(self) -> None:
        settings = {"residency": RESIDENCY, "admins": ["admin"]} | self._settings
        settings["residency"] = RESIDENCY | settings["residency"]
        self.gateway = Gateway(self.folder, [], engines=self._engines, **settings)

    def another_gateway(self, folder: Path, **settings: Any) -> Gateway:
        """A second one in front of the same launcher."""
        settings["residency"] = RESIDENCY | settings.get("residency", {})
        return Gateway(folder, [], engines=self._engines, **settings)

    def client(self, key: str = KEY) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.gateway.url, headers=headers, timeout=60)

    def ask(self, name: str, tokens: int = 4, **more: Any) -> httpx.Response:
        """A whole answer."""
        headers = more.pop("headers", {})
        with self.client(more.pop("key", KEY)) as client:
            body = chat(model=name, max_tokens=tokens, **more)
            return client.post("/v1/chat/completions", json=body, headers=headers)

    def stream(self, name: str, tokens: int, **headers: str) -> str:
        """All of a stream's text."""
        with self.client() as client:
            body = chat(stream=True, model=name, max_tokens=tokens)
            with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
                return answer.read().decode()

    def states(self) -> dict[str, str]:
        models = httpx.get(f"{self.gateway.url}/health").json()["models"]
        return {name: one["state"] for name, one in models.items()}

    def wait(self, name: str, state: str) -> None:
        wait_for(lambda: self.states()[name] == state, 30, lambda: f"{name} {state}: {self.told()}")

    def told(self) -> str:
        return f"{self.launcher.log()}\n{self.gateway.stderr()[-3000:]}"

    def engine(self, name: str) -> dict[str, int]:
        found: dict[str, int] = httpx.get(f"{self.launcher.engine(name)}/fake/state").json()
        return found

    def switches(self, name: str) -> float:
        return self.gateway.metric("gateway_model_switches_total", to=name)

    def failures(self, name: str, why: str) -> float:
        return self.gateway.metric("gateway_model_load_failures_total", model=name, why=why)

    def stop(self) -> None:
        self.gateway.stop()
        self.launcher.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Load:
    """Asks for one model without pause, until `stop`: answers of different lengths, so that some always run."""

    def __init__(self, world: World, name: str, threads: int = 3, tokens: int = 20, **headers: str) -> None:
        self._world, self._name, self._headers = world, name, headers
        self._ended = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        lengths = [tokens + tokens * index // threads for index in range(threads)]
        self._work = [self._pool.submit(self._ask, length) for length in lengths]

    def _ask(self, tokens: int) -> list[bool]:
        found = []
        while not self._ended.is_set():
            found.append(whole(self._world.stream(self._name, tokens, **self._headers), tokens))
        return found

    def stop(self) -> list[bool]:
        """Of each answer, whether it was whole."""
        self._ended.set()
        found = [one for thread in self._work for one in thread.result(60)]
        self._pool.shutdown()
        return found


def whole(text: str, tokens: int) -> bool:
    """Whether a stream has all its tokens and its end."""
    return text.count('"content":"xxxx ') == tokens and text.endswith("data: [DONE]\n\n")


def took(began: float) -> float:
    return time.monotonic() - began
