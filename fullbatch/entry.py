"""The command `fullbatch`: the code of the folder that it is typed in, where `fullbatch init` has laid out one.

So a folder goes on by the code that it was laid out with until `fullbatch init --update`, whatever is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import streams
from fullbatch.layout import place

_OURS = ("common", "fullbatch")


def main() -> int:
    """Run one command; its exit code."""
    streams.open_missing()
    if not place.is_whole() and sys.argv[1:2] != ["init"]:
        try:
            folder = place.folder(Path.cwd())
        except (place.Untrusted, OSError) as error:
            sys.stderr.write(f"fullbatch: {error}\n")
            return 2
        if folder is not None:
            _take_code_from(folder)
    from fullbatch.cli import main as command

    return command()


def _take_code_from(folder: Path) -> None:
    """What is imported from now on is the folder's."""
    sys.path.insert(0, str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
