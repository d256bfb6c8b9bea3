"""``python -m gateway.peers --store FILE COMMAND``: other boxes whose engines this gateway uses through their gateways.

It asks the other gateway before it writes anything. A running gateway applies a change within a second. Exit codes:
0 done, 2 refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from common import faults, streams
from common.text_file import FileFault, read_text
from gateway.config import peers_file
from gateway.config.engine_settings import EngineSettings, checked_ca, checked_key
from gateway.config.loader import frozen
from gateway.config.setting_types import MOST
from gateway.engines.asking import ServerRefused, ask, listed
from gateway.engines.peer_report import PeerEngine, PeerReport
from gateway.http.client import why
from gateway.keys.store import KeyStore
from gateway.keys.stored import NAME, StoreError, digest_of
from gateway.keys.words import models as models_word

BAD_USE = 2
# Between a peer and its engine, where it has several; no name has it.
_OF = "/"
# What a command says: for a person, for a program.
Said = tuple[str, Any]


def main(argv: list[str] | None = None) -> int:
    streams.open_missing()
    options = _parser().parse_args(argv)
    try:
        text, data = _COMMANDS[options.command](options)
    except (ServerRefused, StoreError, peers_file.PeersFault) as error:
        sys.stderr.write(f"peers: {error}\n")
        return BAD_USE
    sys.stdout.write((json.dumps(data, indent=2) if options.json else text) + "\n")
    return 0


def _add(options: argparse.Namespace) -> Said:
    if not NAME.fullmatch(options.name):
        raise ServerRefused(f"'{options.name}': write a name of letters, digits, '.', '_' and '-', at most 64")
    key, ca = _given(options)
    if options.spill_keys:
        return _add_outside(options, key, ca)
    if key is None:
        raise ServerRefused("--key-file: is missing; the other box makes a key: fullbatch keys create NAME")
    _not_itself(options.store, key, options.url)
    asked = _entry(options.name, options.url, key, ca, None, ("?",))
    report = ask(asked)
    offered = [engine for engine in report.engines if _chosen(engine, options.models)]
    if not offered:
        there = ", ".join(model for engine in report.engines for model in engine.configured) or "none of its own"
        raise ServerRefused(f"{options.url}: it serves nothing of what is wanted to this key; its models are: {there}")
    several = len(offered) > 1
    added = [
        _entry(
            f"{options.name}{_OF}{one.name}" if several else options.name, options.url, key, ca, one,
            _chosen(one, options.models),
        )
        for one in offered
    ]  # fmt: skip
    path = peers_file.beside(options.store)
    others = [entry for entry in peers_file.read(path) if _peer_of(entry) != options.name]
    _write(path, others + [_as_written(entry) for entry in added])
    names = ", ".join(model for entry in added for model in entry.models)
    up = any(engine.models for engine in offered)
    said = f"{options.name}: added, with {names}; " + ("it serves them now" if up else "none of them is up there now")
    return said, _as_json(options.name, added, report, "")


def _add_outside(options: argparse.Namespace, key: SecretStr | None, ca: str | None) -> Said:
    """A server that is not ours, for what those keys ask and there is no place for here."""
    if not options.models or len(options.models) != 1:
        raise ServerRefused("--models: write the one model of this box that the server stands in for")
    spill = {"keys": options.spill_keys, "after_s": options.spill_after, "model": options.spill_model}
    numbers = dict.fromkeys(("max_num_batched_tokens", "max_model_len", "kv_cache_tokens"), MOST)
    entry = _checked(
        {"name": options.name, "url": options.url, "kind": "openai", "models": options.models, "key": key, "ca": ca}
        | {"spill": spill, "max_num_seqs": options.spill_most} | numbers
    )  # fmt: skip
    there = options.spill_model or options.models[0]
    listed(entry, there)
    path = peers_file.beside(options.store)
    _write(path, [one for one in peers_file.read(path) if _peer_of(one) != options.name] + [_as_written(entry)])
    who = ", ".join(options.spill_keys)
    after = f"after {options.spill_after:g} s"
    said = f"{options.name}: added; requests of {who} for {entry.models[0]} may leave for it {after}"
    return said, {"name": options.name, "url": options.url, "models": list(entry.models), "state": "up"} | {
        "version": None
    }


def _list(options: argparse.Namespace) -> Said:
    found: dict[str, list[EngineSettings]] = {}
    for entry in peers_file.read(peers_file.beside(options.store)):
        found.setdefault(_peer_of(entry), []).append(_checked(entry))
    data = []
    for name, entries in found.items():
        try:
            if entries[0].spill is not None:
                listed(entries[0], entries[0].spill.model or entries[0].models[0])
                report, fault = None, ""
            else:
                report, fault = ask(entries[0]), ""
        except ServerRefused as refused:
            report, fault = None, str(refused).partition(": ")[2]
        data.append(_as_json(name, entries, report, fault))
    if not data:
        return "no peers; add one with: fullbatch peers add NAME https://HOST:PORT --key-file FILE --ca-file FILE", data
    rows = [("NAME", "URL", "MODELS", "STATE", "VERSION")]
    rows += [(one["name"], one["url"], ",".join(one["models"]), one["state"], one["version"] or "-") for one in data]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines), data


def _remove(options: argparse.Namespace) -> Said:
    path = peers_file.beside(options.store)
    entries = peers_file.read(path)
    kept = [entry for entry in entries if _peer_of(entry) != options.name]
    if len(kept) == len(entries):
        names = ", ".join(dict.fromkeys(map(_peer_of, entries))) or "none"
        raise ServerRefused(f"'{options.name}': no peer of that name; there are: {names}")
    _write(path, kept)
    return f"{options.name}: removed; what it answers now is finished", {"name": options.name}


_COMMANDS: dict[str, Callable[[argparse.Namespace], Said]] = {"add": _add, "list": _list, "remove": _remove}


def _given(options: argparse.Namespace) -> tuple[SecretStr | None, str | None]:
    """The key and the CA, from files or, for `fullbatch peers`, from standard input: no command line shows them."""
    if options.stdin:
        given = json.loads(sys.stdin.read())
    else:
        given = {"key": _read(options.key_file), "ca": _read(options.ca_file)}
    try:
        key = checked_key(given["key"].strip()) if given.get("key") else None
    except ValueError as fault:
        raise ServerRefused(f"--key-file: {fault}") from None
    try:
        return key, checked_ca(given["ca"]) if given.get("ca") else None
    except ValueError as fault:
        raise ServerRefused(f"--ca-file: {fault}") from None


def _read(path: Path | None) -> str | None:
    try:
        return None if path is None else read_text(path)
    except FileFault as fault:
        raise ServerRefused(f"{path}: {fault}") from None


def _not_itself(store: Path, key: SecretStr, url: str) -> None:
    opened = KeyStore(store)
    try:
        mine = digest_of(key.get_secret_value())
        name = next((one.name for one in opened.keys() if one.digest == mine), None)
    finally:
        opened.close()
    if name is not None:
        raise ServerRefused(f"{url}: the key is '{name}' of this gateway itself; give one that the other box has made")


def _chosen(engine: PeerEngine, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(model for model in engine.configured if wanted is None or model in wanted)


def _entry(
    name: str, url: str, key: SecretStr, ca: str | None, engine: PeerEngine | None, models: tuple[str, ...]
) -> EngineSettings:
    """``engine``: as the peer tells it; None while it has not been asked."""
    given: dict[str, Any] = {"name": name, "url": url, "kind": "peer", "models": models, "key": key, "ca": ca}
    for number in ("max_num_seqs", "max_num_batched_tokens", "max_model_len", "kv_cache_tokens"):
        given[number] = 1 if engine is None else getattr(engine, number)
    if engine is not None:
        given |= {"capabilities": engine.capabilities, "pictures": engine.pictures}
        adapters = engine.adapters or {}
        given["adapters"] = {one: base for one, base in adapters.items() if one in models and base in models}
    return _checked(given)


def _checked(entry: dict[str, Any]) -> EngineSettings:
    try:
        return EngineSettings.model_validate(frozen(entry))
    except ValidationError as error:
        raise ServerRefused(faults.told(error, EngineSettings)) from None


def _as_written(entry: EngineSettings) -> dict[str, Any]:
    written = entry.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return written | ({"key": entry.key.get_secret_value()} if entry.key else {})


def _peer_of(entry: dict[str, Any]) -> str:
    return str(entry.get("name", "")).partition(_OF)[0]


def _write(path: Path, entries: list[dict[str, Any]]) -> None:
    try:
        peers_file.write(path, entries)
    except OSError as error:
        raise ServerRefused(f"{path}: cannot be written ({why(error)})") from None


def _as_json(name: str, entries: list[EngineSettings], report: PeerReport | None, fault: str) -> dict[str, Any]:
    models = [model for entry in entries for model in entry.models]
    up = {model for engine in report.engines for model in engine.models} if report is not None else set()
    outside = entries[0].kind == "openai"
    state = f"refused: {fault}" if fault else "up" if outside or up.intersection(models) else "down"
    return {
        "name": name,
        "url": entries[0].url,
        "models": models,
        "state": state,
        "version": report.version if report is not None else None,
    }


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="fullbatch peers", description="Use the engines of other boxes.")
    top.add_argument("--store", type=Path, required=True, metavar="FILE", help=argparse.SUPPRESS)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print JSON, for other programs")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = commands.add_parser("add", parents=[shared], help="use another box's engines; asked first, or renewed")
    add.add_argument("name", help="what this box calls it")
    add.add_argument("url", help="its gateway: https://HOST:PORT")
    add.add_argument("--key-file", type=Path, metavar="FILE", help="a key that the other box has made for this one")
    add.add_argument("--ca-file", type=Path, metavar="FILE", help="who signs its certificate (PEM)")
    add.add_argument("--models", type=models_word, metavar="M,M,…", help="only these of its models (default: all)")
    add.add_argument(
        "--spill-keys", type=models_word, metavar="K,K,…", help="a server that is not ours, for these keys"
    )
    add.add_argument("--spill-after", type=float, default=10.0, metavar="S", help="once they have waited so long (10)")
    add.add_argument("--spill-model", metavar="M", help="what the server calls the model")
    add.add_argument("--spill-most", type=int, default=8, metavar="N", help="requests there at once at most (8)")
    add.add_argument("--stdin", action="store_true", help=argparse.SUPPRESS)
    commands.add_parser("list", parents=[shared], help="list them, each asked how it is now")
    remove = commands.add_parser("remove", parents=[shared], help="send it nothing more; running answers are finished")
    remove.add_argument("name")
    return top


if __name__ == "__main__":
    sys.exit(main())
