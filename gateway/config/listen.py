"""Where the gateway listens: the settings `listen` and `metrics_listen`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from pydantic import Field, model_validator

from gateway.config.setting_types import LONGEST_SOCKET_PATH, Frozen, Name


class Listen(Frozen):
    """``plain_http``: yes, beyond loopback too, though whoever can read the network reads keys and answers."""

    host: Name = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    plain_http: bool = False


class MetricsListen(Listen):
    """Host and port, or ``socket``: the whole path of a Unix socket, which is made."""

    socket: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> MetricsListen:
        if "socket" in self.model_fields_set:
            if {"host", "port"} & self.model_fields_set:
                raise ValueError("give either socket, or host and port")
            if not self.socket.startswith("/") or len(self.socket.encode()) > LONGEST_SOCKET_PATH:
                raise ValueError(
                    f"socket: write an absolute path of at most {LONGEST_SOCKET_PATH} bytes, /PATH/NAME.sock"
                )
        return self


def is_loopback(host: str) -> bool:
    """Whether nobody on another machine can come to an address that is listened on."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
