"""`scripts/llama-server`: the only module here that prints and exits."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fullbatch.runtime import tinymodel
from scripts.llama import gguf, server
from scripts.offline.process import OfflineError

HELP = """\
llama.cpp's server for comparisons (fullbatch compare), unpacked from Debian sid under .fullbatch/llama.

  scripts/llama-server install         unpack it and write the tiny test model as a GGUF; a second run does nothing
  scripts/llama-server run [WORDS…]    start it in the foreground on that model, WORDS being llama-server's own
"""


def main(arguments: Sequence[str]) -> int:
    verb, words = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if verb not in ("install", "run"):
        print(HELP, end="")
        return 0 if verb in ("-h", "--help") else 2
    try:
        server.install()
        if not server.MODEL.exists():
            tiny = server.ROOT / ".fullbatch" / "models" / "cpu-tiny"
            tinymodel.write_if_missing(tiny)
            gguf.write(tiny, server.MODEL)
        print(server.version(), flush=True)
    except (OfflineError, OSError) as error:
        print(f"scripts/llama-server: {error}", file=sys.stderr)
        return 1
    if verb == "run":
        command = server.command(["--offline", "--no-webui", "--model", str(server.MODEL), *words])
        os.execve(command[0], command, server.environment())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
