"""Health checks: asks each replica once a second, and judges it by its tokens.

An answer of 200 says that a process is there, nothing more: vLLM gives it while its core is frozen and while it
drains. So whoever comes, or comes back, first has to bring one token (`_try`); an idle engine has to from time to
time; and a busy one is watched by `stall_detector`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from gateway.config.settings import Polling
from gateway.core.supervisor import Supervisor
from gateway.engines import far, vllm_metrics
from gateway.engines.circuit_breaker import BreakerState
from gateway.engines.peer_report import PeerRefused
from gateway.engines.query import NoConnection, ask, one_token
from gateway.engines.replica import Replica
from gateway.engines.structured_canary import StructuredTrials
from gateway.http.client import OWN_SHORTAGE, REFUSED, why

# A busy engine may answer one poll late; a dead one answers none.
SILENT_POLLS_TO_LOST = 2
PART = "health_checker"
# One that stood still and goes on moves again within so long, and what it had before with it.
AWAKE_S = 1.0
LOADING = "vLLM opens its port once the weights are loaded"


class HealthChecker:
    """The asking of all addresses: a task for each.

    ``alone``: whether nobody else serves what an address serves. ``gone``: told when an address has no process.
    """

    def __init__(
        self,
        polling: Polling,
        alone: Callable[[Replica], bool],
        gone: Callable[[Replica], None],
        supervisor: Supervisor,
        loop: asyncio.AbstractEventLoop,
        own_id: str = "",
    ) -> None:
        """``own_id``: of this gateway, which must not be its own peer."""
        self._own_id = own_id
        self._polling = polling
        self._alone = alone
        self._gone = gone
        self._supervisor = supervisor
        self._loop = loop
        self._structured = StructuredTrials(polling, supervisor, loop)
        self._tasks: dict[Replica, asyncio.Task[None]] = {}
        self._trials: dict[Replica, asyncio.Task[None]] = {}
        self._silent: dict[Replica, int] = {}
        self._silent_since: dict[Replica, float] = {}
        self._refused_since: dict[Replica, datetime] = {}

    def use(self, polling: Polling) -> None:
        """Other times from now on."""
        self._polling = polling
        self._structured.use(polling)

    def watch(self, replica: Replica) -> None:
        """Begin to ask it."""
        self._tasks[replica] = self._supervisor.task(PART, partial(self._keep_asking, replica), self._loop)

    def leave(self, replica: Replica) -> None:
        """Ask it no more."""
        for tasks in (self._tasks, self._trials):
            task = tasks.pop(replica, None)
            if task is not None:
                task.cancel()
        self._structured.leave(replica)
        self._forget(replica)

    def _forget(self, replica: Replica) -> None:
        self._silent.pop(replica, None)
        self._silent_since.pop(replica, None)
        self._refused_since.pop(replica, None)

    def stop(self) -> None:
        for replica in tuple(self._tasks):
            self.leave(replica)

    def try_soon(self, replica: Replica) -> None:
        """Have it bring a token now, unless that is being done."""
        if replica not in self._trials and replica in self._tasks:
            replica.circuit_breaker.trying()
            task = self._loop.create_task(self._try(replica))
            self._trials[replica] = task
            task.add_done_callback(lambda _: self._tried(replica, task))

    def _tried(self, replica: Replica, trial: asyncio.Task[None]) -> None:
        if self._trials.get(replica) is trial:  # and not a later one
            del self._trials[replica]

    async def _keep_asking(self, replica: Replica) -> None:
        while True:
            with self._supervisor.guard(PART):
                await self._ask(replica)
            with self._supervisor.guard(PART):
                self._judge(replica)
                self._structured.check(replica)
            await asyncio.sleep(self._polling.health_interval_s)

    async def _ask(self, replica: Replica) -> None:
        report, unlisted = None, ""
        try:
            async with asyncio.timeout(self._polling.health_timeout_s):
                if replica.far:
                    served, report, unlisted = await far.look(replica, self._own_id)
                else:
                    served, report = await _look(replica)
        except (Unwell, PeerRefused) as error:
            self._lose(replica, str(error))
            return
        except NoConnection as error:
            self._refuse(replica, error)
        except TimeoutError:
            self._silence(replica, "it does not answer", slow=True)
        except OSError as error:
            self._silence(replica, str(error))
        else:
            self._forget(replica)
            replica.polled(served, report, unlisted)
        replica.observe(self._loop.time(), report)

    def _silence(self, replica: Replica, reason: str, slow: bool = False) -> None:
        """``slow``: it may only have no time; else its connections break."""
        polling, now = self._polling, self._loop.time()
        since = self._silent_since.setdefault(replica, now)
        heard = now - replica.target.last_byte_at
        if replica.state == "up" and heard < polling.health_timeout_s + polling.health_interval_s:
            return  # it has no time for polls, and goes on with its answers
        self._silent[replica] = self._silent.get(replica, 0) + 1
        if replica.state == "up" and self._silent[replica] < SILENT_POLLS_TO_LOST:
            return
        if slow and self._waited_for(replica, now - since):
            replica.stall(f"{reason}; it is waited for")
        else:
            self._lose(replica, reason)

    def _waited_for(self, replica: Replica, seconds: float) -> bool:
        """Whether one that has stood still for so long is waited for: it was up, and nobody can stand in for it."""
        known = replica.state in ("up", "stalled")
        return known and seconds < self._polling.lone_frozen_after_s and self._alone(replica)

    def _refuse(self, replica: Replica, error: NoConnection) -> None:
        """No connection could be made."""
        if error.errno in OWN_SHORTAGE:
            return  # it says nothing about the engine
        reason = why(error.__cause__ if isinstance(error.__cause__, OSError) else error)
        if error.errno in REFUSED:  # what had been there is gone, its prefix cache with it
            if replica not in self._refused_since:
                self._gone(replica)
            since = self._refused_since.setdefault(replica, datetime.now(UTC))
            if replica.state == "starting":
                reason = f"port refused since {since:%H:%M:%S} UTC ({reason}); {LOADING}"
            replica.stall_detector.forget(self._loop.time())
        self._lose(replica, reason)

    def _lose(self, replica: Replica, why: str) -> None:
        trial = self._trials.pop(replica, None)
        if trial is not None:
            trial.cancel()
        replica.lost(why)

    def _judge(self, replica: Replica) -> None:
        now = self._loop.time()
        quiet = replica.stall_detector.frozen_for(now)
        stalled = replica.state == "stalled"
        if quiet is not None and (replica.circuit_breaker.closed or stalled or replica.target.underway):
            why = f"is frozen: it has work and no token came for {quiet:.0f} s"
            if self._waited_for(replica, quiet):
                if not stalled:
                    replica.stall(f"it {why}; it is waited for")
            else:
                if replica.circuit_breaker.closed or stalled:
                    replica.out(f"it {why}")
                replica.cut(why)
        elif stalled and replica.listed and replica.stall_detector.moved_at > replica.stalled_at:
            replica.proved()
        if replica.listed and replica.circuit_breaker.may_try(now):
            self.try_soon(replica)
        elif replica.circuit_breaker.closed and self._idle_for(replica, now) >= self._polling.canary_interval_s > 0:
            self.try_soon(replica)

    def _idle_for(self, replica: Replica, now: float) -> float:
        """Seconds in which no token can have told anything about it."""
        if replica.spills:
            return 0.0
        if replica.report is not None:
            busy = replica.in_flight or replica.report.busy
            return 0.0 if busy else now - max(replica.tried_at, replica.stall_detector.moved_at)
        return now - max(replica.tried_at, replica.target.last_byte_at)

    async def _try(self, replica: Replica) -> None:
        """A tiny real generation."""
        fault: str | None = "a defect of the gateway ended the trial; its log has more"
        with self._supervisor.guard(PART):
            fault = await self._trial(replica)
        if fault == "":
            await self._proved(replica)
        elif fault is not None and replica.circuit_breaker.state is not BreakerState.OPEN:
            replica.out(fault, wait=not self._alone(replica))

    async def _proved(self, replica: Replica) -> None:
        """A token came. What still moves nothing after that has been lost: engines serve all that they run."""
        if self._still(replica):
            await asyncio.sleep(2 * self._polling.health_interval_s + AWAKE_S)
            if replica.state == "down":
                return
            if quiet := self._still(replica):
                replica.cut(f"brought nothing for {quiet:.0f} s, and then a token for a later request", compiling=False)
        replica.stall_detector.heard(self._loop.time())
        replica.proved()

    def _still(self, replica: Replica) -> float:
        """For how many seconds it has stood still and been waited for; 0 if it does not."""
        return (replica.stall_detector.frozen_for(self._loop.time()) or 0.0) if replica.state == "stalled" else 0.0

    async def _trial(self, replica: Replica) -> str | None:
        """What is wrong; empty if nothing is, None if that could not be seen or it is waited for."""
        if replica.spills:
            return ""  # it has listed the model; its tokens are not asked for
        began = replica.tried_at = self._loop.time()
        limit = self._polling.canary_timeout_s
        try:
            async with asyncio.timeout(limit):
                return await one_token(replica)
        except TimeoutError:
            # Behind others in a long queue it may take longer; then their tokens say the same.
            waits = replica.report is not None and replica.report.busy and replica.stall_detector.moved_at > began
            if waits:
                return ""
            fault = f"one token did not come within {limit:g} s"
            since = replica.stalled_at if replica.state == "stalled" else began
            if not self._waited_for(replica, self._loop.time() - since):
                return fault
            replica.stall(f"{fault}; it is waited for")
            return None
        except NoConnection as error:
            if error.errno in OWN_SHORTAGE and replica.circuit_breaker.closed:
                return None
            return f"no connection for a request for one token: {why(error)}"
        except OSError as error:
            return f"a request for one token failed: {error}"


class Unwell(Exception):
    """It says so itself."""


async def _look(replica: Replica) -> tuple[set[str], vllm_metrics.Report | None]:
    """Which of its models an engine lists, and what it says of itself.

    Raises:
        Unwell: its /health is not 200.
        OSError: it could not be asked.
    """
    status, _ = await ask(replica, b"/health")
    if status != 200:
        raise Unwell(f"its /health answers {status}")
    status, body = await ask(replica, b"/v1/models")
    served = far.listed_models(body) & set(replica.engine.models) if status == 200 else set()
    status, text = await ask(replica, b"/metrics")
    return served, vllm_metrics.read(text) if status == 200 else None
