"""Writes what a target is given, and keeps the shipped examples of it current."""

from __future__ import annotations

from pathlib import Path

from fullbatch.core.errors import UsageError
from fullbatch.planning import deployments
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import ExportTarget, ExportWishes

EXAMPLES = Path("examples")
# Below `examples/`: target -> profile, and what was wished.
SHIPPED = {
    "kubernetes": ("rtx4090x2-llama3.1-8b-fp8", ExportWishes()),
    "swarm": ("rtx4090x2-llama3.1-8b-fp8", ExportWishes(publish=8080)),
}
# Below `examples/` too, and kept by hand: a balancer in front of several gateways knows addresses that no profile has.
BY_HAND = frozenset({"several-gateways"})


def wanted(root: Path, target: ExportTarget, plan: Plan, wishes: ExportWishes) -> dict[str, str]:
    """Path below the folder -> text; UsageError with a line for each thing that the target cannot carry."""
    refused = target.refusals(plan, wishes)
    if refused:
        raise UsageError(*(f"profiles/{plan.name}.yaml: {one}" for one in refused))
    return target.files(root, plan, wishes)


def write(out: Path, files: dict[str, str]) -> int:
    """Write them into `out`; how many have changed. UsageError where something of another kind lies there."""
    strangers = _strangers(out, files)
    if strangers:
        raise UsageError(f"{out}: {strangers[0]} is not of this export; give another folder, or remove it")
    changed = 0
    for name, text in files.items():
        path = out / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed += 1
    return changed


def _strangers(out: Path, files: dict[str, str]) -> list[str]:
    """Files in `out` that are not to be written: of somebody else, or of an earlier export, and then they would go on
    being deployed."""
    there = [path.relative_to(out).as_posix() for path in sorted(out.rglob("*")) if path.is_file()]
    return [name for name in there if name not in files]


def examples(root: Path) -> dict[Path, str]:
    """The shipped examples: path below `root` -> text."""
    found: dict[Path, str] = {}
    for name, (of, wishes) in SHIPPED.items():
        target = registry.target(name)
        made = deployments.planned(root, of)
        found |= {EXAMPLES / name / path: text for path, text in wanted(root, target, made, wishes).items()}
    return found


def orphans(root: Path) -> list[Path]:
    """Files of the examples that are no longer written, those kept by hand aside."""
    known = examples(root)
    there = [path.relative_to(root) for path in sorted((root / EXAMPLES).rglob("*")) if path.is_file()]
    return [path for path in there if path not in known and path.relative_to(EXAMPLES).parts[0] not in BY_HAND]
