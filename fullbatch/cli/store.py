"""`fullbatch store`: where keys and usage are. `gateway.store` does it, beside the gateway."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common.text_file import FileFault, read_text
from fullbatch.core.errors import UsageError
from fullbatch.lifecycle import deployment


def options(command: argparse.ArgumentParser, which: str, as_json: str) -> None:
    """Its options. ``which``, ``as_json``: the help of options that other commands have too."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--profile", help=which)
    shared.add_argument("--json", action="store_true", help=as_json)
    actions = command.add_subparsers(dest="action", required=True, metavar="to-postgres|join|to-sqlite|status")
    for name, text in (
        ("to-postgres", "move keys and usage to a PostgreSQL that has no store yet, for several gateways"),
        ("join", "have them in common with the gateways of a PostgreSQL; what this box has goes there"),
    ):
        action = actions.add_parser(name, parents=[shared], help=text, description=f"{text[0].upper()}{text[1:]}.")
        line = "has one line: postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full"
        action.add_argument("--url-file", required=True, metavar="FILE", help=line)
        action.add_argument("--ca-file", metavar="FILE", help="who signs the server's certificate (PEM)")
    actions.add_parser("to-sqlite", parents=[shared], help="bring them back to this box, and close the store there")
    actions.add_parser("status", parents=[shared], help="where they are, whether it answers, and what waits")


def run(root: Path, args: argparse.Namespace) -> int:
    """The exit code of the program beside the gateway. Address and CA go there by its standard input."""
    words, given = [args.action], ""
    if args.action in ("to-postgres", "join"):
        words.append("--stdin")
        ca = _text("--ca-file", args.ca_file) if args.ca_file else None
        given = json.dumps({"url": _text("--url-file", args.url_file), "ca": ca})
    words += ["--json"] if args.json else []
    return deployment.run_gateway_module(root, args.profile, "gateway.store", words, given)


def _text(option: str, path: str) -> str:
    try:
        return read_text(Path(path))
    except FileFault as fault:
        raise UsageError(f"{option} {path}: {fault}") from None
