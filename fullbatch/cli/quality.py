"""`fullbatch quality`: whether what runs still answers as was recorded of its model."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
from pathlib import Path
from typing import Any

from fullbatch import catalog
from fullbatch.chat.target import Wanted, find
from fullbatch.measure import quality
from fullbatch.measure.quality import QualityChange, QualityRun
from fullbatch.planning import feasible, memory, plan, profile

_MEANS = {
    "same": "as recorded, but for rounding",
    "worse": "other than rounding makes it, as after a quantisation; look at the answers (--json)",
    "broken": "broken, or another model than the record's",
    "other text": "not to be compared: the tokenizer makes other tokens of the text",
}


def options(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.description = (
        "Whether what runs still answers as was recorded: what its model expects of a text that we ship, and what it "
        "says to some questions. Start it first: fullbatch up PROFILE. Exit code 1 where it answers otherwise than "
        "rounding explains."
    )
    parser.add_argument("profile", nargs="?", help="which, when several are running")
    parser.add_argument("--write", action="store_true", help="append this run to fullbatch/catalog/quality.yaml")
    parser.add_argument("--json", action="store_true", help="for other programs, with all answers")


def run(root: Path, args: argparse.Namespace) -> int:
    """0: as recorded, or nothing to compare with; 1: not."""
    target = find(root, Wanted(args.profile or "", command="quality"))
    wanted = profile.load(root, target.name)
    about, asked = about_of(wanted, plan.make(target.name, wanted)), quality.questions()
    now = quality.measure(target.server.post, target.model, asked, about)
    before = quality.nearest(now, quality.records(now.model))
    change = None
    if before:
        nats = quality.answer_nats(target.server.post, target.model, asked.questions, before.answers)
        change = quality.compare(now, before, nats)
    sys.stdout.write(json.dumps(as_json(now, change), indent=2) + "\n" if args.json else as_text(now, change))
    if args.write:
        path = quality.keep(now)
        (sys.stderr if args.json else sys.stdout).write(f"kept in {path.relative_to(root)}\n")
    return 1 if change and change.verdict in ("worse", "broken") else 0


def about_of(asked: profile.Profile, made: plan.Plan) -> dict[str, str]:
    """What a record says of the engine and its precision."""
    engine = made.engines[0]
    known = catalog.models().get(engine.model)
    weights = memory.precision(asked, known) if known else asked.weights
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "model": engine.model,
        "engine": f"vLLM {made.engine_version} ({engine.device})",
        "weights": "fp32" if weights == "bf16" and feasible.wide(asked) else weights,
        "kv_cache": feasible.kv_cache_dtype(asked),
    }


def as_text(now: QualityRun, change: QualityChange | None) -> str:
    """For a person."""
    lines = [
        f"{now.model} on {now.about()}",
        f"  text       {now.nats:.3f} nats a token (perplexity {math.exp(now.nats):.2f}) of {sum(now.tokens)} tokens",
    ]
    if change is None:
        return "\n".join([*lines, "  no record of this model yet; --write keeps this one"]) + "\n"
    before = change.before
    lines.append(f"against {before.date}, {before.about()}")
    if change.text is not None:
        lines.append(f"  text       {change.text:+.4f} nats a token (perplexity {math.expm1(change.text):+.2%})")
    same = f"{change.same} of {len(before.answers)} word for word"
    lines.append(f"  answers    {same}; those recorded {change.answers:+.4f} nats a token")
    return "\n".join([*lines, f"{change.verdict}: {_MEANS[change.verdict]}"]) + "\n"


def as_json(now: QualityRun, change: QualityChange | None) -> dict[str, Any]:
    """For other programs."""
    found: dict[str, Any] = {"now": vars(now) | {"nats": now.nats}, "against": None}
    if change:
        found["against"] = {
            "record": vars(change.before) | {"nats": change.before.nats},
            "text_nats": change.text,
            "answer_nats": change.answers,
            "same_answers": change.same,
            "verdict": change.verdict,
        }
    return found
