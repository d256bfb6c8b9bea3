"""The order of arms: what the simulator promises of each, the most promising first. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fullbatch.core.errors import UsageError
from fullbatch.planning.plan import Plan
from fullbatch.planning.profile import Profile
from fullbatch.simulate import figures, known, load, slo
from fullbatch.simulate.figures import LoadFigures
from fullbatch.simulate.request import LoadRequest
from fullbatch.simulate.run import CannotEnd, Gate, simulate
from fullbatch.tune.arms import Arm

# Requests of each simulated user; more takes longer and orders no better.
_EACH = 2
# A search for people stops here: more of them order nothing.
_MOST_USERS = 256


@dataclass(frozen=True)
class Forecast:
    """What the simulator promises of each arm that it knows, and why it knows no other."""

    values: Mapping[str, float]
    unknown: Mapping[str, str]


def forecast(
    arms: Sequence[Arm], typical: LoadRequest | None, promised: Mapping[str, float], users: int | None
) -> Forecast:
    """People within `promised`, or tokens a second of `users` where a number is given."""
    values: dict[str, float] = {}
    unknown: dict[str, str] = {}
    for arm in arms:
        try:
            values[arm.name] = _value(arm.profile, arm.made, typical, promised, users)
        except UsageError as error:
            unknown[arm.name] = str(error).partition(";")[0]
        except CannotEnd as error:
            unknown[arm.name] = str(error)
    return Forecast(values, unknown)


def ordered(arms: Sequence[Arm], found: Forecast) -> list[Arm]:
    """The most promising first; those that nothing is known of as they stand, after the better half."""
    known_first = sorted((arm for arm in arms if arm.name in found.values), key=lambda arm: -found.values[arm.name])
    rest = [arm for arm in arms if arm.name not in found.values]
    half = -(-len(known_first) // 2)
    return [*known_first[:half], *rest, *known_first[half:]]


def _value(
    profile: Profile, made: Plan, typical: LoadRequest | None, promised: Mapping[str, float], users: int | None
) -> float:
    if typical is None:
        raise UsageError("only the file knows how long its requests are")
    engine = known.engine_of(made.engines[0], known.find(profile, made.engines[0]).times)

    def simulated(people: int) -> LoadFigures:
        asked = load.closed(people, _EACH, typical.prompt, typical.output, typical.cached)
        return figures.of(simulate(engine, asked, len(made.engines), Gate()))

    if users is not None:
        return simulated(users).output_tokens_per_s
    return float(slo.people(promised, simulated, _MOST_USERS))
