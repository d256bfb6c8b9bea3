"""Asks each engine how it is, once a second, and judges it by what its tokens do.

An answer of 200 says that a process is there, nothing more: vLLM gives it while its core is frozen and while it
drains. So whoever comes, or comes back, first has to bring one token (`_try`); an idle engine has to from time to
time; and a busy one is watched by `stall_detector`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import orjson

from gateway.config.settings import Polling
from gateway.core.supervisor import Supervisor
from gateway.engines import vllm_metrics
from gateway.engines.circuit_breaker import State
from gateway.engines.query import NoConnection, ask, one_token
from gateway.engines.replica import Address
from gateway.engines.structured_canary import StructuredTrials
from gateway.http.client import OWN_SHORTAGE, REFUSED, why

# A busy engine may answer one poll late; a dead one answers none.
SILENT_POLLS_TO_LOST = 2
PART = "health_checker"
# One that stood still and goes on moves again within so long, and what it had before with it.
AWAKE_S = 1.0
LOADING = "vLLM opens its port once the weights are loaded"


class Poller:
    """The asking of all addresses: a task for each.

    ``alone``: whether nobody else serves what an address serves. ``gone``: told when an address has no process.
    """

    def __init__(
        self,
        polling: Polling,
        alone: Callable[[Address], bool],
        gone: Callable[[Address], None],
        supervisor: Supervisor,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._polling = polling
        self._alone = alone
        self._gone = gone
        self._supervisor = supervisor
        self._loop = loop
        self._structured = StructuredTrials(polling, supervisor, loop)
        self._tasks: dict[Address, asyncio.Task[None]] = {}
        self._trials: dict[Address, asyncio.Task[None]] = {}
        self._silent: dict[Address, int] = {}
        self._silent_since: dict[Address, float] = {}
        self._refused_since: dict[Address, datetime] = {}

    def use(self, polling: Polling) -> None:
        """Other times from now on."""
        self._polling = polling
        self._structured.use(polling)

    def watch(self, address: Address) -> None:
        """Begin to ask it."""
        self._tasks[address] = self._supervisor.task(PART, partial(self._keep_asking, address), self._loop)

    def leave(self, address: Address) -> None:
        """Ask it no more."""
        for tasks in (self._tasks, self._trials):
            task = tasks.pop(address, None)
            if task is not None:
                task.cancel()
        self._structured.leave(address)
        self._forget(address)

    def _forget(self, address: Address) -> None:
        self._silent.pop(address, None)
        self._silent_since.pop(address, None)
        self._refused_since.pop(address, None)

    def stop(self) -> None:
        for address in tuple(self._tasks):
            self.leave(address)

    def try_soon(self, address: Address) -> None:
        """Have it bring a token now, unless that is being done."""
        if address not in self._trials and address in self._tasks:
            address.breaker.trying()
            task = self._loop.create_task(self._try(address))
            self._trials[address] = task
            task.add_done_callback(lambda _: self._tried(address, task))

    def _tried(self, address: Address, trial: asyncio.Task[None]) -> None:
        if self._trials.get(address) is trial:  # and not a later one
            del self._trials[address]

    async def _keep_asking(self, address: Address) -> None:
        while True:
            with self._supervisor.guard(PART):
                await self._ask(address)
            with self._supervisor.guard(PART):
                self._judge(address)
                self._structured.check(address)
            await asyncio.sleep(self._polling.health_interval_s)

    async def _ask(self, address: Address) -> None:
        report = None
        try:
            async with asyncio.timeout(self._polling.health_timeout_s):
                status, _ = await ask(address, b"/health")
                if status != 200:
                    self._lose(address, f"its /health answers {status}")
                    return
                status, body = await ask(address, b"/v1/models")
                served = _model_ids(body) & set(address.engine.models) if status == 200 else set()
                status, text = await ask(address, b"/metrics")
                report = vllm_metrics.read(text) if status == 200 else None
        except NoConnection as error:
            self._refuse(address, error)
        except TimeoutError:
            self._silence(address, "it does not answer", slow=True)
        except OSError as error:
            self._silence(address, str(error))
        else:
            self._forget(address)
            address.polled(served, report)
        address.observe(self._loop.time(), report)

    def _silence(self, address: Address, reason: str, slow: bool = False) -> None:
        """``slow``: it may only have no time; else its connections break."""
        polling, now = self._polling, self._loop.time()
        since = self._silent_since.setdefault(address, now)
        heard = now - address.target.last_byte_at
        if address.state == "up" and heard < polling.health_timeout_s + polling.health_interval_s:
            return  # it has no time for polls, and goes on with its answers
        self._silent[address] = self._silent.get(address, 0) + 1
        if address.state == "up" and self._silent[address] < SILENT_POLLS_TO_LOST:
            return
        if slow and self._waited_for(address, now - since):
            address.stall(f"{reason}; it is waited for")
        else:
            self._lose(address, reason)

    def _waited_for(self, address: Address, seconds: float) -> bool:
        """Whether one that has stood still for so long is waited for: it was up, and nobody can stand in for it."""
        known = address.state in ("up", "stalled")
        return known and seconds < self._polling.lone_frozen_after_s and self._alone(address)

    def _refuse(self, address: Address, error: NoConnection) -> None:
        """No connection could be made."""
        if error.errno in OWN_SHORTAGE:
            return  # it says nothing about the engine
        reason = why(error)
        if error.errno in REFUSED:  # what had been there is gone, its prefix cache with it
            if address not in self._refused_since:
                self._gone(address)
            since = self._refused_since.setdefault(address, datetime.now(UTC))
            if address.state == "starting":
                reason = f"port refused since {since:%H:%M:%S} UTC ({reason}); {LOADING}"
            address.vitals.forget(self._loop.time())
        self._lose(address, reason)

    def _lose(self, address: Address, why: str) -> None:
        trial = self._trials.pop(address, None)
        if trial is not None:
            trial.cancel()
        address.lost(why)

    def _judge(self, address: Address) -> None:
        now = self._loop.time()
        quiet = address.vitals.frozen_for(now)
        stalled = address.state == "stalled"
        if quiet is not None and (address.breaker.closed or stalled or address.target.underway):
            why = f"is frozen: it has work and no token came for {quiet:.0f} s"
            if self._waited_for(address, quiet):
                if not stalled:
                    address.stall(f"it {why}; it is waited for")
            else:
                if address.breaker.closed or stalled:
                    address.out(f"it {why}")
                address.cut(why)
        elif stalled and address.listed and address.vitals.moved_at > address.stalled_at:
            address.proved()
        if address.listed and address.breaker.may_try(now):
            self.try_soon(address)
        elif address.breaker.closed and self._idle_for(address, now) >= self._polling.canary_interval_s > 0:
            self.try_soon(address)

    def _idle_for(self, address: Address, now: float) -> float:
        """Seconds in which no token can have told anything about it."""
        if address.report is not None:
            busy = address.in_flight or address.report.busy
            return 0.0 if busy else now - max(address.tried_at, address.vitals.moved_at)
        return now - max(address.tried_at, address.target.last_byte_at)

    async def _try(self, address: Address) -> None:
        """A tiny real generation."""
        fault: str | None = "a defect of the gateway ended the trial; its log has more"
        with self._supervisor.guard(PART):
            fault = await self._trial(address)
        if fault == "":
            await self._proved(address)
        elif fault is not None and address.breaker.state is not State.OPEN:
            address.out(fault, wait=not self._alone(address))

    async def _proved(self, address: Address) -> None:
        """A token came. What still moves nothing after that has been lost: engines serve all that they run."""
        if self._still(address):
            await asyncio.sleep(2 * self._polling.health_interval_s + AWAKE_S)
            if address.state == "down":
                return
            if quiet := self._still(address):
                address.cut(f"brought nothing for {quiet:.0f} s, and then a token for a later request", compiling=False)
        address.vitals.heard(self._loop.time())
        address.proved()

    def _still(self, address: Address) -> float:
        """For how many seconds it has stood still and been waited for; 0 if it does not."""
        return (address.vitals.frozen_for(self._loop.time()) or 0.0) if address.state == "stalled" else 0.0

    async def _trial(self, address: Address) -> str | None:
        """What is wrong; empty if nothing is, None if that could not be seen or it is waited for."""
        began = address.tried_at = self._loop.time()
        limit = self._polling.canary_timeout_s
        try:
            async with asyncio.timeout(limit):
                return await one_token(address)
        except TimeoutError:
            # Behind others in a long queue it may take longer; then their tokens say the same.
            waits = address.report is not None and address.report.busy and address.vitals.moved_at > began
            if waits:
                return ""
            fault = f"one token did not come within {limit:g} s"
            since = address.stalled_at if address.state == "stalled" else began
            if not self._waited_for(address, self._loop.time() - since):
                return fault
            address.stall(f"{fault}; it is waited for")
            return None
        except NoConnection as error:
            if error.errno in OWN_SHORTAGE and address.breaker.closed:
                return None
            return f"no connection for a request for one token: {why(error)}"
        except OSError as error:
            return f"a request for one token failed: {error}"


def _model_ids(body: bytes) -> set[str]:
    try:
        return {str(card["id"]) for card in orjson.loads(body)["data"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return set()
