"""Run by the engine's own Python: do these commands pass the parser of this very vLLM?

Reads a JSON list of commands (words after `vllm serve`) on standard input, writes a JSON list with null for a
command that parses and vLLM's own message for one that does not. Imports nothing of ours: it runs in an
environment of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any


def complaint(parser: Any, serve: Any, command: list[str]) -> str | None:
    """What vLLM's parser says against `command`, or None."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            args = parser.parse_args(["serve", *command])
            serve.validate(args)
    except SystemExit as stop:
        return None if not stop.code else said.getvalue().strip().splitlines()[-1]
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def main() -> None:
    commands: list[list[str]] = json.load(sys.stdin)
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = FlexibleArgumentParser(prog="vllm")
    serve = ServeSubcommand()
    # A shortened flag parses today and may be ambiguous tomorrow: only whole names pass.
    serve.subparser_init(parser.add_subparsers(dest="subparser")).allow_abbrev = False
    answers = [complaint(parser, serve, command) for command in commands]
    sys.stdout.write("\n" + json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
