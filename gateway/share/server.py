"""The shared Valkey: one pipeline for each exchange, under this deployment's own prefix. Used by one thread.

ShareRefused   what is there is not ours; one line that says what and what would be right
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Any

import valkey
from valkey.exceptions import ValkeyError

from gateway.config.settings import ShareSettings
from gateway.share.sharing import Unreachable

PROTOCOL = b"1"
TIMEOUT_S = 0.5
# Until somebody has written again: a deployment that is gone leaves nothing behind.
KEPT_S = 3600
_log = logging.getLogger("gateway")


class ShareRefused(Exception):
    pass


class ValkeySums:
    """Of `sharing.Sums`. ``prefix``: of all keys of this deployment."""

    def __init__(self, settings: ShareSettings, deployment: str) -> None:
        self.id = secrets.token_hex(8)
        self.prefix = f"fullbatch:{deployment}:"
        self._url = settings.url
        self._gateways = f"{self.prefix}gateways"
        self._protocol = f"{self.prefix}protocol"
        password = None
        if settings.password_file is not None:
            password = _password(settings.password_file)
        # The library's own form has two slashes more.
        url = settings.url.replace("unix:/", "unix:///", 1)
        self._client: Any = valkey.Valkey.from_url(
            url,
            password=password,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            health_check_interval=0,
            retry=None,
            # Left to itself it takes any name's certificate.
            **({"ssl_check_hostname": True} if url.startswith("valkeys:") else {}),
        )

    def check(self) -> None:
        """Look at what is there before anything is written.

        Raises:
            ShareRefused: keys under our prefix are another program's, or of another version.
            Unreachable: nobody answers.
        """
        try:
            kind, protocol_kind = self._client.type(self._gateways), self._client.type(self._protocol)
            if kind not in (b"none", b"hash") or protocol_kind not in (b"none", b"string"):
                raise ShareRefused(
                    f"share: {self._url}: another program has keys there that begin with '{self.prefix}'; "
                    "give another server or database (valkey://HOST:PORT/1), or another deployment"
                )
            found = self._client.get(self._protocol)
        except (ValkeyError, OSError) as error:
            raise Unreachable(_why(error)) from None
        if found not in (None, PROTOCOL):
            raise ShareRefused(
                f"share: {self._url}: gateways of another version share there (version {found[:20]!r}, this one has "
                f"{PROTOCOL!r}); stop them first, or give another database"
            )

    def exchange(self, own: bytes, gone: list[str]) -> dict[bytes, bytes]:
        """Write one's own entry, take away those of ``gone``, and read all.

        Raises:
            Unreachable: nobody answers, the memory there is full, or something is there that is not ours.
        """
        try:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.hset(self._gateways, self.id, own)
                pipe.expire(self._gateways, KEPT_S)
                pipe.set(self._protocol, PROTOCOL, ex=KEPT_S)
                if gone:
                    pipe.hdel(self._gateways, *gone)
                pipe.hgetall(self._gateways)
                found: dict[bytes, bytes] = pipe.execute()[-1]
        except (ValkeyError, OSError) as error:
            raise Unreachable(_why(error)) from None
        return found

    def leave(self) -> None:
        """Take one's own entry away and close."""
        try:
            self._client.hdel(self._gateways, self.id)
        except (ValkeyError, OSError) as error:
            raise Unreachable(_why(error)) from None
        finally:
            self._client.close()


def _password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ShareRefused(f"share.password_file: {path}: cannot be read; write the password into it") from None


def _why(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def opened(settings: ShareSettings, deployment: str) -> ValkeySums:
    """The server, looked at; one that does not answer is tried again while the gateway runs.

    Raises:
        ShareRefused: what is there is not ours.
    """
    server = ValkeySums(settings, deployment)
    try:
        server.check()
    except Unreachable as error:
        _log.error("share: %s: %s; the gateway starts without it", settings.url, error)
    return server
