"""What everybody may see: which models are served, how they are, how many wait. No key's name and no address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from gateway.admission.controller import Admission
from gateway.engines.health_report import STATES, Health
from gateway.engines.registry import EngineRegistry
from gateway.pages.token_rate import TokenRate

VERSION = 1
# It is made anew at most so often, however many look.
KEPT_S = 0.5
_SAID = {
    "up": "Ready",
    "starting": "Starting",
    "stalled": "Stalled",
    "resting": "Loaded when asked for",
    "down": "Down",
    "partly": "Partly ready",
    "stopping": "Stopping",
}


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """``state``: of its best engine (`registry.STATES`). ``context``: tokens. ``text``: why it is not up; or empty."""

    name: str
    state: str
    context: int
    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """One moment. ``state``: that of all models, `partly` or `stopping`; ``text``: the same for a person.

    ``running``: requests in the engines, of ``places`` that there are; ``waiting``: in the queue.
    """

    version: int
    state: str
    text: str
    models: tuple[ModelStatus, ...]
    running: int
    places: int
    waiting: int
    tokens_per_second: float

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class StatusBoard:
    """Says how everything is now."""

    def __init__(
        self, registry: EngineRegistry, admission: Admission, draining: Callable[[], bool], clock: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._admission = admission
        self._draining = draining
        self._clock = clock
        self._made_at = 0.0
        self._made: Status | None = None
        self.token_rate = TokenRate(registry, clock)

    def now(self) -> Status:
        now = self._clock()
        if self._made is None or now - self._made_at >= KEPT_S:
            self._made, self._made_at = self._make(), now
        return self._made

    def _make(self) -> Status:
        healths = self._registry.health()
        known = self._registry.models()
        names = dict.fromkeys(name for engine in self._registry.engines for name in engine.models)  # as configured
        models = tuple(
            _model(name, known[name].max_model_len, healths, bool(self._registry.serving(name))) for name in names
        )
        waiting = sum(sum(keys.values()) for keys in self._admission.waiting().values())
        state = "stopping" if self._draining() else _together({model.state for model in models})
        return Status(
            version=VERSION,
            state=state,
            text=_text(state, waiting),
            models=models,
            running=sum(self._admission.running.values()),
            places=sum(replica.limit for replica in self._registry.replicas() if replica.state == "up"),
            waiting=waiting,
            tokens_per_second=round(self.token_rate.tokens_per_second, 1),
        )


def _model(name: str, context: int, healths: list[Health], served: bool) -> ModelStatus:
    if served:
        return ModelStatus(name, "up", context, "")
    configured = [health for health in healths if name in health.models]
    best = min(configured, key=lambda health: STATES.index(health.state), default=None)
    if best is None or best.state == "up":
        return ModelStatus(name, "down", context, "no engine has it")
    return ModelStatus(name, best.state, context, best.told)


def _together(states: set[str]) -> str:
    if "up" in states and states <= {"up", "resting"}:
        return "up"
    if "up" in states:
        return "partly"
    return next((state for state in ("stalled", "starting", "resting") if state in states), "down")


def _text(state: str, waiting: int) -> str:
    said = _SAID[state]
    if state not in ("up", "partly") or not waiting:
        return said
    return f"{said}, {waiting} {'waits' if waiting == 1 else 'wait'}"
