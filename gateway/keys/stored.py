"""A key as a store knows it: its name, digests, times and terms. What every kind of store has in common.

StoreError   the store is not usable, or what was asked cannot be done; one line for the person who asked
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from gateway.core.call import Principal
from gateway.core.priority import PRIORITIES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Metrics put the keys beyond the first hundred under this name.
RESERVED_NAMES = frozenset({"other"})
# What a key is beside its terms: its column, and the field of `StoredKey` that is called the same.
IDENTITY = ("name", "digest", "previous_digest", "previous_until", "created", "rotated", "revoked")


class StoreError(Exception):
    """The message is one line: where, what, and what would be right."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a key may, as a person says it. None: without limit. ``expires``: Unix time.

    Each is a column of `keys` and, by the same name, a field of `Principal`. A new one is a field here and a step in
    `schema` that adds the column.
    """

    expires: float | None = None
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    weight: float = 1.0
    priority: str = "normal"
    max_output_tokens: int | None = None
    max_body_bytes: int | None = None
    structured: bool = True
    trusted: bool = False

    def row(self) -> tuple[Any, ...]:
        """As the store keeps them, in the order of `TERMS`."""
        return tuple(",".join(value) if isinstance(value, tuple) else value for value in self._values().values())

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Terms:
        values = dict(zip(TERMS, row, strict=True))
        models: str | None = values["models"]
        values["models"] = None if models is None else tuple(models.split(","))
        values |= {name: bool(values[name]) for name in ("structured", "trusted")}
        return cls(**values)

    def principal(self, name: str) -> Principal:
        values = self._values()
        values["models"] = None if self.models is None else frozenset(self.models)
        values["priority"] = self.priority if self.priority in PRIORITIES else "normal"
        return Principal(name, **values)

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in TERMS}


TERMS = tuple(field.name for field in fields(Terms))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key as the store knows it; times are Unix times. ``previous_until``: so long is the key before it valid."""

    name: str
    digest: bytes
    previous_digest: bytes | None
    previous_until: float | None
    created: float
    rotated: float | None
    revoked: float | None
    last_used: float | None
    terms: Terms

    def state(self, now: float) -> str:
        if self.revoked is not None:
            return "revoked"
        expires = self.terms.expires
        return "expired" if expires is not None and expires <= now else "active"

    def principal(self) -> Principal:
        return self.terms.principal(self.name)


def digest_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def of_row(row: Sequence[Any]) -> StoredKey:
    """``row``: the columns of `IDENTITY`, when it was last used, and those of `TERMS`."""
    own = len(IDENTITY)
    identity = dict(zip(IDENTITY, row[:own], strict=True))
    return StoredKey(**identity, last_used=row[own], terms=Terms.of_row(row[own + 1 :]))
