"""The settings of gateway.yaml as frozen objects. `loader` reads them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from common.gateway_limits import GatewayLimits
from gateway.config.engine_settings import EngineSettings as EngineSettings
from gateway.config.listen import Listen, MetricsListen, is_loopback
from gateway.config.memory_settings import CardMemory
from gateway.config.setting_types import (
    Cors,
    Count,
    File,
    Frozen,
    Name,
    RequestLimits,
    Seconds,
    Url,
    listed,
)
from gateway.config.tracing_settings import TracingSettings
from gateway.config.turn_settings import ResidencySettings, agree

_DEFAULT = GatewayLimits()
_SHARE_URL = re.compile(
    r"valkeys?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[0-9]{1,2})?|valkeys?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?(/[0-9]{1,2})?|unix:/[^/].*"
)


class Limits(Frozen):
    """Bytes and seconds. ``drain_timeout_s``: so long may running answers go on after SIGTERM."""

    max_body_bytes: Count = _DEFAULT.max_body_bytes
    max_body_bytes_in_flight: Count = 128 * 1024 * 1024
    header_timeout_s: Seconds = _DEFAULT.header_timeout_s
    body_timeout_s: Seconds = _DEFAULT.body_timeout_s
    keep_alive_s: Seconds = 75
    connect_timeout_s: Seconds = _DEFAULT.connect_timeout_s
    first_token_timeout_s: Seconds = _DEFAULT.first_token_timeout_s
    idle_timeout_s: Seconds = _DEFAULT.idle_timeout_s
    drain_timeout_s: Seconds = 30
    max_in_flight: Count = _DEFAULT.max_in_flight
    max_connections: Count = 2048
    requests: RequestLimits = RequestLimits()

    @model_validator(mode="after")
    def _room_for_one_body(self) -> Limits:
        if self.max_body_bytes_in_flight < self.max_body_bytes:
            raise ValueError(
                f"max_body_bytes_in_flight is {self.max_body_bytes_in_flight}, less than max_body_bytes; write at "
                f"least {self.max_body_bytes}"
            )
        return self


class AdmissionSettings(Frozen):
    """The queue in front of the engines, and whose turn it is in it.

    ``users``: with so many requests or fewer nobody is refused for having waited; ``queue_timeout_s`` holds beyond.
    ``ageing_s``: a request that has waited so long counts as one level more urgent. ``half_life_s``: so fast does
    service that a key has had fade.
    """

    users: Annotated[int, Field(ge=0)] = 0
    max_queued: Annotated[int, Field(ge=0)] = 256
    queue_timeout_s: Seconds = 60
    ageing_s: Seconds = 20
    half_life_s: Seconds = 120


class Polling(Frozen):
    """How often engines are asked how they are, and how often host names are looked up again.

    ``frozen_after_s``: an engine that has work and shows no sign of life for so long is taken out;
    ``lone_frozen_after_s``: one that nobody can stand in for. Until then it is waited for.
    ``structured_interval_s``: one that has had structured requests has to bring a token of a tiny schema that often.
    ``canary_interval_s``: an idle one has to bring a token that often, within ``canary_timeout_s``; 0 is never.
    """

    health_interval_s: Seconds = 1
    health_timeout_s: Seconds = 3
    resolve_interval_s: Seconds = 3
    frozen_after_s: Seconds = 10
    lone_frozen_after_s: Seconds = 120
    canary_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 30
    canary_timeout_s: Seconds = 10
    structured_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 120


class RoutingSettings(Frozen):
    """``affinity``: requests go where their prompt's beginning has been read; ``affinity_blocks`` are remembered.

    A request may be sent to a second engine ``retry_floor_per_s`` times a second, and besides for ``retry_share`` of
    all requests.
    """

    affinity: bool = True
    affinity_blocks: Count = 16_384
    retry_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    retry_floor_per_s: Annotated[float, Field(ge=0)] = 5


class ShareSettings(Frozen):
    """Where several gateways of this deployment share limits and fairness; ``share: valkey://HOST:PORT`` is ``url``.

    ``gateways``: how many there are meant to be, which counts until they have heard of each other.
    ``password_file``: of the server, where it has one.
    """

    url: str
    gateways: Annotated[int, Field(ge=1, le=64)] = 2
    password_file: File | None = None

    @field_validator("url")
    @classmethod
    def _a_server(cls, url: str) -> str:
        if "@" in url:
            raise ValueError("a password stands in it; write it into a file and give share.password_file")
        if not _SHARE_URL.fullmatch(url):
            raise ValueError("is no server's address; write valkey://HOST:PORT, valkeys:// for TLS, or unix:/PATH")
        return url


class Log(Frozen):
    access: bool = True


class Settings(Frozen):
    """The whole of gateway.yaml. ``store``: keys and usage in SQLite; None is the key file alone. Beside it is
    STORE.peers.yaml, whose peers (`fullbatch peers`) come after the ``engines`` of gateway.yaml.

    ``metrics_listen``: a second listener that tells everything to everybody; None is none. ``operators``: names of keys
    that are told everything by the first one; ``admins``: that change keys at its pages. ``public_urls``: addresses by
    which clients reach the gateway, as its pages show them; the first is the main one. ``memory``: of the cards, as
    planned, for the page of operators. ``reports``: the folder of load tests' reports, which it only reads.
    """

    listen: Listen = Listen()
    metrics_listen: MetricsListen | None = None
    operators: tuple[Name, ...] = ()
    admins: tuple[Name, ...] = ()
    public_urls: tuple[Url, ...] = ()
    api_keys_file: File
    store: File | None = None
    deployment: Name
    engines: tuple[EngineSettings, ...] = Field(min_length=1)
    memory: tuple[CardMemory, ...] = ()
    reports: File | None = None
    limits: Limits = Limits()
    admission: AdmissionSettings = AdmissionSettings()
    polling: Polling = Polling()
    routing: RoutingSettings = RoutingSettings()
    log: Log = Log()
    share: ShareSettings | None = None
    tracing: TracingSettings | None = None
    cors: Cors = Cors()
    aliases: dict[Name, Name] = {}
    prefix_sharing: Literal["all", "key"] = "all"
    residency: ResidencySettings = ResidencySettings()

    @field_validator("share", "tracing", mode="before")
    @classmethod
    def _by_its_url(cls, said: object) -> object:
        return {"url": said} if isinstance(said, str) else said

    @model_validator(mode="after")
    def _aliases_of_models(self) -> Settings:
        models = {model for engine in self.engines for model in engine.models}
        for alias, model in self.aliases.items():
            if model not in models:
                raise ValueError(
                    f"aliases: '{alias}' stands for '{model}', which no engine serves; write one of {listed(models)}"
                )
            if alias in models:
                raise ValueError(f"aliases: '{alias}' is a model itself; give the alias another name")
            if not alias or "*" in alias[:-1]:
                raise ValueError(f"aliases: '{alias}': write a name, or the beginning of names with '*' at its end")
        return self

    @model_validator(mode="after")
    def _names_once(self) -> Settings:
        names = [engine.name for engine in self.engines]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"engines: two are called '{twice}'; give each its own name")
        return self

    @model_validator(mode="after")
    def _turns_agree(self) -> Settings:
        agree(self.engines)
        return self

    @model_validator(mode="after")
    def _plain_http_is_meant(self) -> Settings:
        if not (self.listen.plain_http or is_loopback(self.listen.host)):
            raise ValueError(
                f"listen: {self.listen.host} is reached by other machines, in plain HTTP; write host: 127.0.0.1 and "
                "put TLS in front (docs/https.md), or plain_http: true if that is meant"
            )
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Settings:
        other = self.metrics_listen
        if other is not None and not other.socket and 0 != other.port == self.listen.port:
            raise ValueError(f"metrics_listen: {self.listen.port} is the port of listen; give another one")
        return self
