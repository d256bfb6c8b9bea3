"""A race that is ready to begin: arms, their plans and order, the load, and what is raced for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.core.errors import UsageError
from fullbatch.planning import advice, profile
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.simulate import slo
from fullbatch.tune import arms, load, order, result
from fullbatch.tune.arms import Arm, PrunedArm
from fullbatch.tune.load import TuneLoad
from fullbatch.tune.objective import Objective, People, Tokens, alone
from fullbatch.tune.order import Forecast
from fullbatch.tune.race import RaceResult
from fullbatch.tune.standing import PLAN

# So many times the people of the profile, or its seats, are tried at most.
_MOST_TIMES, _MOST_PEOPLE = 4, 1024


@dataclass(frozen=True)
class RaceWishes:
    """What a person asks. `objective`: people, tokens or alone; `slo` as it was written; `arms`: only these."""

    profile: str
    objective: str = "people"
    slo: str | None = None
    workload: str = "chat"
    prompt_tokens: int | None = None
    max_tokens: int | None = None
    requests_per_user: int = 2
    arms: str | None = None


@dataclass(frozen=True)
class PreparedRace:
    """`racing`: the most promising first. `question`: what its journal says it is about."""

    name: str
    plans: dict[str, Plan]
    racing: tuple[Arm, ...]
    pruned: tuple[PrunedArm, ...]
    forecast: Forecast
    load: TuneLoad
    objective: Objective
    question: dict[str, Any]

    def lines(self) -> Iterator[str]:
        """What will be raced, in what order, and what will not and why."""
        forecast, unit = self.forecast.values, self.objective.unit
        at = f", {forecast[PLAN]:.3g} {unit} forecast" if PLAN in forecast else ""
        yield f"racing {len(self.racing)} arms against the plan of {self.name}{at}, for {self.objective.name}"
        for arm in self.racing:
            promises = f" (forecast {forecast[arm.name]:.3g} {unit})" if arm.name in forecast else ""
            yield f"  {arm.name}: {arm.title}{promises}"
        for one in self.pruned:
            yield f"  not {one.name}: {one.why}"
        for why in dict.fromkeys(self.forecast.unknown.values()):
            yield f"  not forecast: {why}"

    def refuse(self, found: RaceResult) -> None:
        """UsageError for a promise that makes no race: everybody keeps it, or nobody."""
        if not isinstance(self.objective, People):
            return
        said = self.question["slo"]
        if found.capped:
            raise UsageError(
                f"--slo: {said} holds with {self.objective.most} people at once, the most that are tried; give a "
                "tighter promise, or --objective tokens"
            )
        if all(one.score.shown < 1 for one in found.standing.boots):
            raise UsageError(
                f"--slo: {said} does not hold with one person, in the plan or in any arm; give a looser promise, or "
                "--objective alone"
            )


def prepare(root: Path, wishes: RaceWishes) -> PreparedRace:
    """UsageError for a profile that does not plan, no promise, no such workload or arm, requests that do not fit."""
    promised = slo.parse(wishes.slo) if wishes.slo else {}
    if wishes.objective == "people" and not promised:
        raise UsageError("tune: give the promise, such as --slo ttft_p95=1.5s,itl_p95=60ms, or --objective tokens")
    wanted = profile.load(root, wishes.profile)
    made = advice.plan(wishes.profile, wanted)
    lengths = {"prompt-tokens": wishes.prompt_tokens, "max-tokens": wishes.max_tokens}
    asked = load.read(root, wishes.workload, lengths, wishes.requests_per_user, made.engines[0].max_model_len)
    if asked.words[0] == "--workload":
        _refuse_length(asked, made)
    found, pruned = arms.build(wishes.profile, wanted, made, _on_disk(root))
    found = _chosen(found, pruned, wishes.arms)
    objective = _objective(wishes.objective, promised, made)
    users = objective.users if isinstance(objective, Tokens) else None
    today = Arm(PLAN, "today's plan", {}, wanted, made)
    forecast = order.forecast([today, *found], asked.typical, promised, users)
    ordered = tuple(order.ordered(found, forecast))
    question = {
        "profile": wishes.profile, "digest": result.digest(root, wishes.profile), "slo": wishes.slo,
        "objective": wishes.objective, "load": list(asked.words), "requests_per_user": asked.requests_per_user,
        "arms": wishes.arms,
    }  # fmt: skip
    plans = {PLAN: made} | {arm.name: arm.made for arm in ordered}
    return PreparedRace(wishes.profile, plans, ordered, pruned, forecast, asked, objective, question)


def _refuse_length(asked: TuneLoad, made: Plan) -> None:
    if asked.typical is None:
        return
    (more, less), one = load.HELD_OUT, asked.typical
    most, longest = made.engines[0].max_model_len, max(one.prompt + one.output, more * one.prompt + less * one.output)
    if longest > most:
        raise UsageError(
            f"--workload: requests of about {longest:,.0f} tokens (the load that is kept back has prompts a quarter "
            f"longer) do not fit the context of {made.name}, {most:,}; give fewer --prompt-tokens or --max-tokens"
        )


def _on_disk(root: Path) -> Callable[[str], bool]:
    there = {one.name for store in registry.weight_stores(root) for one in store.revisions()}
    return there.__contains__


def _chosen(found: tuple[Arm, ...], pruned: tuple[PrunedArm, ...], wanted: str | None) -> tuple[Arm, ...]:
    if wanted is None:
        return found
    names, known = wanted.split(","), {arm.name for arm in found}
    for name in names:
        if name not in known:
            why = next((f": {one.why}" for one in pruned if one.name == name), "")
            raise UsageError(f"--arms: '{name}' is no arm of this race{why}; there are: {', '.join(sorted(known))}")
    return tuple(arm for arm in found if arm.name in names)


def _objective(name: str, promised: dict[str, float], made: Plan) -> Objective:
    if name == "people":
        return People(promised, min(_MOST_PEOPLE, _MOST_TIMES * max(made.users, made.max_num_seqs)))
    return Tokens(made.users) if name == "tokens" else alone()
