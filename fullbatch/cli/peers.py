"""`fullbatch peers`: other boxes whose engines this one uses. `gateway.peers` does it, beside the gateway."""

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
    actions = command.add_subparsers(dest="action", required=True, metavar="add|list|remove")
    add = actions.add_parser(
        "add",
        parents=[shared],
        help="use another box's engines: it is asked first, and refused by name",
        description="Use the engines of another box through its gateway. On that box make a key first: "
        "fullbatch keys create THIS-BOX. Adding it again renews what is known of it.",
    )
    add.add_argument("name", help="what this box calls it")
    add.add_argument("url", metavar="https://HOST:PORT", help="its gateway, or the TLS proxy before it")
    add.add_argument("--key-file", metavar="FILE", help="the key that the other box has made, or the server's")
    add.add_argument("--ca-file", metavar="FILE", help="who signs its certificate (PEM); default: this machine's CAs")
    add.add_argument("--models", metavar="M,M,…", help="only these of its models (default: all)")
    spill = add.add_argument_group("overflow, to any OpenAI-compatible server that is not ours")
    spill.add_argument("--spill-keys", metavar="K,K,…", help="only requests of these keys may leave")
    spill.add_argument("--spill-after", metavar="S", help="once they have waited so many seconds here (default: 10)")
    spill.add_argument("--spill-model", metavar="M", help="what the server calls the model of --models")
    spill.add_argument("--spill-most", metavar="N", help="requests there at once at most (default: 8)")
    actions.add_parser("list", parents=[shared], help="list them, each asked how it is now")
    remove = actions.add_parser("remove", parents=[shared], help="send it nothing more; running answers are finished")
    remove.add_argument("name")


def run(root: Path, args: argparse.Namespace) -> int:
    """The exit code of the program beside the gateway. Key and CA go there by its standard input."""
    words, given = [args.action], ""
    if args.action == "add":
        words += [args.name, args.url, "--stdin"]
        for name in ("models", "spill_keys", "spill_after", "spill_model", "spill_most"):
            if value := getattr(args, name):
                words += [f"--{name.replace('_', '-')}", value]
        files = {"key": ("--key-file", args.key_file), "ca": ("--ca-file", args.ca_file)}
        given = json.dumps({name: _text(*option) if option[1] else None for name, option in files.items()})
    elif args.action == "remove":
        words.append(args.name)
    words += ["--json"] if args.json else []
    return deployment.run_gateway_module(root, args.profile, "gateway.peers", words, given)


def _text(option: str, path: str) -> str:
    try:
        return read_text(Path(path))
    except FileFault as fault:
        raise UsageError(f"{option} {path}: {fault}") from None
