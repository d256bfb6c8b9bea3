"""Step times of a profile: learned on its hardware, or reckoned from its card and its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.planning import memory
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.profile import Profile
from fullbatch.simulate.scheduler import Engine
from fullbatch.simulate.step_times import StepTimes

_GIB = 2**30
# Where learning begins on a processor, whose bandwidth nobody knows: seconds of a small model on a few cores.
_PROCESSOR = StepTimes(
    step_s=0.015, row_s=0.003, held_s=0.0, weights_s=0.0, prompt_s=0.001, admit_s=0.003, front_s=0.01
)


@dataclass(frozen=True)
class KnownStepTimes:
    """Step times, and in words where they come from."""

    times: StepTimes
    source: str


def find(profile: Profile, engine: EnginePlan) -> KnownStepTimes:
    """What is known of this model on this hardware: learned before reckoned.

    Raises:
        UsageError: neither; what would help is said.
    """
    weights, hardware = memory.precision(profile, profile.facts), hardware_of(profile)
    if engine.beside.draft:
        _refuse("how many drafted tokens are right depends on the text (speculative)")
    for one in reversed(catalog.read("step_times.yaml")["records"]):
        if (one["model"], one["hardware"], one["weights"]) == (engine.model, hardware, weights):
            return KnownStepTimes(StepTimes(**one["times"]), f"learned {one['date']}: {one['source']}")
    why = _why_not(profile)
    if why:
        _refuse(why)
    return KnownStepTimes(
        _reckoned(profile, engine), "reckoned from the card's bandwidth and rate, and the model's bytes"
    )


def _refuse(why: str) -> NoReturn:
    raise UsageError(f"{why}; measure it once (fullbatch loadtest run) and give the report: --fit REPORT")


def start(profile: Profile, engine: EnginePlan) -> StepTimes:
    """Where learning begins, and what is not learned: what is read in a step, as far as it can be reckoned."""
    return _PROCESSOR if _why_not(profile) else _reckoned(profile, engine)


def engine_of(engine: EnginePlan, times: StepTimes) -> Engine:
    """The engine of a plan with these step times."""
    said = next((flag.value for flag in engine.flags if flag.name == "block-size"), None)
    block = said if isinstance(said, int) else catalog.engine().block_size[engine.device]
    return Engine(
        engine.max_num_seqs, engine.max_num_batched_tokens, max(1, engine.capacity.kv_tokens // block), block, times
    )


def hardware_of(profile: Profile) -> str:
    """What records name: `cpu`, or the card."""
    return profile.hardware.card.name if profile.hardware.card else "cpu"


def can_be_reckoned(card: catalog.Gpu, weights: str) -> bool:
    """Whether it is in the catalog how fast this card computes, and how fast it reads such weights."""
    read = catalog.read("step_times.yaml")
    return card.name in read["tflops"] and weights in read["reckoned"]["bandwidth"]


def _why_not(profile: Profile) -> str:
    """Why its step times cannot be reckoned; empty where they can."""
    card, model = profile.hardware.card, profile.facts
    if card is None:
        return "how long a step takes on this processor is not known"
    if card.name not in catalog.read("step_times.yaml")["tflops"]:
        return f"how fast {card.title} computes is not in the catalog"
    if model.experts:
        return "which experts a step reads depends on the batch"
    if memory.precision(profile, model) not in catalog.read("step_times.yaml")["reckoned"]["bandwidth"]:
        return f"how fast {memory.precision(profile, model)} weights are read is not known"
    return ""


def _reckoned(profile: Profile, engine: EnginePlan) -> StepTimes:
    assert profile.hardware.card is not None
    weights = memory.precision(profile, profile.facts)
    return reckoned(profile.hardware.card, profile.facts, weights, engine)


def reckoned(card: catalog.Gpu, model: catalog.Model, weights: str, engine: EnginePlan) -> StepTimes:
    """Bytes by bandwidth, operations by rate, over the cards of a machine; what they tell each other is left out.

    Machines of one copy hold its layers one after the other, so a step takes as long as if one machine held them all.
    """
    read: dict[str, Any] = catalog.read("step_times.yaml")
    shares = read["reckoned"]
    bandwidth = card.bandwidth_gbs * 1e9 * max(1, engine.gpus)
    operations = read["tflops"][card.name] * 1e12 * shares["compute"][weights] * max(1, engine.gpus)
    return StepTimes(
        step_s=shares["step_s"],
        row_s=shares["row_s"],
        held_s=engine.capacity.kv_bytes_per_token / (bandwidth * shares["bandwidth"]["bf16"]),
        weights_s=model.weights_gib[weights] * _GIB / (bandwidth * shares["bandwidth"][weights]),
        prompt_s=2 * model.params_b * 1e9 / operations,
        admit_s=shares["admit_s"],
        front_s=shares["front_s"],
    )
