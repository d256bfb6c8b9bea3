"""`fullbatch export`: a profile as files for something of others that runs containers on many machines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fullbatch.cli.values import port
from fullbatch.core import check_result
from fullbatch.planning import deployments
from fullbatch.rendering import exports
from fullbatch.runtime import registry
from fullbatch.runtime.base import ExportWishes


def options(parser: argparse.ArgumentParser, listing: str) -> None:
    """What it takes."""
    parser.description = (
        "Write a profile as files that Docker Swarm or Kubernetes run; nothing is started. docs/swarm.md and "
        "docs/kubernetes.md say what to do with them."
    )
    parser.add_argument("target", choices=[one.name for one in registry.TARGETS], help="what is to run it")
    parser.add_argument("profile", help=listing)
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to (default: exports/TARGET/PROFILE)")
    parser.add_argument(
        "--publish", type=port, metavar="PORT",
        help="swarm: the gateway's port on every address of its machine (default: none is published)",
    )  # fmt: skip
    parser.add_argument("--check", action="store_true", help="write nothing; ask the Swarm whether it would take it")


def run(root: Path, args: argparse.Namespace) -> int:
    """0, or 1 where `--check` found something; UsageError for what the target cannot carry."""
    target = registry.target(args.target)
    made = deployments.planned(root, args.profile)
    wishes = ExportWishes(args.publish)
    files = exports.wanted(root, target, made, wishes)
    if args.check:
        found = target.check(made, wishes)
        sys.stdout.write(check_result.as_text(found))
        return 0 if check_result.works(found) else 1
    out = args.out or Path("exports") / target.name / made.name
    changed = exports.write(out, files)
    lines = [f"{made.name} as {target.about}: {len(files)} files in {out}, {changed} changed"]
    lines += [f"other than under Compose: {note}" for note in target.notes(made, wishes)]
    lines += [f"next, in {out}: {target.next_step}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
