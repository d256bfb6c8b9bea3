"""gateway.yaml and the key file, read once into frozen objects. Nothing else in the gateway reads files.

SettingsError   the file, a value in it, or the key file is not usable; one line for each fault
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

PLACEHOLDERS = frozenset({"changeme", "change-me", "your-api-key", "your-key", "secret", "password", "sk-xxx"})
MIN_KEY_CHARS = 12

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(gt=0)]


class SettingsError(Exception):
    """``lines``: one message for each fault, each naming file, key path and what would be right."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listen(_Frozen):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080


class Limits(_Frozen):
    """Bytes and seconds. ``drain_timeout_s`` is how long running answers may go on after SIGTERM."""

    max_body_bytes: Count = 10 * 1024 * 1024
    header_timeout_s: Seconds = 10
    body_timeout_s: Seconds = 30
    keep_alive_s: Seconds = 75
    connect_timeout_s: Seconds = 5
    first_token_timeout_s: Seconds = 600
    idle_timeout_s: Seconds = 120
    drain_timeout_s: Seconds = 30
    max_in_flight: Count = 512


class AdmissionSettings(_Frozen):
    """The queue in front of the engines, and whose turn it is in it.

    ``ageing_s``: a request that has waited so long counts as one level more urgent. ``half_life_s``: so fast does
    service that a key has had fade.
    """

    max_queued: Annotated[int, Field(ge=0)] = 256
    queue_timeout_s: Seconds = 60
    ageing_s: Seconds = 20
    half_life_s: Seconds = 120


class Polling(_Frozen):
    """How often engines are asked how they are, and how often host names are looked up again."""

    health_interval_s: Seconds = 1
    health_timeout_s: Seconds = 3
    resolve_interval_s: Seconds = 3


class Log(_Frozen):
    access: bool = True


class EngineSettings(_Frozen):
    """One engine, or many behind one host name. The numbers are the plan's, exported as gauges.

    ``max_running``: requests that are sent to one address at once; ``max_num_seqs`` where it is not given.
    ``capabilities``: what Ollama's clients are told that the models can do.
    """

    name: str = Field(min_length=1)
    url: str
    models: tuple[str, ...] = Field(min_length=1)
    max_num_seqs: Count
    max_num_batched_tokens: Count
    max_model_len: Count
    kv_cache_tokens: Count
    max_running: Count | None = None
    capabilities: tuple[Literal["completion", "embedding", "tools", "thinking", "vision"], ...] = ("completion",)

    @field_validator("url")
    @classmethod
    def _plain_http(cls, url: str) -> str:
        if "://" not in url:
            raise ValueError(f"'{url}' has no scheme; write http://{url}")
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"'{url}' is not http://HOST:PORT")
        if parts.path not in ("", "/") or parts.query or parts.username:
            raise ValueError(f"'{url}' has more than host and port; write http://{parts.netloc.rpartition('@')[2]}")
        if _port(url) is None:
            raise ValueError(f"'{url}' has no usable port; write http://{parts.hostname}:8000")
        return url

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return _port(self.url) or 80


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


class Settings(_Frozen):
    """The whole of gateway.yaml."""

    listen: Listen = Listen()
    api_keys_file: Path
    deployment: str = Field(min_length=1)
    engines: tuple[EngineSettings, ...] = Field(min_length=1)
    limits: Limits = Limits()
    admission: AdmissionSettings = AdmissionSettings()
    polling: Polling = Polling()
    log: Log = Log()

    @model_validator(mode="after")
    def _names_once(self) -> Settings:
        names = [engine.name for engine in self.engines]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"engines: two are called '{twice}'; give each its own name")
        return self


def load(path: Path) -> Settings:
    """Read gateway.yaml. A relative api_keys_file is taken from the folder that gateway.yaml is in.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or a value in it is not allowed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read ({_why(error)}); give the file with --config FILE"]) from None
    except yaml.YAMLError as error:
        raise SettingsError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(content, dict):
        raise SettingsError([f"{path}: holds no settings; it must start with keys like 'listen:' and 'engines:'"])
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise SettingsError([f"{path}: {_line(fault)}" for fault in _roots(error)]) from None
    keys = path.parent / settings.api_keys_file
    return settings.model_copy(update={"api_keys_file": keys})


def read_api_keys(path: Path) -> tuple[bytes, ...]:
    """The keys of a key file: one a line, '#' starts a comment line.

    Raises:
        SettingsError: no file, no key in it, or a key that is a placeholder or too short to be a secret.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        remedy = f"make one with: python -m gateway.keyfile {path.parent}"
        raise SettingsError([f"{path}: the API key file cannot be read ({_why(error)}); {remedy}"]) from None
    keys: list[bytes] = []
    for number, line in enumerate(lines, 1):
        key = line.strip()
        if not key or key.startswith("#"):
            continue
        if key.lower() in PLACEHOLDERS or len(key) < MIN_KEY_CHARS or not key.isascii() or " " in key:
            expected = f"a key is at least {MIN_KEY_CHARS} ASCII characters without spaces, and no placeholder"
            raise SettingsError([f"{path}: line {number}: this key is not usable; {expected}"])
        keys.append(key.encode("ascii"))
    if not keys:
        raise SettingsError([f"{path}: holds no API key; write one a line, or delete it and run the keyfile command"])
    return tuple(keys)


def _why(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not UTF-8 text"


def _roots(error: ValidationError) -> list[Any]:
    """The faults without those that only say that something inside has a fault."""
    faults = error.errors()
    places = [fault["loc"] for fault in faults]
    return [f for f in faults if not any(len(p) > len(f["loc"]) and p[: len(f["loc"])] == f["loc"] for p in places)]


def _line(fault: Any) -> str:
    where = _key_path(fault["loc"])
    prefix = f"{where}: " if where else ""
    if fault["type"] == "extra_forbidden":
        return f"{prefix}no such setting{_did_you_mean(fault['loc'])}"
    if fault["type"] == "missing":
        return f"{prefix}is missing; see docs/gateway-behaviour.md for what it means"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if fault["type"] == "value_error":
        return f"{prefix}{message}"
    return f"{prefix}{fault['input']!r} {message}"


def _key_path(loc: tuple[str | int, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _did_you_mean(loc: tuple[str | int, ...]) -> str:
    sections: dict[str, type[BaseModel]] = {
        "": Settings,
        "listen": Listen,
        "engines": EngineSettings,
        "limits": Limits,
        "admission": AdmissionSettings,
        "polling": Polling,
        "log": Log,
    }
    names = list(sections[str(loc[0]) if len(loc) > 1 else ""].model_fields)
    close = difflib.get_close_matches(str(loc[-1]), names, n=1)
    return f" (did you mean {close[0]}?)" if close else f"; there are {', '.join(names)}"
