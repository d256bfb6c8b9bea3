"""One replica of an engine as the gateway knows it: its address, its state, its load."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable
from typing import Literal

from gateway.config.setting_types import MOST
from gateway.config.settings import EngineSettings, Polling
from gateway.core.errors import EngineSilent
from gateway.engines.circuit_breaker import BreakerState, CircuitBreaker
from gateway.engines.concurrency_limit import ConcurrencyLimit
from gateway.engines.destination import Destination
from gateway.engines.kv_occupancy import Hold, Occupancy
from gateway.engines.stall_detector import StallDetector, Work
from gateway.engines.vllm_metrics import Report
from gateway.http.client import Pool

ReplicaState = Literal["starting", "up", "stalled", "resting", "down"]
NOTHING: frozenset[str] = frozenset()
# One slot in eight is kept for keys that have few, from four slots on.
RESERVED_SHARE = 8
_SMALLEST_WITH_RESERVE = 4
# With more prompt tokens unanswered than so many steps hold, requests wait in the engine for its steps, not for seats.
_STEPS_OF_READING = 2
# A prompt token that is still to be read counts so often more: it stands before every first token that comes after it.
# docs/decisions/0028-prompts-that-are-still-to-be-read.md has the numbers.
UNREAD_WEIGHT = 4.0
_log = logging.getLogger("gateway")


class Replica:
    """One engine process. It serves when it lists a model and its breaker is closed.

    ``since``: Unix time of its state. ``in_flight``: requests that this gateway has sent it and not got back, ``work``
    their estimated service, ``unread`` the prompts of those of which no token has come. ``limit``: how many requests
    that may be now. ``occupancy``: what they need of its KV cache. ``bit``: stands for it in
    `prefix_affinity.PrefixMemory`. ``tried_at``: the loop's clock when it last had to bring a token. ``ending``: it has
    said so itself. ``stalled_at``: since when it stands still, if it does. ``far``: it is another box's gateway,
    or, if it ``spills``, a server that is not ours.
    """

    def __init__(
        self,
        engine: EngineSettings,
        host: str,
        pool: Pool,
        polling: Polling,
        changed: Callable[[], None],
        extra: bytes = b"",
    ) -> None:
        """``changed`` is called whenever it serves other models than before. ``extra``: header lines for it."""
        now = pool.now()
        self.engine = engine
        self.pool = pool
        self.label = _label(host, engine.port)
        self.far = far = engine.kind != "engine"
        self.spills = engine.kind == "openai"
        named = b"localhost" if host.startswith("/") else self.label.encode()
        if far:  # whatever stands before it may go by the name
            named = _label(engine.host, engine.port).encode()
        self.target = Destination(pool, f"{engine.kind} '{engine.name}'", named, extra)
        self.state: ReplicaState = "starting"
        self.reason = "not asked yet"
        self.since = time.time()
        self.models = NOTHING
        self.listed = NOTHING
        self.in_flight = 0
        self.work = 0.0
        self.unread = 0.0
        self.bit = 0
        self.tried_at = now
        self.ending = False
        self.stalled_at = 0.0
        # Of structured output: when it was last asked for, last tried, and (Unix) stuck since; why it is taken to be.
        self.structured_at = 0.0
        self.structured_tried_at = now
        self.structured_stuck = ""
        self.structured_stuck_since = 0.0
        self.report: Report | None = None
        self.circuit_breaker = CircuitBreaker(random.random)
        self.stall_detector = StallDetector(polling.frozen_after_s, engine.max_num_batched_tokens, now)
        self._limit = ConcurrencyLimit(engine.max_running or engine.max_num_seqs)
        self.limit = self._limit.value
        # The far gateway knows what fits there.
        self.occupancy = Occupancy(MOST if far else engine.kv_cache_tokens)
        self._others = 0.0
        self._share = 1.0
        self._places = 1.0
        self._changed = changed

    def take(self, hold: Hold) -> None:
        """A request goes there."""
        room = self.engine.max_model_len - hold.prompt
        if room < 1.0:
            room = 1.0
        if hold.most > room:
            hold.most = room
        self.in_flight += 1
        self.work += hold.work
        self.unread += hold.unread
        self.occupancy.add(hold)

    def give(self, hold: Hold) -> None:
        """It is back."""
        self.in_flight -= 1
        # What is left over from adding and subtracting fractions ends with the last request.
        self.work = self.work - hold.work if self.in_flight else 0.0
        self.unread = self.unread - hold.unread if self.in_flight else 0.0
        self.occupancy.remove(hold)

    def read(self, hold: Hold) -> None:
        """Its prompt is read: the first token has come."""
        self.unread -= hold.unread
        hold.unread = 0.0

    @property
    def load(self) -> float:
        """What engines are compared by: their work, in which prompts that are still to be read count several times."""
        return (self.work + UNREAD_WEIGHT * self.unread + self._others) * self._share

    @property
    def reserve(self) -> int:
        """How many of its slots are kept for keys that have few."""
        return self.limit // RESERVED_SHARE or (1 if self.limit >= _SMALLEST_WITH_RESERVE else 0)

    def has_room(self, prompt: float, output: float, whole: bool) -> bool:
        """Whether it may be sent a request of so many tokens. ``whole``: also one that takes of the reserve."""
        reserve = 0 if whole else self.reserve
        if self.in_flight >= self.limit - reserve:
            return False
        share = 1.0 - 1.0 / RESERVED_SHARE if reserve else 1.0
        occupancy = self.occupancy
        return occupancy.surely_has_room(prompt, output, share) or occupancy.has_room(
            prompt, output, share, self.pool.now()
        )

    @property
    def untouched(self) -> bool:
        """It has nothing of this gateway's.

        Then one request may go there whatever others have there: in its queue it comes in turn, and here it might wait
        for ever, since those others ask nobody.
        """
        return self.in_flight == 0 and self.limit > 0

    def peer_says(self, free: int, load: float, engines: int) -> None:
        """How another gateway is: it would take so many more; its engines, so many, have ``load`` each, ours included.

        What it says is a second old, so it refuses what does not fit any more (`refused`).
        """
        own = self.work + UNREAD_WEIGHT * self.unread
        self._share = 1.0 / max(1, engines)
        self._others = max(0.0, load / self._share - own)
        self.limit = self.in_flight + free

    def answers_again(self) -> None:
        """A server that is not ours says that it is there: it may have as many again as it is to have."""
        self.limit = self._limit.value

    def refused(self) -> None:
        """It took no more than it has: nothing goes there until it is asked again."""
        self.limit = max(0, self.in_flight - 1)

    def share_places(self, share: float) -> None:
        """So much of its places is this gateway's, 0 to 1: the others are other gateways'."""
        if share != self._places and not self.far:
            self._places = share
            self.limit = self._limited()

    def _limited(self) -> int:
        return self._limit.value if self._places == 1.0 else max(1, round(self._limit.value * self._places))

    def polled(self, models: Iterable[str], report: Report | None, reason: str = "") -> None:
        """It answered: these of its models it lists, this it says of itself. ``reason``: why it lists none."""
        self.listed = frozenset(models)
        if not self.listed and self.circuit_breaker.closed:
            self.circuit_breaker.open(self.pool.now(), "lists its model again; a first token is awaited", wait=False)
        if report is not None:
            self.report = report
        if report is not None and not self.far:
            unread = sum(request.unread for request in self.target.underway)
            reading = unread > _STEPS_OF_READING * self.engine.max_num_batched_tokens
            # As if this gateway had all of them: a part of the places says as much of a queue as the whole.
            in_flight = self.in_flight if self._places == 1.0 else math.ceil(self.in_flight / self._places)
            self._limit.observe(report, in_flight, reading)
            self.limit = self._limited()
            self.occupancy.observe(report, self.pool.now())
        else:
            self.occupancy.unseen()
        self._settle("answers; a first token is awaited", reason)

    def lost(self, reason: str, without: ReplicaState = "down") -> None:
        """It does not answer, or not as it should; a tiny generation comes before its next request."""
        self.listed = NOTHING
        self.report = None
        self.structured_stuck = ""
        self.circuit_breaker.open(self.pool.now(), "answers again; a first token is awaited", wait=False)
        self._become(NOTHING, reason, without)

    def out(self, reason: str, wait: bool = True) -> None:
        """It answers, and yet gets nothing: it failed requests or trials, is frozen, or drains."""
        self.circuit_breaker.open(self.pool.now(), reason, wait)
        self._become(NOTHING, reason)

    def stall(self, reason: str) -> None:
        """It stands still, and nobody can stand in for it: it gets nothing new, and who comes waits for it."""
        now = self.pool.now()
        if self.state != "stalled":
            self.stalled_at = now
        if self.circuit_breaker.state is not BreakerState.OPEN:
            self.circuit_breaker.open(now, reason)
        self._become(NOTHING, reason, "stalled")

    def rest(self, reason: str) -> None:
        """It is another one's turn on its card: until `awaken` nothing is asked of it, and nothing brings it back."""
        self.lost(reason, "resting")
        self.pool.close()

    def awaken(self) -> None:
        self._become(NOTHING, "is loaded; a first token is awaited", "starting")

    def proved(self) -> None:
        """A token came back."""
        self.ending = False
        self.circuit_breaker.close(self.pool.now())
        self._settle("")

    def observe(self, now: float, report: Report | None) -> None:
        """Look for signs of life. ``report``: None when it did not come."""
        underway = self.target.underway
        blocked = sum(request.blocked for request in underway)
        unread = sum(request.unread for request in underway)
        work = Work(len(underway) - blocked, blocked, self.target.last_byte_at, unread)
        self.stall_detector.observe(now, report, work)

    def cut(self, why: str, compiling: bool = True) -> None:
        """End what is underway there: nothing more will come of it.

        ``compiling``: also those whose schema may still be being compiled.
        """
        for request in tuple(self.target.underway):
            if compiling or not request.structured_since:
                request.cut(EngineSilent(f"{self.target.label} {why}"))

    def structured_is_stuck(self, why: str) -> None:
        """Plain requests go on; those that wait for a structured answer end."""
        if not self.structured_stuck:
            self.structured_stuck_since = time.time()
            _log.warning("%s at %s: %s", self.target.label, self.label, why)
        self.structured_stuck = why
        for request in tuple(self.target.underway):
            if request.structured_since:
                request.cut(EngineSilent(f"{self.target.label}: {why}"))

    def _settle(self, awaited: str, unlisted: str = "") -> None:
        if not self.listed:
            self._become(NOTHING, unlisted or f"it does not list {' or '.join(self.engine.models)} at /v1/models")
        elif self.circuit_breaker.closed:
            self._become(self.listed, "")
        elif self.state == "stalled":
            pass  # until it moves, or is lost
        elif self.state == "starting":
            self._become(NOTHING, self.circuit_breaker.reason if self.circuit_breaker.tried else awaited)
        else:
            self._become(NOTHING, self.circuit_breaker.reason)

    def _become(self, models: frozenset[str], reason: str, without: ReplicaState = "down") -> None:
        """``without``: its state if it serves no model, once it has served one."""
        if self.state == "resting" and without == "down":
            return
        still = self.state == "starting" and without != "resting"
        state: ReplicaState = "up" if models else "starting" if still else without
        if state != self.state:
            self.since = time.time()
            because = f": {reason}" if reason else ""
            _log.warning("%s at %s is %s%s", self.target.label, self.label, state, because)
        self.state = state
        self.reason = reason
        if models != self.models:
            self.models = models
            self._changed()


def _label(host: str, port: int) -> str:
    """How an address is called in metrics and messages; of a socket its name alone, since where it lies is nobody's."""
    if host.startswith("/"):
        return host.rpartition("/")[2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
