"""`scripts/llama-server`: the only module here that prints and exits."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fullbatch.runtime import tinymodel
from scripts.llama import gguf, real, server
from scripts.offline.process import OfflineError

HELP = """\
Installs and runs llama.cpp's server, for comparisons with fullbatch compare.

  scripts/llama-server install               unpack it from Debian into .fullbatch/llama; write the tiny model as a GGUF
  scripts/llama-server run [MODEL] [OPTIONS] run it in the foreground on that model, with options of llama-server

MODEL: tiny (random weights, the default); or SmolLM2 135M, the model of profile cpu-smollm2: q4_1 (the package's own
file) or bf16 (its weights as vLLM gets them).
"""


def main(arguments: Sequence[str]) -> int:
    verb, words = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if verb not in ("install", "run"):
        print(HELP, end="")
        return 0 if verb in ("-h", "--help") else 2
    chosen = words.pop(0) if words and not words[0].startswith("-") else "tiny"
    if chosen not in ("tiny", *real.KINDS):
        print(f"scripts/llama-server: '{chosen}' is no model; write tiny, {' or '.join(real.KINDS)}", file=sys.stderr)
        return 2
    try:
        server.install()
        if not server.MODEL.exists():
            tiny = server.ROOT / ".fullbatch" / "models" / "cpu-tiny"
            tinymodel.write_if_missing(tiny)
            gguf.write(tiny, server.MODEL)
        model = server.MODEL if chosen == "tiny" else real.file(chosen)
        print(server.version(), flush=True)
    except (OfflineError, OSError) as error:
        print(f"scripts/llama-server: {error}", file=sys.stderr)
        return 1
    if verb == "run":
        command = server.command(["--offline", "--no-webui", "--model", str(model), *words])
        os.execve(command[0], command, server.environment())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
