"""Run by the engine's own Python: do these commands pass the parser of this very vLLM, and which flags has it?

Reads a JSON list of commands (words after `vllm serve`) on standard input, writes a JSON list with null for a
command that parses and vLLM's own message for one that does not. With the word `flags` it writes what the parser takes
instead (scripts/record-flags). Imports nothing of ours: it runs in an environment of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

# vLLM's own names of what reads a value (engine/arg_utils.py, utils/argparse_utils.py).
_KINDS = {
    "int": "integer",
    "float": "number",
    "human_readable_int": "size",
    "human_readable_int_or_auto": "size",
    "loads": "json",
    "union_dict_and_str": "json",
    "parse_dataclass": "json",
}
# The choices that its platform adds: those of this machine say nothing about a container's.
_BY_PLATFORM = {"mm-processor-device"}


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


def recorded(serving: Any) -> dict[str, dict[str, Any]]:
    """What each flag of `vllm serve` takes: name -> kind, whether several, and the values to choose from.

    kind: `switch` (--x or --no-x), `mark` (--x only), integer, number, size (25.6k too), json or text.
    """
    found = {}
    for action in serving._actions:
        names = [name[2:] for name in action.option_strings if name.startswith("--") and not name.startswith("--no-")]
        for name in names:
            if name != "help":
                found[name] = _taken(name, action)
    return dict(sorted(found.items()))


def _taken(name: str, action: Any) -> dict[str, Any]:
    if action.nargs == 0:
        return {"takes": "switch" if f"--no-{name}" in action.option_strings else "mark"}
    taken: dict[str, Any] = {"takes": _kind(action.type)}
    if action.nargs in ("+", "*"):
        taken["several"] = "words"
    if "Append" in type(action).__name__:
        taken["several"] = "repeated"
    choices = [str(choice) for choice in action.choices or () if choice is not None and str(choice) != "None"]
    if choices and name not in _BY_PLATFORM:
        taken["choices"] = choices
    return taken


def _kind(reader: Any) -> str:
    """Of what reads a value; `optional_type` and `parse_type` are looked through."""
    inner = [cell.cell_contents for cell in getattr(reader, "__closure__", None) or ()]
    if getattr(reader, "__name__", "") in ("_optional_type", "_parse_type") and inner:
        return _kind(inner[0])
    return _KINDS.get(getattr(reader, "__name__", ""), "text")


def main() -> None:
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = FlexibleArgumentParser(prog="vllm")
    serve = ServeSubcommand()
    serving = serve.subparser_init(parser.add_subparsers(dest="subparser"))
    if sys.argv[1:] == ["flags"]:
        sys.stdout.write("\n" + json.dumps(recorded(serving)) + "\n")
        return
    commands: list[list[str]] = json.load(sys.stdin)
    # A shortened flag parses today and may be ambiguous tomorrow: only whole names pass.
    serving.allow_abbrev = False
    answers = [complaint(parser, serve, command) for command in commands]
    sys.stdout.write("\n" + json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
