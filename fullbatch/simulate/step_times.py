"""How long a step of an engine takes, by what is in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class StepTimes:
    """Seconds.

    A step costs ``step_s``, ``row_s`` for each request in it, and ``held_s`` for each token of KV cache that its
    answers look back at. It reads all weights once (``weights_s``) while it computes the prompts' tokens (``prompt_s``
    each): the slower of the two counts. Before the scheduler sees a request, the API server works on it for
    ``admit_s``, one request after the other, and ``front_s`` pass beside that.
    """

    step_s: float
    row_s: float
    held_s: float
    weights_s: float
    prompt_s: float
    admit_s: float
    front_s: float

    def step(self, rows: int, held: int, prompt_tokens: int) -> float:
        """Seconds of one step: ``rows`` requests, ``held`` tokens before those that answer, prompt tokens computed."""
        both = max(self.weights_s, self.prompt_s * prompt_tokens)
        return self.step_s + both + self.row_s * rows + self.held_s * held

    def as_json(self) -> dict[str, float]:
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}


NAMES = tuple(field.name for field in fields(StepTimes))
