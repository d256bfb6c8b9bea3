"""The parser of a later vLLM, as far as fullbatch asks it: it takes one command's flags but for those that are gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

# Both are what `engine_parser` imports.
_MODULES = ("entrypoints/cli/serve.py", "utils/argparse_utils.py")
_PARSER = """\
import argparse
class FlexibleArgumentParser(argparse.ArgumentParser): pass
class ServeSubcommand:
    def subparser_init(self, subparsers):
        serve = subparsers.add_parser("serve")
        serve.add_argument("model_tag")
        for name in {flags}:
            serve.add_argument(name, nargs="?")
        return serve
    def validate(self, args): pass
"""


def write(folder: Path, command: Sequence[str], gone: Collection[str]) -> None:
    """Put the package `vllm` into `folder`; its flags are those of `command` without those `gone`, "--" before each."""
    flags = sorted({word for word in command if word.startswith("--")}.difference(gone))
    for module in _MODULES:
        path = folder / "vllm" / module
        path.parent.mkdir(parents=True)
        path.write_text(_PARSER.format(flags=flags), encoding="utf-8")
