"""Whether every model that should be there has answered: a real token, or a real vector or score."""

from __future__ import annotations

from typing import Any

from common import printable
from fullbatch.core import http
from fullbatch.core.errors import EngineError
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Awaited

TOKEN_TIMEOUT_SECONDS = 120.0
# Of a model that makes no text, whichever it is for.
_NO_TEXT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/embeddings", {"input": "Hello"}),
    ("/rerank", {"query": "Hello", "documents": ["Hello"]}),
)


class Proof:
    """What has answered so far of `plan`; each model is asked until it has, and then no more."""

    def __init__(self, running: Awaited, plan: Plan) -> None:
        self._running, self._several = running, bool(plan.parts)
        # Of those that take turns the first: it proves the launcher too, and the others would only turn it away.
        first = [engines[0] for engines in plan.turning.values()]
        self._missing = list({engine.served_name: engine for engine in (*plan.always, *first)}.values())

    def refusal(self) -> str | None:
        """Empty where all have answered; what came instead of an answer; None while the gateway is not healthy.

        Raises:
            EngineError: our own requests are refused.
        """
        if http.get(f"{self._running.gateway_url}/health").status != 200:
            return None
        told = {engine.service: self._told(engine) for engine in self._missing}
        self._missing = [engine for engine in self._missing if told[engine.service]]
        return next((f"{told[engine.service]}{self._of(engine)}" for engine in self._missing), "")

    def _of(self, engine: EnginePlan) -> str:
        return f" (of {engine.served_name})" if self._several else ""

    def _told(self, engine: EnginePlan) -> str:
        """Empty where it has answered, else what came."""
        key = self._running.api_key()
        if "completion" not in engine.capabilities:
            answers = [self._post(path, key, engine, body) for path, body in _NO_TEXT]
            return "" if any(one.status == 200 for one in answers) else _shown(answers[0])
        answer = self._post("/v1/completions", key, engine, {"prompt": "Hello", "max_tokens": 1})
        if answer.status == 401 and not key:
            return "its first key cannot be read yet"  # Docker that has much to do answers nothing now and then
        if answer.status in (401, 403, 404):
            raise EngineError(f"the gateway refuses our own test request: {answer.status} {answer.text.strip()}")
        usage = answer.json().get("usage")
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        return "" if answer.status == 200 and isinstance(tokens, int) and tokens >= 1 else _shown(answer)

    def _post(self, path: str, key: str, engine: EnginePlan, body: dict[str, Any]) -> http.HttpResponse:
        url = f"{self._running.gateway_url}{path}"
        return http.post(url, {"model": engine.served_name, **body}, key, TOKEN_TIMEOUT_SECONDS)


def _shown(answer: http.HttpResponse) -> str:
    return f"{answer.status} {printable.one_line(answer.text) or 'without a body'}"
