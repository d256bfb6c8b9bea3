"""A profile and the catalog's facts -> a frozen `Plan`: every flag with its reason. Pure: no files, clock or host."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from common.gateway_limits import GatewayLimits
from fullbatch import catalog
from fullbatch.planning import (
    adapters,
    assumptions,
    capabilities,
    engine_args,
    engine_step,
    feasible,
    flags,
    gateway_limits,
    kv_offload,
    memory,
    sizing,
    speculative,
    speed,
)
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.engine_step import EngineStep
from fullbatch.planning.flags import DRAIN_SECONDS
from fullbatch.planning.gateway_limits import AdmissionBounds
from fullbatch.planning.gateway_wishes import GatewayWishes
from fullbatch.planning.places import CardPlace
from fullbatch.planning.profile import Profile
from fullbatch.planning.speculative import Drafting
from fullbatch.planning.speed import Beside, SpeedSetting


@dataclass(frozen=True)
class Plan:
    """Everything the templates need, and nothing they would have to decide.

    `engines`: copies of one engine, or those of each of several models. `step_ms`: least milliseconds of a decoding
    step with all users, None unknown. `speed`: what makes few people faster, whether it is on, and why.
    `parts`: of several models a plan for each, empty for one; `places`: the cards that they share, and how;
    `residency`: what gateway.yaml says of taking turns.
    """

    name: str
    description: str
    users: int
    engine_version: str
    engines: tuple[EnginePlan, ...]
    limits: GatewayLimits
    admission: AdmissionBounds
    drain_seconds: int
    left_to_engine: tuple[tuple[str, str], ...]
    assumptions: tuple[str, ...]
    step_ms: float | None = None
    aliases: tuple[str, ...] = ()
    gateway: GatewayWishes = GatewayWishes()
    speed: tuple[SpeedSetting, ...] = ()
    parts: tuple[Plan, ...] = ()
    places: tuple[CardPlace, ...] = ()
    residency: tuple[tuple[str, Any], ...] = ()

    @property
    def models(self) -> tuple[Plan, ...]:
        """A plan for each model."""
        return self.parts or (self,)

    @property
    def gpus(self) -> int:
        """Cards of this machine that all engines take together."""
        return len(self.card_ids) if self.parts else sum(engine.gpus for engine in self.engines)

    @property
    def card_ids(self) -> tuple[int, ...]:
        """Which cards of this machine all engines take; empty: the first."""
        return tuple(dict.fromkeys(number for engine in self.engines for number in engine.card_ids))

    @property
    def always(self) -> tuple[EnginePlan, ...]:
        """The engines that are started with it; the others take turns."""
        return tuple(engine for engine in self.engines if not engine.turn)

    @property
    def turning(self) -> dict[str, tuple[EnginePlan, ...]]:
        """The engines that take turns, by the name of the cards that they do it on."""
        found: dict[str, tuple[EnginePlan, ...]] = {}
        for engine in self.engines:
            if engine.turn:
                found[engine.turn.card] = (*found.get(engine.turn.card, ()), engine)
        return found

    @property
    def max_num_seqs(self) -> int:
        """Seats of all engines."""
        return sum(engine.max_num_seqs for engine in self.engines)

    @property
    def budget(self) -> sizing.Budget:
        """Memory of all engines of one model."""
        return sizing.times(self.engines[0].budget, len(self.engines))

    @property
    def capacity(self) -> sizing.Capacity:
        """What the KV caches of all engines of one model hold."""
        return sizing.capacity_times(self.engines[0].capacity, len(self.engines))


def make(name: str, profile: Profile, own: catalog.Model | None = None) -> Plan:
    """The plan for `profile`; CannotWork, which names its file, when the model cannot work on that hardware.

    `own`: the facts of a model that the catalog does not know.
    """
    try:
        facts = own or profile.facts
        made, draft = speculative.settled(profile, facts, lambda wanted: _make(name, wanted, facts))
        capacity = made.engines[0].capacity
        return dataclasses.replace(made, speed=speed.settings(profile, facts, draft, capacity))
    except feasible.CannotWork as refusal:
        raise refusal.of(f"profiles/{name}.yaml") from None


def _make(name: str, profile: Profile, own: catalog.Model) -> Plan:
    model = memory.overridden(profile, own)
    feasible.refuse_settings(profile, model)
    kv_offload.refuse(profile, model)
    draft = speculative.drafting(profile, model)
    model = speculative.with_draft(model, draft)
    step, engine = _engine(profile, model, draft)
    copies = profile.hardware.replicas
    least = engine_step.least_ms(profile, model, engine.max_num_seqs, engine.budget, engine.capacity)
    pool = gateway_limits.EnginePool(
        copies,
        engine.max_num_seqs,
        int(engine.capacity.concurrency_typical),
        None if least is None else least / 1000,
        engine.capacity.kv_tokens,
    )
    allowed = gateway_limits.admission(pool, profile.users, profile.workload, catalog.workloads()[profile.workload])
    limits = gateway_limits.limits(engine.max_num_seqs * copies, allowed)
    chosen = flags.choose(profile, step, gateway_limits.engine_bound(limits))
    can = capabilities.choose(profile, model)
    engine = dataclasses.replace(
        engine,
        flags=(*chosen, *flags.of_model(profile, model), *can.flags, *speed.flags(profile, draft)),
        capabilities=can.named,
        ignore_tools=can.ignore_tools,
        max_running=allowed.max_running_each,
    )
    return Plan(
        name=name,
        description=profile.description,
        users=profile.users,
        engine_version=catalog.engine().version,
        engines=_copies(profile, engine),
        limits=limits,
        admission=allowed,
        drain_seconds=DRAIN_SECONDS,
        left_to_engine=(*flags.left_to_engine(profile, step, engine.flags), *can.left),
        assumptions=(
            *assumptions.of(profile, model, engine.budget, engine.max_model_len),
            *speculative.assumed(profile, draft),
            *kv_offload.assumed(profile, engine.budget, engine.capacity),
        ),
        step_ms=least,
        aliases=tuple(profile.aliases),
        gateway=profile.gateway,
    )


def _engine(profile: Profile, model: catalog.Model, draft: Drafting | None) -> tuple[EngineStep, EnginePlan]:
    """One engine, its flags still to come, and the step it makes."""
    pinned, hardware = catalog.engine(), profile.hardware
    device = "cuda" if hardware.gpu else "cpu"
    length = engine_step.count(profile, "max-model-len", profile.context)
    step = engine_step.choose(profile, model)
    budget, capacity = memory.sizes(profile, model, step, length, draft)
    step = engine_step.seated(profile, step, capacity)
    budget, capacity = memory.sizes(profile, model, step, length, draft)
    feasible.refuse_length(profile, model, step.tokens, length)
    feasible.refuse_batch(step.sequences, step.tokens)
    feasible.refuse_size(profile, length, budget, capacity)
    return step, EnginePlan(
        service="engine",
        device=device,
        image=pinned.images[device],
        model=profile.model,
        served_name=model.served_name,
        gpus=hardware.count if hardware.gpu else 0,
        flags=(),
        environment=flags.environment(profile),
        max_num_seqs=step.sequences,
        max_num_batched_tokens=step.tokens,
        max_model_len=length,
        budget=budget,
        capacity=capacity,
        nodes=hardware.nodes,
        adapters=(*profile.adapters, *engine_args.adapters(profile.engine.args)),
        loras=adapters.of(profile.adapters),
        pictures=feasible.pictures_of(profile, model),
        media_domains=tuple(profile.media_domains),
        gated=model.gated,
        checkpoint_gib=model.weights_gib.get(model.precision, budget.weights_gib) + (draft.fetched_gib if draft else 0),
        beside=Beside(draft, profile.kv_offload),
        restart_stuck=profile.engine.restart_stuck,
        package=model.package,
    )


def _copies(profile: Profile, engine: EnginePlan) -> tuple[EnginePlan, ...]:
    """An engine for each replica, on cards of its own: each is an address the gateway chooses between."""
    copies, ids = profile.hardware.replicas, tuple(profile.hardware.device_ids)
    if copies == 1:
        return (dataclasses.replace(engine, card_ids=ids),)
    ids = ids or tuple(range(copies * engine.gpus))
    return tuple(
        dataclasses.replace(
            engine,
            service="engine" if number == 0 else f"engine-{number + 1}",
            card_ids=ids[number * engine.gpus : (number + 1) * engine.gpus],
        )
        for number in range(copies)
    )
