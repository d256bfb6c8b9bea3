"""What a person may wish of the gateway in a profile; the rest of gateway.yaml is the plan's and the runtime's."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

# As the gateway's store takes them (gateway/keys/store.py).
KeyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _is_host_and_port(url: str) -> bool:
    """Whether it is scheme, host and perhaps a port, in lower case, and nothing else."""
    try:
        parts = urlsplit(url)
        return (
            url.isprintable()
            and bool(parts.hostname)
            and parts.port != 0
            and url == f"{parts.scheme}://{parts.netloc}".lower()
        )
    except ValueError:
        return False


class GatewayWishes(BaseModel):
    """Settings of gateway.yaml, by its own names; docs/gateway-behaviour.md says what each does."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    operators: list[KeyName] = Field(
        default_factory=list, description="names of keys that may see what all keys use, and where the engines are"
    )
    admins: list[KeyName] = Field(default_factory=list, description="names of keys that may change keys at /admin")
    public_urls: list[str] = Field(
        default_factory=list, description="addresses by which people reach the gateway, the main one first"
    )
    cors_origins: list[str] = Field(
        default_factory=list, description="web pages whose scripts may ask: https://chat.example, or * for any"
    )
    clamp_max_tokens: bool = Field(
        default=False,
        description="an answer that may be longer than the context is given what is left, instead of being refused",
    )
    tracing: str | None = Field(
        default=None,
        description="a collector that takes OTLP over HTTP, http://HOST:4318: gateway and engine send it spans",
    )
    prefix_sharing: Literal["all", "key"] = Field(
        default="all", description="key: what one key has asked makes no answer of another key's faster"
    )

    @field_validator("public_urls")
    @classmethod
    def _addresses(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if "@" in url or not _is_host_and_port(url) or not url.startswith(("http://", "https://")):
                raise ValueError(
                    f"'{url.rpartition('@')[2]}' is no address; write https://HOST or http://HOST:PORT, in lower case"
                )
        return urls

    @field_validator("tracing")
    @classmethod
    def _collector(cls, url: str | None) -> str | None:
        if url is not None and (
            "@" in url or not _is_host_and_port(url) or not url.startswith(("http://", "https://"))
        ):
            raise ValueError(f"'{url.rpartition('@')[2]}' is no collector; write http://HOST:4318, in lower case")
        return url

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if origin != "*" and ("*" in origin or not _is_host_and_port(origin)):
                raise ValueError(f"'{origin}' is no origin; write https://HOST or https://HOST:PORT, or *")
        return origins

    def settings(self) -> dict[str, Any]:
        """Lines of gateway.yaml: what differs from the gateway's own default, but for limits."""
        found: dict[str, Any] = {
            "operators": self.operators,
            "admins": self.admins,
            "public_urls": self.public_urls,
            "cors": {"origins": self.cors_origins} if self.cors_origins else None,
            "tracing": self.tracing,
            "prefix_sharing": "key" if self.prefix_sharing == "key" else None,
        }
        return {name: value for name, value in found.items() if value}
