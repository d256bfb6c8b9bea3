"""What a profile may say about speed for few people: `speculative` and `kv_offload`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Method = Literal["off", "auto", "ngram", "suffix", "mtp", "eagle3", "draft"]
# As a repository of the hub is called. With \w, which is all of Unicode here, its compilation takes longer than a plan.
_REPOSITORY = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Speculative(_Strict):
    """Drafting tokens ahead, which the model then checks all at once; the answer stays its own."""

    method: Annotated[Method, BeforeValidator(lambda value: "off" if value is False else value)] = Field(
        default="off",
        description="ngram: from the words of the prompt; mtp: the model's own head; eagle3, draft: a model beside it; "
        "auto: as published figures say for this model and so many users",
    )
    tokens: int | None = Field(default=None, ge=1, le=16, description="drafted ahead (default: 3 or 4, by method)")
    model: str | None = Field(
        default=None, pattern=_REPOSITORY, description="the repository of the draft (eagle3: default from the catalog)"
    )

    @model_validator(mode="after")
    def _belongs(self) -> Speculative:
        if self.model and self.method not in ("eagle3", "draft"):
            raise ValueError(f"{self.method} takes no model; remove it, or write method: eagle3 or draft")
        if self.method == "draft" and not self.model:
            raise ValueError("draft needs a model: a smaller one with the same vocabulary")
        if self.tokens and self.method in ("off", "auto"):
            raise ValueError(f"tokens: {self.method} takes none; remove it, or write a method")
        return self


def _by_name(value: Any) -> Any:
    """`speculative: mtp` is the method alone; YAML reads `off` as false."""
    return {"method": value} if isinstance(value, str | bool) else value


ABOUT_DRAFTS = "tokens drafted ahead: faster for a few people, slower for many"
SpeculativeSetting = Annotated[
    Speculative,
    BeforeValidator(_by_name, json_schema_input_type=Method | Speculative),
    Field(description=ABOUT_DRAFTS),
]


class OffloadDisk(_Strict):
    """Disk behind the memory. `quota_gib`: what lies there at most, but for what the last half minute brought."""

    quota_gib: int = Field(ge=1, le=100_000, description="GiB of disk; the oldest blocks go when there are more")


class KvOffload(_Strict):
    """Memory of the machine, and disk if wanted, for KV cache that the card has no more room for."""

    ram_gib: int = Field(ge=1, le=4096, description="GiB of the machine's memory for each copy of the model")
    disk: OffloadDisk | None = Field(default=None, description="keeps it over restarts; prompts lie on disk in effect")


ABOUT_OFFLOAD = "KV cache that the card has no room for is kept in the machine's memory, or on disk"
KvOffloadSetting = Annotated[KvOffload | None, Field(description=ABOUT_OFFLOAD)]
