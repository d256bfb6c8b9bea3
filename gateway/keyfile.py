"""``python -m gateway.keyfile DIR [--also NAME]``: make the secrets that are not there yet, and show them once."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

KEY_FILE = "api_keys"
# 24 random bytes are 32 URL-safe characters.
RANDOM_BYTES = 24


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.keyfile", description="Make an API key, once.")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--also", metavar="NAME", help="a second secret: a file in the same folder, or a whole path")
    parser.add_argument("--mode", default="600", help="octal permissions of new files; 444 for a volume of its own")
    options = parser.parse_args()
    try:
        mode = int(options.mode, 8)
        options.dir.mkdir(parents=True, exist_ok=True)
        key = f"fb-{secrets.token_urlsafe(RANDOM_BYTES)}"
        _make(options.dir / KEY_FILE, key, "API key for clients of the gateway (Authorization: Bearer ...)", mode)
        if options.also:
            _make(options.dir / options.also, secrets.token_urlsafe(RANDOM_BYTES), f"secret '{options.also}'", mode)
    except OSError as error:
        sys.stderr.write(f"{error.filename}: cannot be written ({error.strerror}); give a folder you may write to\n")
        return 1
    return 0


def _make(path: Path, value: str, purpose: str, mode: int) -> None:
    """Write a secret unless the file is there already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        sys.stdout.write(f"{path}: kept as it is\n")
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value + "\n")
    sys.stdout.write(f"{path}: new {purpose}, shown only now:\n{value}\n")


if __name__ == "__main__":
    sys.exit(main())
