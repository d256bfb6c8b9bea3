"""What the gateway's page is told of the cards' memory, beside which it shows what engines report. Pure."""

from __future__ import annotations

from typing import Any

from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.places import CardPlace, Share
from fullbatch.planning.plan import Plan


def settings(plan: Plan) -> list[dict[str, Any]]:
    """`memory` of gateway.yaml: cards that engines share, or that one has for itself, and each engine's part; GiB."""
    if plan.places:
        services = {engine.served_name: engine.service for engine in plan.engines}
        return [_card(place, [services[share.model] for share in place.shares]) for place in plan.places]
    return [_card(_own(engine), [engine.service]) for engine in plan.engines]


def _own(engine: EnginePlan) -> CardPlace:
    """The cards of an engine that shares them with nobody."""
    budget = engine.budget
    share = Share(engine.served_name, budget.weights_gib, budget.overhead_gib, budget.kv_gib)
    return CardPlace(_title(engine), budget.total_gib, (share,))


def _title(engine: EnginePlan) -> str:
    if not engine.gpus:
        return "main memory"
    if engine.card_ids:
        return f"card{'s' * (len(engine.card_ids) > 1)} {', '.join(map(str, engine.card_ids))}"
    cards = "1 card" if engine.gpus == 1 else f"{engine.gpus} cards"
    return cards if engine.nodes == 1 else f"{cards} on each of {engine.nodes} machines"


def _card(place: CardPlace, services: list[str]) -> dict[str, Any]:
    return {
        "title": place.title,
        "total_gib": round(place.total_gib, 2),
        **({"kept_gib": round(place.kept_gib, 2)} if place.kept_gib else {}),
        "parts": [
            {
                "engine": service,
                "weights_gib": round(share.weights_gib, 2),
                "overhead_gib": round(share.overhead_gib, 2),
                "kv_gib": round(share.kv_gib, 2),
                **({"turns": True} if share.turns else {}),
            }
            for service, share in zip(services, place.shares, strict=True)
        ],
    }
