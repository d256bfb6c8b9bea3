"""What `fullbatch plan` and `fullbatch explain` say, of a profile of one model or of several."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fullbatch.cli import adhoc_profile, describe, describe_several
from fullbatch.planning import advice, deployments, explain
from fullbatch.tune import result


def plan(root: Path, args: argparse.Namespace) -> tuple[str, str]:
    """The plan that was asked for, as text or JSON, and a line on what was written; empty where nothing was."""
    if several := adhoc_profile.several(root, vars(args)):
        return _either(args, describe_several.as_json(several), describe_several.as_text(several)), ""
    asked = adhoc_profile.ask(root, vars(args))
    made = adhoc_profile.plan_of(asked)
    answer = advice.advise(made, asked.profile, asked.own)
    data = describe.as_json(made) | describe.answer_as_json(answer)
    said = _either(args, data, describe.as_text(made) + describe.answer_as_text(answer))
    if not args.write:
        return said, ""
    path = adhoc_profile.keep(root, args.write, asked)
    return said, f"wrote {path}; next: fullbatch render {args.write}"


def explained(root: Path, args: argparse.Namespace) -> str:
    """The flags of a profile by verdict, and what its last race has said, as text or JSON."""
    made = deployments.planned(root, args.profile)
    if made.parts:
        return _either(args, describe_several.explained_as_json(made), describe_several.explained(made))
    raced = result.cited(root, args.profile)
    lines = explain.lines(made) + ((raced,) if raced else ())
    return _either(args, explain.as_json(lines), describe.explained(lines) + "\n")


def _either(args: argparse.Namespace, data: object, text: str) -> str:
    return json.dumps(data, indent=2) + "\n" if args.json else text
