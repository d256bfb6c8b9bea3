"""The settings of one engine in gateway.yaml, or of another server that stands for one."""

from __future__ import annotations

import re
import ssl
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.config.setting_types import LONGEST_SOCKET_PATH, Count, File, Frozen, Name, PictureSettings, listed
from gateway.config.turn_settings import TurnSettings

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


class Spill(Frozen):
    """When requests may leave for a server that is not ours.

    ``keys``: names of keys whose requests may; none by default. ``after_s``: once they have waited so long here, or at
    once where no engine is up. ``model``: what that server calls the model, where it has another name there.
    """

    keys: tuple[Name, ...] = ()
    after_s: Annotated[float, Field(ge=0, le=86_400)] = 10
    model: Name | None = None


class EngineSettings(Frozen):
    """One engine, or many behind one host name. The numbers are the plan's, exported as gauges.

    ``url``: ``http://HOST:PORT``, or ``unix:/PATH`` for one that listens on a socket of this machine.
    ``kind``: ``peer`` is another box's gateway, at ``https://HOST:PORT``, which stands for the engines behind it.
    ``openai`` is any OpenAI-compatible server as overflow, and ``spill`` says for which requests.
    ``key_file``: the key that it knows this gateway by; ``ca_file``: who signs its certificate, None for the CAs of
    this machine. ``key``, ``ca``: what is in them; `loader` reads the files.
    ``max_running``: requests that are sent to one address at once at most, however small; ``max_num_seqs`` where it is
    not given.
    ``capabilities``: what clients are told that the models can do, and are refused otherwise; None: not known.
    ``ignore_tools``: the tools of a request are left out where the models have none, instead of refusing it.
    ``adapters``: those of ``models`` that are LoRA adapters, each with the one it changes.
    ``turn``: it takes turns with others on a card; None: it is always there.
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
    kind: Literal["engine", "peer", "openai"] = "engine"
    spill: Spill | None = None
    key_file: File | None = None
    ca_file: File | None = None
    key: Annotated[SecretStr, Field(strict=False)] | None = None
    ca: str | None = None
    turn: TurnSettings | None = None

    @field_validator("ca")
    @classmethod
    def _certificates(cls, ca: str | None) -> str | None:
        return None if ca is None else checked_ca(ca)

    @field_validator("key")
    @classmethod
    def _a_key(cls, key: SecretStr | None) -> SecretStr | None:
        return None if key is None else checked_key(key.get_secret_value())

    @model_validator(mode="after")
    def _as_its_kind(self) -> EngineSettings:
        if (self.kind == "openai") != (self.spill is not None):
            raise ValueError(
                "spill: it belongs to 'kind: openai', which needs it; write which keys may leave, and when"
            )
        if self.kind == "engine":
            if self.url.startswith("https:"):
                raise ValueError(
                    f"url: an engine speaks http; for another box's gateway write 'kind: peer' beside {self.url}"
                )
            if self.key_file or self.ca_file or self.key or self.ca:
                raise ValueError("key_file and ca_file are of a peer; write 'kind: peer', or leave them out")
            return self
        if self.kind == "openai" and not self.key_file and not self.key:
            return self  # a server of the house may need none
        if not self.key_file and not self.key:
            raise ValueError("key_file: a peer needs a key that the other box has made; write the file that holds it")
        if not self.secure and not self.loopback:
            raise ValueError(
                f"url: a key goes there, so the way has to be encrypted; write https://{self.host}:{self.port}"
            )
        return self

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
        if parts.scheme not in ("http", "https") or not parts.hostname:
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
        return _port(self.url) or (443 if self.secure else 80)

    @property
    def secure(self) -> bool:
        """Over TLS."""
        return self.url.startswith("https:")

    @property
    def loopback(self) -> bool:
        """On this machine, as the end of a tunnel is."""
        return self.host == "localhost" or self.host.startswith("127.") or self.host == "::1"

    @property
    def socket_path(self) -> str:
        """Of an engine behind a Unix socket; empty for one behind a host name."""
        return self.url.removeprefix("unix:") if self.url.startswith("unix:") else ""


def checked_key(text: str) -> SecretStr:
    """A key to be sent in a header. ValueError: it is none."""
    if not text.isascii() or not text.isprintable() or " " in text or len(text) < 12:
        raise ValueError("holds no key; write it alone, at least 12 ASCII characters without spaces")
    return SecretStr(text)


def checked_ca(text: str) -> str:
    """Certificates as PEM. ValueError: they are none."""
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ValueError(
            "holds no certificate; write the CA's as PEM, which begins with -----BEGIN CERTIFICATE-----"
        ) from None
    return text


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
