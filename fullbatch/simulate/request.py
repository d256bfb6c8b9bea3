"""A request of a simulated load, and what has become of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LoadRequest:
    """Tokens of its prompt and of its answer. `cached`: of the prompt, found in the prefix cache."""

    prompt: int
    output: int
    cached: int = 0


@dataclass
class SimulatedAnswer:
    """Seconds of the simulated clock: when it was sent, and when each of its tokens came."""

    asked: LoadRequest
    user: int
    sent: float
    tokens_at: list[float] = field(default_factory=list)
    preempted: int = 0

    @property
    def ttft(self) -> float:
        return self.tokens_at[0] - self.sent

    @property
    def gaps(self) -> list[float]:
        """Between its tokens."""
        return [later - earlier for earlier, later in zip(self.tokens_at, self.tokens_at[1:], strict=False)]
