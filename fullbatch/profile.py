"""A profile: what a person asks for, in their words. Unknown settings are refused by name."""

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
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fullbatch import catalog, engine_args
from fullbatch.errors import UsageError, did_you_mean
from fullbatch.yamlfile import read_mapping

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Cpu(_Strict):
    """Run on the processor. `kv_cache_gib`: memory for the KV cache, GiB."""

    kv_cache_gib: int = Field(ge=1, le=1024, description="memory for the KV cache, GiB")


class Hardware(_Strict):
    """Either `gpu` (a card of the catalog, `count` of them) or `cpu`."""

    gpu: str | None = Field(default=None, description="a card of the catalog, such as rtx4090")
    count: int = Field(default=1, ge=1, le=16, description="how many of it, joined by tensor parallelism")
    replicas: int = Field(
        default=1, ge=1, le=16, description="copies of the model, each on its own `count` cards, behind one address"
    )
    nodes: int = Field(
        default=1, ge=1, le=8, description="machines with `count` cards each that hold one copy together (vLLM's own)"
    )
    device_ids: list[Annotated[int, Field(ge=0, le=1023)]] = Field(
        default_factory=list,
        description="which cards of the machine, as nvidia-smi numbers them: `count` x `replicas` (default: the first)",
    )
    cpu: Cpu | None = Field(default=None, description="run on the processor instead")

    @model_validator(mode="after")
    def _as_many_cards(self) -> Hardware:
        wanted, given = self.count * self.replicas, len(self.device_ids)
        if not given:
            return self
        if self.cpu is not None:
            raise ValueError("device_ids are for cards; remove them for the processor")
        if len(set(self.device_ids)) < given:
            raise ValueError(f"device_ids: {self.device_ids} names a card twice; name each once")
        if given != wanted:
            raise ValueError(f"device_ids: {given} cards named, count x replicas is {wanted}; name {wanted}")
        return self

    @model_validator(mode="after")
    def _one_of(self) -> Hardware:
        if (self.gpu is None) == (self.cpu is None):
            raise ValueError("give either gpu (a card) or cpu, and not both")
        if self.gpu is not None and self.gpu not in catalog.gpus():
            raise ValueError(f"'{self.gpu}' is no known card{_hint(self.gpu, catalog.gpus())}")
        return self


class EngineSettings(_Strict):
    """The way out when the plan does not say what you need: flags and environment for vLLM, as they are."""

    args: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="vLLM flags without the dashes; a list where a flag takes several, a mapping where it takes JSON",
    )
    env: dict[str, str] = Field(default_factory=dict, description="environment variables for the engine")


class Profile(_Strict):
    """One deployment: a model, the hardware it runs on, and the people it serves."""

    description: str = Field(min_length=1, description="one line: what this serves and for whom")
    model: str = Field(min_length=1, description="a model of the catalog, by its Hugging Face repository id, or tiny")
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
    engine: EngineSettings = Field(default_factory=EngineSettings)

    @field_validator("description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        # It stands in a comment of each rendered file, where a second line would be read as a setting.
        if text.splitlines() != [text]:
            raise ValueError("write it on one line")
        return text

    @model_validator(mode="after")
    def _known_model(self, info: ValidationInfo) -> Profile:
        known = dict(catalog.models()) | (info.context or {})
        if self.model not in known:
            listed = [one for one, facts in known.items() if facts.base == one]
            raise ValueError(f"'{self.model}' is no known model{did_you_mean(self.model, known)}{_listing(listed)}")
        native = engine_args.native_context(self.engine.args, known[self.model].native_context)
        if self.context > native:
            raise ValueError(f"context {self.context} is more than {self.model} was made for; write at most {native}")
        return self


def names(root: Path) -> list[str]:
    """The profiles there are, sorted."""
    return sorted(path.stem for path in (root / "profiles").glob("*.yaml"))


def load(root: Path, name: str) -> Profile:
    """The profile `name` of the checkout at `root`; UsageError with one line per fault, all at once."""
    known = names(root)
    if name in known and not NAME.fullmatch(name):
        raise UsageError(f"profiles/{name}.yaml: a profile is named with a-z, 0-9, '.', '_' and '-'; rename the file")
    if name not in known:
        listing = f"; there are: {', '.join(known)}" if known else ""
        raise UsageError(f"profile '{name}': no such profile{did_you_mean(name, known)}{listing}")
    path = root / "profiles" / f"{name}.yaml"
    return parse(read_mapping(path), f"profiles/{name}.yaml")


def parse(data: dict[str, Any], source: str, own: dict[str, catalog.Model] | None = None) -> Profile:
    """Validate `data`; `source` is the file named in the messages, `own` are models beside the catalog's."""
    try:
        made = Profile.model_validate(data, context=own)
    except ValidationError as error:
        raise UsageError(*dict.fromkeys(_line(source, fault) for fault in error.errors())) from error
    faults = [f"args.{fault}" for fault in engine_args.faults(made.engine.args)]
    faults += [f"env.{fault}" for fault in engine_args.environment_faults(made.engine.env)]
    if faults:
        raise UsageError(*(f"{source}: engine.{fault}" for fault in faults))
    return made


def _line(source: str, fault: Any) -> str:
    location = fault["loc"]
    is_flag = location[:2] == ("engine", "args") and len(location) >= 3 and location[-1] != "[key]"
    where = ".".join(str(part) for part in (location[:3] if is_flag else location))
    prefix = f"{source}: {where}: " if where else f"{source}: "
    if is_flag:  # a date, or a mapping whose keys are no texts
        return f"{prefix}{fault['input']!r}: write a text, a number, true or false, a list or a mapping of them"
    if fault["type"] == "extra_forbidden":
        allowed = _fields_at(fault["loc"][:-1])
        name = str(fault["loc"][-1])
        hint = did_you_mean(name, allowed) or f" (there are: {', '.join(allowed)})"
        return f"{prefix}no such setting{hint}"
    if fault["type"] == "missing":
        return f"{prefix}this setting is missing; add it"
    message = str(fault["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if fault["type"] in ("value_error", "missing"):
        return prefix + message
    return f"{prefix}{fault['input']!r}: {message}"


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = Profile
    children: dict[str, type[BaseModel]] = {"hardware": Hardware, "cpu": Cpu, "engine": EngineSettings}
    for part in location:
        model = children.get(str(part), model)
    return list(model.model_fields)


def _hint(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name, known) + _listing(known)


def _listing(known: Iterable[str]) -> str:
    return f"; there are: {', '.join(known)}"
