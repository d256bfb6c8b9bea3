"""The people behind a trusted key. A chat front end asks for many with one key, and names in a header for whom.

Each is a principal of its own with the key's terms, so that fairness, limits and usage are theirs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.core.call import Principal

# As Open WebUI sends it with ENABLE_FORWARD_USER_INFO_HEADERS.
HEADER = b"x-openwebui-user-id"
# Between the name of a key, which has none, and its user.
SEPARATOR = "/"
# Of one key; one who has not come for so long gives way to a newcomer, and without any the newcomers share one name.
MOST = 1000
GIVES_WAY_S = 3600.0
_SHARED = "other"
_DIGITS = 12


@dataclasses.dataclass(slots=True)
class _User:
    """``of``: the key's principal that ``principal`` was made from; ``at``: when it came last."""

    of: Principal
    principal: Principal
    at: float


class Users:
    """Those who have come lately, by key. Their ids are kept nowhere: a name has a part of the id's digest."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_key: dict[str, OrderedDict[bytes, _User]] = {}

    def principal(self, key: Principal, user: bytes | None) -> Principal:
        """Whose request it is: the key's own, unless the key is trusted and names a user."""
        if not key.trusted or not user:
            return key
        now = self._clock()
        users = self._by_key.get(key.name)
        if users is None:
            users = self._by_key[key.name] = OrderedDict()
        found = users.get(user)
        if found is None:
            name = name_of(key.name, user) if _has_room(users, now) else f"{key.name}{SEPARATOR}{_SHARED}"
            if name.endswith(_SHARED):
                return _as(key, name)
            found = users[user] = _User(key, _as(key, name), now)
        elif found.of is not key:  # the key's terms have changed
            found.of, found.principal = key, _as(key, found.principal.name)
        found.at = now
        users.move_to_end(user)
        return found.principal


def name_of(key: str, user: bytes) -> str:
    """What usage and the log call a user of a trusted key."""
    digest = hashlib.sha256(key.encode() + b"\0" + user).hexdigest()
    return f"{key}{SEPARATOR}{digest[:_DIGITS]}"


def _has_room(users: OrderedDict[bytes, _User], now: float) -> bool:
    if len(users) < MOST:
        return True
    longest = next(iter(users))
    if now - users[longest].at < GIVES_WAY_S:
        return False
    del users[longest]
    return True


def _as(key: Principal, name: str) -> Principal:
    """With the key's terms and none of its rights: those are given to the key's own name."""
    return dataclasses.replace(key, name=name, trusted=False, operator=False)
