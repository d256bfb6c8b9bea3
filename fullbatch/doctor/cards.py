"""Checks of cards and their driver against a plan. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from fullbatch import catalog
from fullbatch.core.check_result import CheckResult, fail, ok, warn
from fullbatch.doctor.nvidia import Holder, InstalledCard, Nvidia
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan

# CUDA 13 of the engine's image and wheel; CUDA 12.x of the -cu129 image by minor-version compatibility
# (https://docs.nvidia.com/deploy/cuda-compatibility). vLLM docs/getting_started/installation/gpu.cuda.inc.md.
MINIMUM_DRIVER = 580
MINIMUM_DRIVER_CU129 = 525
MINIMUM_CAPABILITY = (7, 5)
# What the catalog says of a card may differ from the card by its driver's reserve.
SIZE_TOLERANCE = 0.95
_MIB = 1024.0


def judge(nvidia: Nvidia, plan: Plan, own: dict[int, str]) -> list[CheckResult]:
    """Driver, cards, and their free memory. `own`: processes of ours by pid, and the profile each belongs to."""
    engine, wants = plan.engines[0], plan.gpus
    if nvidia.problem:
        return [fail("driver", nvidia.problem, nvidia.fix)]
    verdicts = [driver(nvidia.cards[0].driver, engine)]
    if len(nvidia.cards) < wants:
        names = ", ".join(card.name for card in nvidia.cards)
        wanted = f"profiles/{plan.name}.yaml wants {wants} cards, the driver reports {len(nvidia.cards)}: {names}"
        verdicts.append(fail("cards", wanted, f"write `hardware.count: {len(nvidia.cards)}`, or add cards"))
    missing = sorted(set(plan.card_ids) - {card.index for card in nvidia.cards})
    if missing and len(nvidia.cards) >= wants:
        there = ", ".join(f"{card.index}: {card.name}" for card in nvidia.cards)
        wanted = f"profiles/{plan.name}.yaml names card {missing[0]} (hardware.device_ids), which the driver has not"
        verdicts.append(fail("cards", wanted, f"name cards that are there: {there}"))
    for card in chosen(nvidia.cards, plan):
        verdicts.append(_kind(card, plan, engine))
        holders = [holder for holder in nvidia.holders if holder.uuid == card.uuid]
        verdicts.append(_free(card, holders, plan, own))
    return verdicts


def chosen(cards: Sequence[InstalledCard], plan: Plan) -> list[InstalledCard]:
    """Of the `cards` of the machine those that the engines will take."""
    if plan.card_ids:
        return [card for card in cards if card.index in plan.card_ids]
    return list(cards[: plan.gpus])


def driver(version: str, engine: EnginePlan) -> CheckResult:
    """The driver's version against the CUDA of the engine's image."""
    major = int((re.match(r"\d+", version) or ["0"])[0])
    if major >= MINIMUM_DRIVER:
        return ok("driver", f"NVIDIA {version} (CUDA 13 needs {MINIMUM_DRIVER})")
    finding = f"NVIDIA {version}, the engine's image {engine.image} is built with CUDA 13 and needs {MINIMUM_DRIVER}"
    fix = f"update the driver to {MINIMUM_DRIVER} or newer"
    if major >= MINIMUM_DRIVER_CU129:
        fix += (
            f"; until then put the image with CUDA 12.9 into compose.override.yaml: "
            f"services: {{{engine.service}: {{image: {engine.image}-cu129}}}}, and the same for model"
        )
    return fail("driver", finding, fix)


def _kind(card: InstalledCard, plan: Plan, engine: EnginePlan) -> CheckResult:
    said = f"{card.index}: {card.name}, {card.memory_mib / _MIB:.1f} GiB, compute capability {card.capability}"
    capability = tuple(int(part) for part in re.findall(r"\d+", card.capability))
    if capability and capability < MINIMUM_CAPABILITY:
        return fail("card", f"{said}: vLLM needs 7.5", "take a cpu profile, or a card of Turing (2018) or newer")
    planned = engine.budget.total_gib / engine.cards
    if card.memory_mib / _MIB < planned * SIZE_TOLERANCE:
        return fail(
            "card",
            f"{said}: the profile is sized for {planned:.1f} GiB",
            f"write the card you have into profiles/{plan.name}.yaml (hardware.gpu), or choose a profile for it",
        )
    return ok("card", said)


def _free(card: InstalledCard, holders: list[Holder], plan: Plan, own: dict[int, str]) -> CheckResult:
    share = taken(card.index, plan)
    wanted, free, total = card.memory_mib * share / _MIB, card.free_mib / _MIB, card.memory_mib / _MIB
    if free >= wanted:
        return ok("card memory", f"{card.index}: {free:.1f} of {total:.1f} GiB free, the engine takes {wanted:.1f}")
    finding = (
        f"{card.index}: {free:.1f} of {total:.1f} GiB free, the engine takes {wanted:.1f} ({share:g} of all); "
        f"held by {_names(holders)}"
    )
    ours = {own[holder.pid] for holder in holders if holder.pid in own}
    if ours:
        name = sorted(ours)[0]
        return warn("card memory", finding, f"that is profile '{name}' of your own; stop it: fullbatch down {name}")
    return fail("card memory", finding, _make_room(free / total, plan))


def _make_room(share_free: float, plan: Plan) -> str:
    if plan.parts:
        return "stop that process, or move a model to another card (cards) or to smaller weights: see `fullbatch plan`"
    engine = plan.engines[0]
    fitting = math.floor(share_free * 100 - 1) / 100
    needed = engine.budget.weights_gib + engine.budget.overhead_gib
    if fitting * engine.budget.total_gib <= needed:
        return "stop that process; the weights alone do not fit beside it"
    return (
        f"stop that process, or write `engine.args: {{gpu-memory-utilization: {fitting:.2f}}}` "
        f"in profiles/{plan.name}.yaml, which leaves less KV cache"
    )


def _names(holders: list[Holder]) -> str:
    if not holders:
        return "a process nvidia-smi does not name (a desktop, another container, or another user's)"
    told = sorted(holders, key=lambda holder: -(holder.used_mib or 0))
    return ", ".join(
        f"{holder.name} (process {holder.pid}"
        + (f", {holder.used_mib / _MIB:.1f} GiB)" if holder.used_mib is not None else ")")
        for holder in told
    )


def taken(card: int, plan: Plan) -> float:
    """The share of a card that all engines on it take; of those that take turns the largest."""
    if not plan.parts:
        return utilization(plan.engines[0])
    always = sum(utilization(engine) for engine in plan.always if card in engine.card_ids)
    turns = [utilization(engine) for group in plan.turning.values() for engine in group if card in engine.card_ids]
    return min(catalog.engine().default_gpu_memory_utilization, round(always + max(turns, default=0.0), 3))


def utilization(engine: EnginePlan) -> float:
    """The share of a card that the engine takes."""
    for flag in engine.flags:
        if flag.name == "gpu-memory-utilization":
            return float(str(flag.value))
    return catalog.engine().default_gpu_memory_utilization
