"""`fullbatch plan --model M --gpu G …`: makes a profile from options, and saves it if asked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from common.faults import did_you_mean
from fullbatch import catalog
from fullbatch.catalog import config_json
from fullbatch.core.errors import UsageError
from fullbatch.planning import adapter_sources, advice, deployments, hardware, profile, sources
from fullbatch.planning.feasible import CannotWork
from fullbatch.planning.plan import Plan

NAME = "as asked"
# Settings of a card of one's own, and the options that give them.
_MEASURES = {"memory_gib": "memory", "bandwidth_gbs": "bandwidth", "compute_capability": "capability"}
_SETTINGS = ("users", "context", "goal", "workload", "weights", "kv_cache", "speculative")


@dataclass(frozen=True)
class Asked:
    """A profile, the name it is shown by, and the facts of a model that the catalog does not know."""

    name: str
    profile: profile.Profile
    own: catalog.Model | None = None


def ask(root: Path, options: dict[str, Any]) -> Asked:
    """The profile named in `options`, or one made of model and gpu; any other option given overrides its setting."""
    name, wanted = options.get("profile"), options.get("model")
    if not name and not (wanted and (options.get("gpu") or options.get("memory"))):
        raise UsageError("plan: name a profile, or give --model and --gpu")
    named = profile.load(root, name) if name else None
    data = named.model_dump(exclude_defaults=True) if named else {}
    own = named.own if named and not wanted else _own_facts(root, wanted, options.get("revision"))
    changes = {key: options[key] for key in _SETTINGS if options.get(key) is not None}
    if wanted:
        changes["model"] = own.name if own else _known(wanted)
    hardware = _hardware(options, data.get("hardware", {}))
    data |= changes | ({"hardware": hardware} if hardware else {})
    if not name:
        data.setdefault("context", min(4096, _native(data["model"], own)))
    if changes or hardware:
        # What the profile said of itself was of other settings.
        data["description"] = _describe(data) + (f", else as profile {name}" if name else "")
    source = f"profiles/{name}.yaml" if name else "plan"
    if wanted:  # the profile's adapters were looked at beside its own model
        data = adapter_sources.resolved(root, data, own, source)
    return Asked(name or NAME, profile.parse(data, source, {own.name: own} if own else None), own)


def several(root: Path, options: dict[str, Any]) -> Plan | None:
    """The plan of the profile named in `options` where that has several models; UsageError for options beside."""
    name = options.get("profile")
    if not name or "models" not in profile.settings(root, name):
        return None
    given = [one for one in (*_SETTINGS, "model", "gpu", "gpus", *_MEASURES.values()) if options.get(one) is not None]
    if given or options.get("write"):
        option = f"--{(given or ['write'])[0].replace('_', '-')}"
        raise UsageError(f"plan: {option} is for one model; profiles/{name}.yaml has several, change it there")
    return deployments.planned(root, name)


def _hardware(options: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The hardware asked for; empty where nothing of it is. `now`: that of the profile."""
    asked = {"gpu": _card(options, now.get("gpu")), "count": options.get("gpus")}
    asked |= {name: options.get(name) for name in ("replicas", "nodes")}
    given = {key: value for key, value in asked.items() if value is not None}
    if not given:
        return {}
    # Which cards it was is of no use for others, or for more.
    kept = {} if "gpu" in given else {key: value for key, value in now.items() if key != "device_ids"}
    return kept | given


def _known(model: str) -> str:
    """A repository id of the catalog; UsageError for any other."""
    known = catalog.models()
    if model in known:
        return model
    raise UsageError(
        f"--model: '{model}' is no known model{did_you_mean(model, known)}; give ORG/NAME of the hub, or "
        f"its directory or config.json, for one that the catalog lacks{profile.listing(known)}"
    )


def _card(options: dict[str, Any], now: Any) -> Any:
    """What the options say of the card, as a profile would; `now`: the card of the profile they override."""
    name = options.get("gpu")
    own = {key: options.get(option) for key, option in _MEASURES.items() if options.get(option) is not None}
    if not own:
        if name and name not in catalog.gpus():
            raise UsageError(f"--gpu: {hardware.unknown_card(name, 'give --memory and --bandwidth for any other')}")
        return name
    known = catalog.gpus().get(name or (now if isinstance(now, str) else ""))
    kept = {"bandwidth_gbs": known.bandwidth_gbs, "compute_capability": known.compute_capability} if known else {}
    if known and "memory_gib" not in own:
        raise UsageError("--bandwidth and --capability describe a card that is not in the catalog; give --memory too")
    found = (now if isinstance(now, dict) and not name else {}) | kept | own
    missing = [f"--{_MEASURES[key]}" for key in ("memory_gib", "bandwidth_gbs") if key not in found]
    if missing:
        raise UsageError(f"--gpu {name or '(a card of your own)'}: give {' and '.join(missing)} too")
    return {"name": name or (known.name if known else "card")} | found


def plan_of(asked: Asked) -> Plan:
    """The plan; UsageError when it cannot work, which names no file where there is none."""
    try:
        return advice.plan(asked.name, asked.profile, asked.own)
    except CannotWork as refusal:
        if asked.name != NAME:
            raise
        raise UsageError(refusal.reason) from refusal


def keep(root: Path, name: str, asked: Asked) -> Path:
    """Write the question as profiles/NAME.yaml; UsageError when the name is taken or the model is a local directory."""
    if not profile.NAME.fullmatch(name):
        raise UsageError(f"--write {name}: write a name of a-z, 0-9, '.', '_' and '-'")
    folder = asked.own.name if asked.own and not asked.own.revision else ""
    if folder and not Path(folder).is_dir():
        raise UsageError(
            f"--write: {folder} is a file; a profile names the folder that holds the model, by its whole path"
        )
    path = Path("profiles") / f"{name}.yaml"
    target = root / path
    if target.exists():
        raise UsageError(f"{path} already exists; choose another name, or remove the file")
    # `model_dump` in the order of the fields, as a person would write it.
    data = asked.profile.model_dump(exclude_defaults=True)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    target.write_text("# yaml-language-server: $schema=schema.json\n" + text, encoding="utf-8")
    return path


def _own_facts(root: Path, model: str | None, revision: str | None) -> catalog.Model | None:
    if not model or model in catalog.models():
        return None
    path = Path(model).expanduser()
    if not path.exists() and not model.startswith((".", "/", "~")) and not model.endswith(".json"):
        return sources.find(root, model, revision, "--model")
    found = config_json.read(path)
    # A profile, and a container, need the whole path.
    return dataclasses.replace(found, name=str(Path(found.name).resolve()))


def _native(model: str, own: catalog.Model | None) -> int:
    known = own or catalog.models().get(model)
    return known.native_context if known else 4096


def _describe(data: dict[str, Any]) -> str:
    hardware = data["hardware"]
    card = hardware.get("gpu")
    name = card["name"] if isinstance(card, dict) else card or "the processor"
    cards = hardware.get("count", 1) * hardware.get("replicas", 1) * hardware.get("nodes", 1)
    where = f"{cards} {name}" if cards > 1 else str(name)
    return f"{data.get('model')} on {where}, {data.get('users', 10)} people asked for"
