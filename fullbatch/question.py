"""`fullbatch plan --model M --gpu G …`: a question put as options becomes a profile, and may be kept as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fullbatch import answers, catalog, profile
from fullbatch.catalog import config_json
from fullbatch.errors import UsageError
from fullbatch.feasible import CannotWork
from fullbatch.plan import Plan

NAME = "as asked"
_SETTINGS = ("users", "context", "goal", "workload", "weights", "kv_cache")


@dataclass(frozen=True)
class Asked:
    """A profile, the name it is shown by, and the facts of a model that the catalog does not know."""

    name: str
    profile: profile.Profile
    own: catalog.Model | None = None


def ask(root: Path, options: dict[str, Any]) -> Asked:
    """The profile named in `options`, or one made of model and gpu; any other option given overrides its setting."""
    name = options.get("profile")
    if not name and not (options.get("model") and options.get("gpu")):
        raise UsageError("plan: name a profile, or give --model and --gpu")
    data = profile.load(root, name).model_dump(exclude_defaults=True) if name else {}
    own = _own_facts(options.get("model"))
    hardware = {"gpu": options.get("gpu"), "count": options.get("gpus")}
    hardware |= {name: options.get(name) for name in ("replicas", "nodes")}
    given = {key: value for key, value in hardware.items() if value is not None}
    if "gpu" in given:
        data["hardware"] = {}
    data["hardware"] = data.get("hardware", {}) | given
    if options.get("model"):
        data["model"] = own.name if own else options["model"]
    data |= {key: options[key] for key in _SETTINGS if options.get(key) is not None}
    if not name:
        data.setdefault("context", min(4096, _native(data["model"], own)))
    data["description"] = data.get("description") or _describe(data)
    source = (
        f"profiles/{name}.yaml" if name else "options (a model the catalog lacks: give its directory or config.json)"
    )
    return Asked(name or NAME, profile.parse(data, source, {own.name: own} if own else None), own)


def plan_of(asked: Asked) -> Plan:
    """The plan; UsageError when it cannot work, which names no file where there is none."""
    try:
        return answers.plan(asked.name, asked.profile, asked.own)
    except CannotWork as refusal:
        if asked.name != NAME:
            raise
        raise UsageError(refusal.reason) from refusal


def keep(root: Path, name: str, asked: Asked) -> Path:
    """Write the question as profiles/NAME.yaml; UsageError when the name is taken or the model is a local directory."""
    if not profile.NAME.fullmatch(name):
        raise UsageError(f"--write {name}: a profile is named with a-z, 0-9, '.', '_' and '-'")
    if asked.own:
        raise UsageError(f"--write: {asked.own.name} is on this disk only; a profile names a model of the catalog")
    path = Path("profiles") / f"{name}.yaml"
    target = root / path
    if target.exists():
        raise UsageError(f"{path}: there is one already; choose another name or remove it")
    # `model_dump` in the order of the fields, as a person would write it.
    data = asked.profile.model_dump(exclude_defaults=True)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    target.write_text("# yaml-language-server: $schema=schema.json\n" + text, encoding="utf-8")
    return path


def _own_facts(model: str | None) -> catalog.Model | None:
    if not model or model in catalog.models():
        return None
    path = Path(model)
    looks_like_a_path = model.startswith((".", "/", "~")) or model.endswith(".json")
    return config_json.read(path.expanduser()) if path.exists() or looks_like_a_path else None


def _native(model: str, own: catalog.Model | None) -> int:
    known = own or catalog.models().get(model)
    return known.native_context if known else 4096


def _describe(data: dict[str, Any]) -> str:
    hardware = data["hardware"]
    cards = hardware.get("count", 1) * hardware.get("replicas", 1) * hardware.get("nodes", 1)
    where = f"{cards} {hardware.get('gpu')}" if cards > 1 else str(hardware.get("gpu"))
    return f"{data.get('model')} on {where}, for up to {data.get('users', 10)} people"
