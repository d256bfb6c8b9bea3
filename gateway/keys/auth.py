"""Authentication: a header to a `Principal`, in a time that reveals nothing about the keys there are."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass

from common.api_key import TRUSTED
from gateway.core.call import Principal
from gateway.core.errors import Unauthorized
from gateway.keys.users import Users

_HOW = "send a key as 'Authorization: Bearer KEY' or 'x-api-key: KEY'"
_PREFIX_BYTES = 8


@dataclass(frozen=True, slots=True)
class Known:
    """One digest that is let in. ``until``: Unix time from which it is not any more; ``ended``: what to say then."""

    digest: bytes
    principal: Principal
    until: float | None = None
    ended: str = "has expired"


class Auth:
    """Knows keys only as SHA-256 digests, from the key file and from the key store.

    Digests are found by their first 8 bytes and then compared whole in constant time. What the time of that look-up
    could tell is about digests, and nobody can choose a key by its digest.
    """

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self._file: tuple[bytes, ...] = ()
        self._from_file: tuple[Known, ...] = ()
        self._from_store: tuple[Known, ...] = ()
        self._known: dict[bytes, tuple[Known, ...]] = {}
        self.count = 0  # of names that were let in when keys last changed
        self.used: set[str] = set()  # names since it was last emptied
        self._users = Users()
        self.use_file(keys)

    def use_file(self, keys: Iterable[bytes]) -> None:
        """The keys of the key file from now on, each with its name after a blank, and perhaps `TRUSTED`.

        One without, or whose name a key of the store has, is named after its digest's first 8 hex digits.
        """
        self._file = tuple(keys)
        self._index()

    def use_store(self, known: Iterable[Known]) -> None:
        """The keys of the key store from now on."""
        self._from_store = tuple(known)
        self._index()

    def active(self) -> dict[str, Principal]:
        """Everybody whose key is valid now, by name."""
        now = time.time()
        return {known.principal.name: known.principal for known in self._all() if _valid(known, now)}

    def principal(self, authorization: bytes | None, x_api_key: bytes | None, user: bytes | None = None) -> Principal:
        """Whose key it is; where the key is trusted, the ``user`` for whom it asks.

        Raises:
            Unauthorized: no key was sent, not one of ours, or one that has expired.
        """
        key = _bearer(authorization) or x_api_key
        if not key:
            raise Unauthorized(f"no API key; {_HOW}")
        digest = hashlib.sha256(key).digest()
        for known in self._known.get(digest[:_PREFIX_BYTES], ()):
            if hmac.compare_digest(known.digest, digest):
                if known.until is not None and not _valid(known, time.time()):
                    raise Unauthorized(f"this API key ('{known.principal.name}') {known.ended}; ask for a new one")
                self.used.add(known.principal.name)
                return self._users.principal(known.principal, user) if user else known.principal
        raise Unauthorized(f"this API key is not known here; {_HOW}")

    def _index(self) -> None:
        self._from_file = tuple(self._named(line) for line in self._file)
        index: dict[bytes, tuple[Known, ...]] = {}
        for known in self._all():
            prefix = known.digest[:_PREFIX_BYTES]
            index[prefix] = (*index.get(prefix, ()), known)
        self._known = index
        self.count = len(self.active())

    def _named(self, line: bytes) -> Known:
        key, _, rest = line.partition(b" ")
        digest = hashlib.sha256(key).digest()
        said, _, mark = rest.decode("ascii").partition(" ")
        taken = any(known.principal.name == said for known in self._from_store)
        return Known(digest, Principal(digest.hex()[:8] if taken or not said else said, trusted=mark == TRUSTED))

    def _all(self) -> tuple[Known, ...]:
        return (*self._from_file, *self._from_store)


def _valid(known: Known, now: float) -> bool:
    return known.until is None or known.until > now


def _bearer(authorization: bytes | None) -> bytes | None:
    if authorization is None:
        return None
    if authorization.startswith(b"Bearer "):  # nearly always
        return authorization[7:].strip()
    scheme, _, key = authorization.strip().partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else None
