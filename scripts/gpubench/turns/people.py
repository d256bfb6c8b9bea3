"""People who ask for both models at once, through a gateway with its launcher: who is served, and what it takes."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections import Counter
from typing import Any

from fullbatch.core import http
from scripts.gpubench.matrix import TurnsCell
from scripts.gpubench.sides import Vllm
from scripts.gpubench.turns.launched import Clock

_ANSWER_S = 400.0
# Of a request: what it asked for, how it ended, how long it took, and who has answered, or what was said instead.
_COLUMNS = ("model", "status", "seconds", "told")


class PeopleAsking:
    """Half of them ask for one model and half for the other, each the next thing when the last is answered."""

    def __init__(self, side: Vllm, cell: TurnsCell, clock: Clock) -> None:
        self._side, self._cell, self._clock = side, cell, clock
        self._rows: list[tuple[str, int, float, str]] = []
        self._ends = 0.0

    def measure(self, found: dict[str, Any]) -> None:
        """Until its seconds are over; what was asked is waited for. Both are loaded once before, so that one sleeps."""
        for model in reversed(self._cell.models):
            self._load(model)
        self._ends = time.monotonic() + min(self._cell.seconds, self._clock.left())
        began = time.monotonic()
        threads = [
            threading.Thread(target=self._ask_on, args=(self._cell.models[number % len(self._cell.models)], number))
            for number in range(self._cell.people)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found["seconds"] = round(time.monotonic() - began, 2)
        found["requests"] = {"columns": _COLUMNS, "rows": self._rows}
        found["by_model"] = {model: _summary(model, self._rows) for model in self._cell.models}
        deployment = self._side.deployment
        told = http.fetch(f"{deployment.gateway_url}/ui/v1/models", deployment.api_key(), 30.0)
        found["cards"] = told.json().get("cards", told.text)

    def _load(self, model: str) -> None:
        deployment = self._side.deployment
        url, key = f"{deployment.gateway_url}/ui/v1/models", deployment.api_key()
        http.post(f"{url}/do", {"do": "load", "name": model}, key, 30.0)

        def there() -> bool:
            cards = http.fetch(url, key, 30.0).json().get("cards", [])
            return any(model in one["models"] and one["state"] == "ready" for card in cards for one in card["models"])

        self._clock.until(there)

    def _ask_on(self, model: str, number: int) -> None:
        deployment, asked = self._side.deployment, 0
        while time.monotonic() < self._ends:
            asked += 1
            text = f"Person {number} asks for the {asked}th time."
            body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 64, "temperature": 0}
            began = time.monotonic()
            answer = http.post(
                f"{deployment.gateway_url}/v1/chat/completions", body, deployment.api_key(), _ANSWER_S
            )  # fmt: skip
            said = answer.json()
            told = str(said.get("model")) if answer.status == 200 else answer.text[:200]
            self._rows.append((model, answer.status, round(time.monotonic() - began, 3), told))
            if answer.status != 200:
                time.sleep(1.0)


def _summary(model: str, rows: list[tuple[str, int, float, str]]) -> dict[str, Any]:
    mine = [row for row in rows if row[0] == model]
    waits = sorted(seconds for _, status, seconds, _ in mine if status == 200)
    return {
        "asked": len(mine),
        "answered": len(waits),
        "by_another": sum(status == 200 and told != model for _, status, _, told in mine),
        "failed": dict(Counter(str(status) for _, status, _, _ in mine if status != 200)),
        "p50_s": round(statistics.median(waits), 3) if waits else None,
        "p95_s": waits[math.ceil(0.95 * len(waits)) - 1] if waits else None,
        "max_s": waits[-1] if waits else None,
    }
