"""Is structured output stuck while plain requests go on? vLLM compiles one schema after the other and does not stop for
a client that has gone, so one that takes hours ends structured output for everybody, and /health sees nothing.

An address that has had structured requests is asked for one token of a tiny schema from time to time, and at once when
a structured request has waited long for its first token. The schema is a new one each time: a known one would come
from a cache.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count

import orjson

from gateway.config.settings import Polling
from gateway.core.supervisor import Supervisor
from gateway.engines.query import ask, one_token
from gateway.engines.replica import Replica

# A structured request that has waited so long for its first token is a reason to ask.
SUSPECT_S = 10.0
# One that is suspected or stuck is asked again so soon.
AGAIN_S = 5.0
PART = "health_checker"


class StructuredTrials:
    """All addresses; `check` is called at each poll."""

    def __init__(self, polling: Polling, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> None:
        self._polling = polling
        self._supervisor = supervisor
        self._loop = loop
        self._numbers = count(1)
        self._tasks: dict[Replica, asyncio.Task[None]] = {}

    def use(self, polling: Polling) -> None:
        """Other times from now on."""
        self._polling = polling

    def check(self, replica: Replica) -> None:
        """Begin a trial if one is due."""
        if (
            replica.state == "up"
            and not replica.far
            and replica not in self._tasks
            and self._due(replica, self._loop.time())
        ):
            replica.structured_tried_at = self._loop.time()
            task = self._loop.create_task(self._try(replica))
            self._tasks[replica] = task
            task.add_done_callback(partial(self._tried, replica))

    def leave(self, replica: Replica) -> None:
        """Ask it no more."""
        task = self._tasks.pop(replica, None)
        if task is not None:
            task.cancel()

    def _tried(self, replica: Replica, task: asyncio.Task[None]) -> None:
        if self._tasks.get(replica) is task:
            del self._tasks[replica]

    def _due(self, replica: Replica, now: float) -> bool:
        interval, since = self._polling.structured_interval_s, now - replica.structured_tried_at
        if not interval:
            return False
        waiting = (request.structured_since for request in replica.target.underway)
        if replica.structured_stuck or any(at and now - at >= min(SUSPECT_S, interval) for at in waiting):
            return since >= min(AGAIN_S, interval)
        return replica.structured_at > replica.structured_tried_at and since >= interval

    async def _try(self, replica: Replica) -> None:
        with self._supervisor.guard(PART):
            stuck = await self._stuck(replica)
            limit = self._polling.canary_timeout_s
            if stuck:
                replica.structured_is_stuck(
                    f"structured output is stuck: a tiny schema got no token within {limit:g} s, plain requests go on"
                )
            elif stuck is not None:
                replica.structured_stuck = ""

    async def _stuck(self, replica: Replica) -> bool | None:
        """None where that cannot be said: nothing else goes on either, or its connections break."""
        name = f"p{next(self._numbers)}"
        schema: dict[str, object] = {"type": "object", "properties": {name: {"type": "boolean"}}, "required": [name]}
        schema["additionalProperties"] = False
        form = {
            "type": "json_schema",
            "json_schema": {"name": name, "schema": schema},
        }
        body = {"model": sorted(replica.models)[0], "prompt": "1", "max_tokens": 1, "temperature": 0}
        limit = self._polling.canary_timeout_s
        try:
            async with asyncio.timeout(limit):
                await ask(replica, b"/v1/completions", orjson.dumps(body | {"response_format": form}))
                return False  # an answer, be it a refusal
        except TimeoutError:
            pass
        except OSError:
            return None
        try:
            async with asyncio.timeout(limit):
                return True if not await one_token(replica) else None
        except OSError:
            return None
