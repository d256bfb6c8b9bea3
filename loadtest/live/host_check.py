"""Checks the `Host` of a request to Locust's page against those that are allowed. Pure.

A page on another site can have its own name point at this machine (DNS rebinding). Its requests then carry a Host and
an Origin that agree, so agreement proves nothing: the name has to be one that this page was told of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from loadtest.core.errors import UsageProblem

# A name, an IPv4 address, or an IPv6 address in brackets; then perhaps a port.
_AUTHORITY = re.compile(r"(?:\[(?P<six>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9_.-]{1,253}))(?::(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ANY = ("", "*", "0.0.0.0", "::")  # what Locust may be bound to without naming an address


@dataclass(frozen=True, slots=True)
class Authority:
    """Who a request is for. Names are lower case without the final dot; `port` is None where none is written."""

    host: str | IPv4Address | IPv6Address
    port: int | None

    @property
    def is_address(self) -> bool:
        return not isinstance(self.host, str)

    @property
    def is_loopback(self) -> bool:
        return self.host == "localhost" if isinstance(self.host, str) else self.host.is_loopback


def authority(text: str | None) -> Authority | None:
    """None for what is missing, or is not `host` or `host:port`."""
    found = _AUTHORITY.fullmatch((text or "").lower())
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        return None
    host = _address(found["six"] or found["name"])
    if found["six"] or host is not None:
        return None if host is None or (host.version == 6) != bool(found["six"]) else Authority(_unmapped(host), port)
    name = found["name"].removesuffix(".")
    # A browser takes a name whose last label is a number for an address; one that is none is no host.
    return None if not all(name.split(".")) or name.split(".")[-1].isdecimal() else Authority(name, port)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def told(text: str, bound: str = "") -> tuple[Authority, ...]:
    """The hosts of an option or a variable, with commas between, and the address that the page is bound to.

    UsageProblem for what is no host.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if authority(word) is None:
            raise UsageProblem(f"'{word}' is not a host; write one such as box.lan, box.lan:8089 or [fd00::1]")
    if bound not in _ANY:
        words.append(f"[{bound}]" if ":" in bound else bound)
    return tuple(found for word in words if (found := authority(word)) is not None)


def allowed(asked: Authority, hosts: Iterable[Authority]) -> bool:
    """Loopback, at any port: another site cannot have that name, and a tunnel or Docker may publish another port than
    ours. Else a host that was told; at any port, unless it was told with one."""
    return asked.is_loopback or any(one.host == asked.host and one.port in (None, asked.port) for one in hosts)


def same_origin(origin: str, asked: Authority) -> bool:
    """Whether a page of this origin asks its own server. `null`, and what is no origin, is another site."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(parts.scheme)
    own = authority(parts.netloc)
    if default is None or own is None or parts.path or parts.query or parts.fragment:
        return False
    return own.host == asked.host and (own.port or default) == (asked.port or default)
