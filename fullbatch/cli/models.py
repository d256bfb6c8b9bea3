"""`fullbatch models`: lists the models of what runs, what each costs to load, and why one is failed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from fullbatch.core.errors import UsageError
from fullbatch.lifecycle import models
from fullbatch.lifecycle.models import ALWAYS, CardTurns, ServedModel, ServedModels

_DONE = {"load": "is being loaded", "unload": "goes when its answers have run out", "pin": "stays", "unpin": "may go"}
_LOG_LINES = 5
# From this share of the time on a second card, or fewer models, is the better way.
_MUCH_LOST = 0.3


def options(command: argparse.ArgumentParser, json_help: str) -> None:
    """The words after `fullbatch models`."""
    command.add_argument(
        "action", nargs="?", choices=("list", *models.ACTIONS), default="list", help="what to do (default: list)"
    )
    command.add_argument("model", nargs="?", help="which model, as `list` or a client calls it")
    command.add_argument("--profile", help="which deployment (default: the one that is running)")
    command.add_argument("--json", action="store_true", help=json_help)


def run(root: Path, args: argparse.Namespace) -> int:
    """Say what was asked for; an exit code."""
    data, text = said(root, args)
    sys.stdout.write((json.dumps(data, indent=2) if args.json else text) + "\n")
    return 0


def said(root: Path, args: argparse.Namespace) -> tuple[object, str]:
    """What was asked for, for programs and for a person. UsageError where the model is missing, or one too many."""
    if args.action == "list":
        if args.model:
            raise UsageError(f"models: list takes no model; to load one: fullbatch models load {args.model}")
        found = models.served(root, args.profile)
        return as_json(found), as_text(found)
    if not args.model:
        raise UsageError(f"models {args.action}: name a model; see `fullbatch models`")
    state = models.change(root, args.profile, args.action, args.model)
    text = f"{args.model} {_DONE[args.action]} ({state})"
    return {"model": args.model, "did": args.action, "state": state}, text


def as_json(found: ServedModels) -> dict[str, Any]:
    """Seconds, and shares of the time."""
    return {
        "profile": found.profile,
        "cards": [dataclasses.asdict(card) for card in found.cards],
        "models": [dataclasses.asdict(model) for model in found.models],
    }


def as_text(found: ServedModels) -> str:
    """A line for each model, those that take turns below their cards."""
    width = max((len(_named(one)) for one in found.models), default=0) + 2
    lines = [f"{_named(one):{width}}always there" for one in found.models if one.state == ALWAYS]
    for card in found.cards:
        lines += ["", _card(card)]
        for one in found.models:
            if one.card == card.card:
                lines += [f"{_named(one):{width}}{_state(one)}", *_failed(one)]
    return "\n".join(lines).lstrip("\n") or "no model is served"


def _named(one: ServedModel) -> str:
    """What clients call it, where that is one name, or what we do."""
    return one.names[0] if one.names else one.name


def _card(card: CardTurns) -> str:
    said = f"{card.card}: "
    if card.trouble:
        return f"{said}nothing is switched: {card.trouble}"
    said += f"{card.phase} for {card.to}" if card.to else card.phase or "idle"
    if card.lost_share:
        said += f"; {card.lost_share:.0%} of the last 15 minutes lost to switching"
    if card.lost_share > _MUCH_LOST:
        said += ": give it a second card, or make one `always`"
    return said


def _state(one: ServedModel) -> str:
    parts = [one.state + (", pinned" if one.pinned else "")]
    if one.about_s is not None and one.state in ("loading", "waking", "starting"):
        parts.append(f"about {one.about_s:.0f} s more")
    if one.running or one.waiting:
        parts.append(f"{one.running} running, {one.waiting} waiting")
    parts.append(_cost(one))
    if one.failures:
        parts.append(f"{one.failures} failed load{'s' * (one.failures > 1)}")
    return "; ".join(part for part in parts if part)


def _cost(one: ServedModel) -> str:
    """What loading it takes: learned, or the plan's guess."""
    found = []
    for kind, seconds, learned in (("wakes", one.wake_s, one.wake_learned), ("starts", one.cold_s, one.cold_learned)):
        # Of one that never sleeps there is nothing to say.
        if seconds is not None and (kind == "starts" or one.next_load == "wake" or learned):
            found.append(f"{kind} in {seconds:.1f} s" + ("" if learned else " (guessed)"))
    return ", ".join(found)


def _failed(one: ServedModel) -> list[str]:
    if not one.why:
        return []
    again = f"; tried again at {one.retry_at}" if one.retry_at else ""
    return [f"    why: {one.why}{again}", *(f"    | {line[:200]}" for line in one.log[-_LOG_LINES:])]
