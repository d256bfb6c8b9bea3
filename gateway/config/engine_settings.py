"""The settings of one engine in gateway.yaml."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.config.setting_types import LONGEST_SOCKET_PATH, Count, Frozen, Name, PictureSettings, listed

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


class EngineSettings(Frozen):
    """One engine, or many behind one host name. The numbers are the plan's, exported as gauges.

    ``url``: ``http://HOST:PORT``, or ``unix:/PATH`` for one that listens on a socket of this machine.
    ``max_running``: requests that are sent to one address at once at most, however small; ``max_num_seqs`` where it is
    not given.
    ``capabilities``: what clients are told that the models can do, and are refused otherwise; None: not known.
    ``ignore_tools``: the tools of a request are left out where the models have none, instead of refusing it.
    ``adapters``: those of ``models`` that are LoRA adapters, each with the one it changes.
    ``media_domains``: hosts that the engine may fetch pictures and the like from; none by default.
    """

    name: Name
    url: str
    models: tuple[Name, ...] = Field(min_length=1)
    max_num_seqs: Count
    max_num_batched_tokens: Count
    max_model_len: Count
    kv_cache_tokens: Count
    max_running: Count | None = None
    capabilities: tuple[Literal["completion", "embedding", "tools", "thinking", "vision"], ...] | None = None
    ignore_tools: bool = False
    pictures: PictureSettings | None = None
    media_domains: tuple[Name, ...] = ()
    adapters: dict[Name, Name] = {}

    @model_validator(mode="after")
    def _adapters_of_models(self) -> EngineSettings:
        for name in {*self.adapters, *self.adapters.values()}:
            if name not in self.models:
                raise ValueError(f"adapters: '{name}' is none of models; write one of {listed(set(self.models))}")
        return self

    def can(self, capability: str) -> bool:
        """Whether the models have a capability; of models that nothing is known of, anything may be asked."""
        return self.capabilities is None or capability in self.capabilities

    @property
    def told(self) -> tuple[str, ...]:
        """What clients are told; of models that nothing is known of, the least."""
        return ("completion",) if self.capabilities is None else self.capabilities

    @field_validator("url")
    @classmethod
    def _plain_http(cls, url: str) -> str:
        if url.startswith("unix:"):
            return _socket(url)
        told = _told(url)
        if "://" not in url:
            raise ValueError(f"'{told}' has no scheme; write http://{told}")
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ValueError(f"'{told}' is not http://HOST:PORT") from None
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"'{told}' is not http://HOST:PORT")
        if "@" in url:
            raise ValueError(f"'{told}' has a user or a password before its host; write http://HOST:PORT")
        if parts.path not in ("", "/") or "?" in url or "#" in url:
            raise ValueError(f"'{told}' has more than host and port; write http://{parts.netloc}")
        if not _is_host(parts.hostname):
            raise ValueError(
                f"'{told}' has no usable host; write a name of letters, digits, '.' and '-', or an address"
            )
        if not _port(url):
            raise ValueError(f"'{told}' has no usable port; write http://{parts.hostname}:8000")
        return url

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return _port(self.url) or 80

    @property
    def socket_path(self) -> str:
        """Of an engine behind a Unix socket; empty for one behind a host name."""
        return self.url.removeprefix("unix:") if self.url.startswith("unix:") else ""


def _socket(url: str) -> str:
    path = url.removeprefix("unix:")
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError(f"'{_told(url)}' is not an absolute path; write unix:/PATH/engine.sock")
    if len(path.encode()) > LONGEST_SOCKET_PATH:
        raise ValueError(
            f"'{_told(url)}' is longer than the {LONGEST_SOCKET_PATH} bytes of a socket's path; write a shorter one"
        )
    return url


def _told(url: str) -> str:
    """What an error may show of a url: neither user nor password, nor what comes after a question mark."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    shown = scheme.rpartition("@")[2] + separator + re.split(r"[?#]", rest.rpartition("@")[2])[0]
    return repr(shown[:200])[1:-1]


def _is_host(name: str) -> bool:
    if ":" in name or name.replace(".", "").isdigit():
        try:
            ip_address(name)
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(name) is not None


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None
