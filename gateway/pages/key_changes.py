"""Changes of keys from the page `/admin`, by the words of `fullbatch keys`; for the keys that `admins` names."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.core.errors import BadRequest
from gateway.dialects.fields import read_object
from gateway.keys import words
from gateway.keys.store import Store
from gateway.keys.stored import Terms
from gateway.pages.operator import Entry, entry

GRACE = "10m"
EXAMPLE = '{"do": "create", "name": "alice", "terms": {"requests_per_minute": "60"}}'
# By term of `Terms`; each reads what a person has written.
READERS: dict[str, Callable[[str], Any]] = {
    "expires": words.expiry,
    "models": words.models,
    "requests_per_minute": words.limit,
    "tokens_per_minute": words.limit,
    "concurrent": words.limit,
    "weight": words.weight,
    "priority": words.priority,
    "max_output_tokens": words.limit,
    "max_body_bytes": words.limit,
    "structured": words.yes,
    "trusted": words.yes,
}
_MOST_CHARS = 4000
_log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What is to be done. ``terms``: those that were given; ``grace_s``: so long is a rotated secret still valid."""

    do: str
    name: str
    terms: dict[str, Any]
    grace_s: float

    def apply(self, store: Store, who: str) -> Entry:
        """Do it, and say in the log whose key did; the answer has the new secret, where there is one.

        In the store's thread.

        Raises:
            StoreError: it cannot be done; says why.
        """
        secret = _DO[self.do](store, self)
        _log.warning("key '%s': %s by '%s' at /admin", self.name, _DONE[self.do], who)
        found: Entry = {"key": entry(store.get(self.name))}
        return found | ({"secret": secret} if secret else {})


def read(body: bytes | bytearray) -> KeyChange:
    """The change that a body asks for.

    Raises:
        BadRequest: names the field, and says what would be right.
    """
    content = read_object(body, EXAMPLE)
    do, name, terms = _text(content, "do"), _text(content, "name"), content.get("terms", {})
    if do not in _DO:
        raise BadRequest(f"'do' must be one of {', '.join(_DO)}", param="do")
    if not isinstance(terms, dict):
        raise BadRequest(f"'terms' must be an object of texts; there are {', '.join(READERS)}", param="terms")
    found = {str(term): _term(str(term), value) for term, value in terms.items()}
    if do == "change" and not found:
        raise BadRequest("nothing to change; give at least one of the terms", param="terms")
    if do not in ("create", "change") and found:
        raise BadRequest(f"'{do}' takes no terms", param="terms")
    return KeyChange(do, name, found, _read(words.span, "grace", content.get("grace", GRACE)))


def _text(content: dict[str, Any], field: str) -> str:
    value = content.get(field)
    if not isinstance(value, str) or not value or len(value) > _MOST_CHARS:
        raise BadRequest(f"'{field}' is missing or not a text; write such as {EXAMPLE}", param=field)
    return value


def _term(term: str, value: object) -> Any:
    if term not in READERS:
        raise BadRequest(f"no term '{term[:80]}'; there are {', '.join(READERS)}", param="terms")
    return _read(READERS[term], term, value)


def _read(reader: Callable[[str], Any], field: str, value: object) -> Any:
    if not isinstance(value, str) or len(value) > _MOST_CHARS:
        raise BadRequest(f"'{field}' must be a text, as on the command line", param=field)
    try:
        return reader(value.strip())
    except argparse.ArgumentTypeError as error:
        raise BadRequest(f"{field}: {error}", param=field) from None


def _create(store: Store, change: KeyChange) -> str:
    return store.create(change.name, Terms(**change.terms))


def _change(store: Store, change: KeyChange) -> str:
    store.change(change.name, dataclasses.replace(store.get(change.name).terms, **change.terms))
    return ""


def _rotate(store: Store, change: KeyChange) -> str:
    return store.rotate(change.name, change.grace_s)


def _revoke(store: Store, change: KeyChange) -> str:
    store.revoke(change.name)
    return ""


_DO: dict[str, Callable[[Store, KeyChange], str]] = {
    "create": _create, "change": _change, "rotate": _rotate, "revoke": _revoke,
}  # fmt: skip
_DONE = {"create": "made", "change": "changed", "rotate": "rotated", "revoke": "revoked"}
