"""Two models in turns behind the launcher and its guard: times, what sleepers keep, texts before and after."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fullbatch.core import http
from fullbatch.core.errors import EngineError
from fullbatch.lifecycle.deployment import kv_tokens_reported
from fullbatch.measure.calibrate import logged
from fullbatch.runtime.base import Say
from scripts.gpubench.matrix import TurnsCell
from scripts.gpubench.sides import card_gib
from scripts.gpubench.turns.launched import Clock, LaunchedCard, post, used_mib

_PROMPTS = (
    "Write one sentence about the sea.", "1 2 3 4 5 6 7", "A list of five animals:", "The quick brown fox jumps over",
)  # fmt: skip
_TEXT_TOKENS = 64
_TRIES, _PAUSE_S = 20, 0.5
# What nobody may reach, in dev mode or not, and what only the launcher may.
_CLOSED = (
    "POST /collective_rpc", "GET /server_info", "POST /reset_prefix_cache", "POST /update_weights", "POST /sleep",
    "POST /sleep?level=1&mode=wait", "POST /sleep?level=2&mode=wait", "POST /wake_up", "GET /is_sleeping",
)  # fmt: skip
_DONE = {"start": "ready", "wake": "ready", "sleep": "asleep", "stop": "stopped"}


class TakingTurns:
    """Does one thing after the other and writes down what it took: ``found`` is what is kept, however it ends."""

    def __init__(self, card: LaunchedCard, cell: TurnsCell, found: dict[str, Any], clock: Clock, say: Say) -> None:
        self._card, self._cell, self._clock, self._say = card, cell, clock, say
        self._steps: list[dict[str, Any]] = found.setdefault("steps", [])
        self._found = found

    def measure(self) -> None:
        """All of it. OutOfTime where there is none left."""
        first, *rest = self._card.engines
        self._found["empty_mib"] = used_mib()
        self._first_start(first, rest[0])
        self._sleep(first)
        for name in rest:
            self._first_start(name, first)
            self._sleep(name)
        for _ in range(self._cell.rounds):
            for name in self._card.engines:
                self._ready(name)
                self._after_wake(name)
                self._sleep(name)
        for name in self._card.engines:
            self._step(name, "stop")
        for name in self._card.engines:  # what was compiled is on disk now
            self._step(name, "start")
            self._step(name, "stop")

    def _first_start(self, name: str, other: str) -> None:
        """Started for the first time; meanwhile and after it the launcher starts no other one."""
        step = self._step(name, "start", lambda: self._refused("while another starts", other))
        if step["state"] != "ready":
            raise EngineError(f"{name} did not start: {step['why']}", *self._card.of(name)["log"][-5:])
        if self._card.of(other)["state"] == "stopped":
            self._refused("while another is there", other)
        url = self._card.urls[name]
        self._found.setdefault("models", {})[self._served(name)] = {
            "kv_tokens_planned": self._card.engines[name].capacity.kv_tokens,
            "kv_tokens_reported": kv_tokens_reported(http.metrics(url)),
            "weights_gib_planned": round(self._card.engines[name].budget.weights_gib, 3),
            "logged": logged(self._card.log().splitlines()),
            "texts": self._texts(name),
            "again": self._texts(name),  # whether it says the same twice without having slept
        }
        self._found.setdefault("guard", {})[self._served(name)] = {asked: _status(url, asked) for asked in _CLOSED}

    def _refused(self, when: str, other: str) -> None:
        """Ask for another start that must not be; what the launcher says."""
        status, said = self._card.ask("POST", f"/models/{other}/start")
        self._found.setdefault("refused", []).append({"when": when, "status": status, "why": said.get("why", "")})

    def _ready(self, name: str) -> None:
        asleep = self._card.of(name)["state"] == "asleep"
        self._step(name, "wake" if asleep else "start")

    def _sleep(self, name: str) -> None:
        """Requests that have just ended may still be in the engine's own count: it is asked again then."""
        for _ in range(_TRIES):
            if self._step(name, "sleep")["state"] != "ready":
                return
            time.sleep(_PAUSE_S)

    def _after_wake(self, name: str) -> None:
        began = time.monotonic()
        self._complete(name, _PROMPTS[0], 1)
        self._steps[-1]["first_token_s"] = round(time.monotonic() - began, 4)
        self._steps[-1]["same_texts"] = self._texts(name) == self._found["models"][self._served(name)]["texts"]

    def _step(self, name: str, action: str, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """One action; its seconds as seen from here, and of a load the launcher's own."""
        began, before = time.monotonic(), len(self._card.of(name)["loads"])
        state = self._card.do(name, action, _DONE[action], self._clock, meanwhile)
        step = {
            "model": self._served(name),
            "did": action,
            "state": state["state"],
            "seconds": round(time.monotonic() - began, 3),
            "load": state["loads"][-1] if len(state["loads"]) > before else None,
            "why": state["why"],
            "card_mib": used_mib(),
            "engine_gib": card_gib([state["pid"]]) if state["pid"] else None,
        }
        self._steps.append(step)
        self._say(f"{name}: {action}: {state['state']} after {step['seconds']:.1f} s; card {step['card_mib']} MiB")
        return step

    def _served(self, name: str) -> str:
        """What clients call it; `name` is the launcher's word."""
        return self._card.engines[name].served_name

    def _texts(self, name: str) -> list[str]:
        return [self._complete(name, prompt, _TEXT_TOKENS) for prompt in _PROMPTS]

    def _complete(self, name: str, prompt: str, tokens: int) -> str:
        body = {
            "model": self._served(name),
            "prompt": prompt,
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": True,
        }
        answer = post(f"{self._card.urls[name]}/v1/completions", body, self._clock.left())
        return str(answer["choices"][0]["text"])


def _status(url: str, asked: str) -> int:
    method, _, target = asked.partition(" ")
    if method == "GET":
        return http.get(f"{url}{target}").status
    return http.post(f"{url}{target}", {}, "", 10.0).status
