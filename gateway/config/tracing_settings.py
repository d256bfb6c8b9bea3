"""`tracing`: where spans go, and how many."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from gateway.config.setting_types import Frozen, Url


class TracingSettings(Frozen):
    """``url``: of a collector that takes OTLP over HTTP; ``tracing: http://HOST:4318/v1/traces`` is the same.

    ``sample``: the share of traces that begin here and are kept. One that a client has begun says itself whether it is.
    """

    url: Url
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if "@" in url:
            raise ValueError("a password stands in it; put the collector where only this machine reaches it")
        return url
