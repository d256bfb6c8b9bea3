"""``python -m gateway.keyfile DIR``: makes the API keys of the key file if they are missing; --show prints them.

What a container prints stays in Docker's log for good, so making and showing are two commands.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from common.api_key import FIRST, TRUSTED, new_key, new_secret

KEY_FILE = "api_keys"
MOUNTED = Path("/run/fullbatch")  # in the gateway's container


def main() -> int:
    options = _parser().parse_args()
    try:
        if options.show:
            return _show(options.dir / KEY_FILE, options.name)
        mode = int(options.mode, 8)
        options.dir.mkdir(parents=True, exist_ok=True)
        keys = options.dir / KEY_FILE
        _make(keys, _line(FIRST), f"API key '{FIRST}'", mode)
        for also in options.also:
            _make(options.dir / also, new_secret(), f"secret '{also}'", mode)
        for client in (*options.client, *options.trusted_client):
            name, _, path = client.partition("=")
            _make(options.dir / path, _line(name), f"API key '{name}'", mode)
            _let_in(keys, options.dir / path, trusted=client in options.trusted_client)
    except OSError as error:
        fix = "write" if not options.show else "read"
        sys.stderr.write(f"{error.filename}: {error.strerror}; give a folder that you may {fix}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.keyfile", description="Make API keys if they are missing, or show those that were made."
    )
    parser.add_argument("dir", type=Path, nargs="?", default=MOUNTED, help=f"folder of the keys (default: {MOUNTED})")
    parser.add_argument("--show", action="store_true", help="make nothing, and print each name and key")
    parser.add_argument("--name", help="with --show: print only the key of this name")
    parser.add_argument(
        "--also",
        metavar="NAME",
        action="append",
        default=[],
        help="also make this secret: a file in the same folder, or an absolute path; may be repeated",
    )
    parser.add_argument(
        "--client",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="also make a key for one client, in this file too; may be repeated",
    )
    parser.add_argument(
        "--trusted-client",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="the same for a chat front end, which names in a header the user for whom it asks",
    )
    parser.add_argument("--mode", default="600", help="octal permissions of new files (default: 600)")
    return parser


def _line(name: str) -> str:
    return f"{new_key()} {name}"


def _make(path: Path, value: str, purpose: str, mode: int) -> None:
    """Write a secret unless the file is there already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        sys.stdout.write(f"{path}: kept as it is\n")
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value + "\n")
    sys.stdout.write(f"{path}: new {purpose}; it stands there, and nowhere else\n")


def _let_in(keys: Path, client: Path, *, trusted: bool) -> None:
    """The gateway knows the keys of one file: the client's goes in there as well."""
    line = client.read_text(encoding="utf-8").strip() + (f" {TRUSTED}" if trusted else "")
    text = keys.read_text(encoding="utf-8")
    if line.partition(" ")[0] not in [known for _, known in _keys(text)]:
        with keys.open("a", encoding="utf-8") as file:
            file.write(f"{'' if text.endswith(chr(10)) else chr(10)}{line}\n")


def _show(path: Path, wanted: str | None) -> int:
    found = _keys(path.read_text(encoding="utf-8"))
    if wanted is not None and wanted not in [name for name, _ in found]:
        names = ", ".join(name for name, _ in found if name)
        sys.stderr.write(f"{path}: no key is called '{wanted}'; there are: {names}\n")
        return 1
    for name, key in found:
        if wanted in (None, name):
            sys.stdout.write(f"{key}\n" if wanted else f"{name or '(no name)':12}{key}\n")
    return 0


def _keys(text: str) -> list[tuple[str, str]]:
    """Name and key of each line; the name is empty where there is none."""
    lines = [line.strip() for line in text.splitlines()]
    return [
        (line.partition(" ")[2].strip().removesuffix(f" {TRUSTED}"), line.partition(" ")[0])
        for line in lines
        if line and not line.startswith("#")
    ]


if __name__ == "__main__":
    sys.exit(main())
