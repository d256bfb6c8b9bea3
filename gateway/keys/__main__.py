"""``python -m gateway.keys --store FILE COMMAND``: manages the API keys of the key store.

Works beside a running gateway, which applies a change within a second. Exit codes: 0 done, 2 refused.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import streams
from gateway.core.priority import PRIORITIES
from gateway.keys import words
from gateway.keys.opening import opened
from gateway.keys.store import Store
from gateway.keys.stored import StoredKey, StoreError, Terms

BAD_USE = 2
# A person at a terminal can wait longer than the gateway.
BUSY_S = 5.0
GRACE = "10m"
_TERMS = tuple(field.name for field in dataclasses.fields(Terms))


def main(argv: list[str] | None = None) -> int:
    streams.open_missing()
    options = _parser().parse_args(argv)
    try:
        if options.command != "create" and not options.store.exists():
            raise StoreError(
                f"{options.store}: no such file; give `store` of gateway.yaml, or make it with: create NAME"
            )
        store = opened(options.store, BUSY_S)
        try:
            text, data = _COMMANDS[options.command](store, options)
        finally:
            store.close()
    except StoreError as error:
        sys.stderr.write(f"keys: {error}\n")
        return BAD_USE
    sys.stdout.write((json.dumps(data, indent=2) if options.json else text) + "\n")
    return 0


# What a command says: for a person, for a program.
Said = tuple[str, Any]


def _create(store: Store, options: argparse.Namespace) -> Said:
    key = store.create(options.name, Terms(**_given(options)))
    return _shown_once(store.get(options.name), key, "new key")


def _change(store: Store, options: argparse.Namespace) -> Said:
    if not (given := _given(options)):
        raise StoreError(f"'{options.name}': nothing to change; give one of --{', --'.join(_TERMS).replace('_', '-')}")
    store.change(options.name, dataclasses.replace(store.get(options.name).terms, **given))
    return _show(store, options)


def _rotate(store: Store, options: argparse.Namespace) -> Said:
    key = store.rotate(options.name, options.grace)
    stored = store.get(options.name)
    until = f"the old one is valid until {_when(stored.previous_until)}" if options.grace else "the old one is out"
    return _shown_once(stored, key, f"new secret; {until}")


def _revoke(store: Store, options: argparse.Namespace) -> Said:
    store.revoke(options.name)
    return f"{options.name}: revoked", _as_json(store.get(options.name))


def _delete(store: Store, options: argparse.Namespace) -> Said:
    data = _as_json(store.get(options.name))
    store.delete(options.name)
    return f"{options.name}: deleted; its usage stays under its name", data


def _show(store: Store, options: argparse.Namespace) -> Said:
    data = _as_json(store.get(options.name))
    width = max(map(len, data))
    return "\n".join(f"{name.replace('_', ' '):{width}}  {_cell(value)}" for name, value in data.items()), data


def _list(store: Store, options: argparse.Namespace) -> Said:  # noqa: ARG001
    data = [_as_json(key) for key in store.keys()]
    if not data:
        return "no keys; make one with: create NAME", data
    columns = ("name", "state", "models", "requests_per_minute", "tokens_per_minute", "concurrent", "weight",
               "priority", "max_output_tokens", "max_body_bytes", "structured", "expires", "last_used")  # fmt: skip
    heads = ("NAME", "STATE", "MODELS", "REQ/MIN", "TOK/MIN", "AT ONCE", "WEIGHT", "PRIORITY", "MAX OUT", "MAX BODY",
             "STRUCTURED", "EXPIRES", "LAST USED")  # fmt: skip
    rows = [heads, *(tuple(_cell(one[column]) for column in columns) for one in data)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(heads))]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines), data


_COMMANDS: dict[str, Callable[[Store, argparse.Namespace], Said]] = {
    "create": _create,
    "list": _list,
    "show": _show,
    "change": _change,
    "rotate": _rotate,
    "revoke": _revoke,
    "delete": _delete,
}


def _shown_once(stored: StoredKey, key: str, what: str) -> Said:
    return f"{stored.name}: {what}. Shown only now:\n{key}", _as_json(stored) | {"key": key}


def _as_json(key: StoredKey) -> dict[str, Any]:
    terms = dataclasses.asdict(key.terms) | {"expires": _when(key.terms.expires)}
    times = {
        name: _when(getattr(key, name)) for name in ("created", "rotated", "previous_until", "revoked", "last_used")
    }
    return {"name": key.name, "state": key.state(time.time())} | terms | times


def _when(unix_time: float | None) -> str | None:
    if unix_time is None:
        return None
    try:
        return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # in a store that others have written
        return f"{unix_time:g} s after 1970"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(value) if isinstance(value, (list, tuple)) else str(value)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in _TERMS if hasattr(options, name)}


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="fullbatch keys",
        description="Manage the API keys of the gateway.",
        epilog="Without fullbatch: python -m gateway.keys --store FILE COMMAND, FILE being `store` of gateway.yaml.",
    )
    # Not shown: it belongs to the module's own call, and `fullbatch keys` gives it.
    top.add_argument("--store", type=Path, required=True, metavar="FILE", help=argparse.SUPPRESS)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print JSON, for other programs")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "create": "make a key; it is shown once",
        "list": "list all keys",
        "show": "show one key",
        "change": "change the limits of a key; its secret stays",
        "rotate": "make a new secret for a key; the old one stays valid for a while",
        "revoke": "end a key at once and for good; running answers are finished",
        "delete": "remove a revoked key from the list; its usage stays under its name",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[shared])
        if name != "list":
            command.add_argument("name", help="name of the key")
        if name in ("create", "change"):
            _add_terms(command)
    rotate = commands.choices["rotate"]
    rotate.add_argument(
        "--grace",
        type=words.span,
        default=words.span(GRACE),
        help=f"time that the old secret stays valid: 90s, 10m, 2h (default: {GRACE})",
    )
    return top


def _add_terms(command: argparse.ArgumentParser) -> None:
    def add(option: str, kind: Callable[[str], Any], metavar: str, text: str) -> None:
        command.add_argument(option, type=kind, metavar=metavar, help=text, default=argparse.SUPPRESS)

    add(
        "--expires", words.expiry, "WHEN", "when the key ends: 30d, 12h, 2027-01-31 (the end of that day, UTC), or none"
    )
    add("--models", words.models, "M,M,…", "the models that the key may use, or all")
    add("--requests-per-minute", words.limit, "N", "limit, or none")
    add("--tokens-per-minute", words.limit, "N", "limit on prompt and answer tokens, or none")
    add("--concurrent", words.limit, "N", "limit on concurrent requests, waiting ones included, or none")
    add("--weight", words.weight, "W", "share of service, relative to other keys (default: 1)")
    command.add_argument("--priority", choices=tuple(PRIORITIES), default=argparse.SUPPRESS, help="(default: normal)")
    add("--max-output-tokens", words.limit, "N", "limit on all answers to one request together, or none")
    add("--max-body-bytes", words.limit, "N", "limit on one request's body, or none for the gateway's own limit")
    add("--structured", words.yes, "yes|no", "whether schemas, patterns and strict tools are allowed (default: yes)")
    add("--trusted", words.yes, "yes|no", "a chat front end, whose users have the key's limits each (default: no)")


if __name__ == "__main__":
    sys.exit(main())
