"""Which address of the gateway a page shows: the one that the browser used, if the gateway was told of it.

A Host header is what its sender likes. So nothing of it is shown: it only chooses among addresses that are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.config.listen import Listen

# A browser that sends one of these is on this machine; which port is published there, the gateway cannot know.
_LOOPBACK = {"localhost": "localhost", "127.0.0.1": "127.0.0.1", "[::1]": "[::1]"}
_ANYWHERE = frozenset({"0.0.0.0", "::", ""})
_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """``url``: without a slash at its end. ``used``: the browser came by it."""

    url: str
    used: bool


def shown(host: bytes, urls: Sequence[str], listen: Listen) -> Address:
    """The address to show. ``host``: the Host header; ``urls``: `public_urls` of gateway.yaml, the main one first."""
    asked = host.decode("latin-1").strip().lower()
    for url in urls:
        if asked in _hosts(url):
            return Address(url, True)
    if (local := _loopback(asked)) is not None:
        return Address(local, True)
    own = _listening(listen)
    if asked in _hosts(own):
        return Address(own, True)
    return Address(urls[0] if urls else own, False)


def _hosts(url: str) -> tuple[str, ...]:
    """The Host headers of browsers that open this address."""
    parts = urlsplit(url)
    name, port = parts.netloc.lower(), _PORTS.get(parts.scheme)
    if parts.port is None:
        return (name, f"{name}:{port}")
    return (name, name.rpartition(":")[0]) if parts.port == port else (name,)


def _loopback(asked: str) -> str | None:
    name, colon, port = (asked, "", "") if asked.endswith("]") else asked.rpartition(":")
    if not colon:
        name, port = asked, "80"
    known = _LOOPBACK.get(name)
    if known is None or not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) <= _LAST_PORT:
        return None
    return f"http://{known}" + ("" if int(port) == _PORTS["http"] else f":{int(port)}")


def _listening(listen: Listen) -> str:
    name = "127.0.0.1" if listen.host in _ANYWHERE else listen.host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}" + ("" if listen.port == _PORTS["http"] else f":{listen.port}")
