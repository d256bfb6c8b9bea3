"""How models take turns, in a person's words; `gateway/` decides by it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Residency(BaseModel):
    """Settings of gateway.yaml, by its own names; what is not given is the gateway's own default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    patience_s: Seconds | None = Field(default=None, description="a model is asked for so long before another goes")
    residency_factor: Annotated[float, Field(ge=0, le=1000)] | None = Field(
        default=None, description="a model that is loaded stays for so many times what loading the next one takes"
    )
    drain_s: Seconds | None = Field(default=None, description="so long may answers of the one that goes still run")
    load_timeout_s: Seconds | None = Field(default=None, description="so long may a request wait for a model to load")
    switches_per_hour: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="loads that one key may cause in an hour"
    )
    keep_alive_whole: bool | None = Field(
        default=None, description="a whole answer that waits for a load gets spaces, so that no proxy ends it"
    )

    def settings(self) -> dict[str, Any]:
        """Lines of gateway.yaml."""
        return self.model_dump(exclude_none=True)
