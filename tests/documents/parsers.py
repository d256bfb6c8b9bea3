"""Each program's own judgement of a command's words, without doing what it says; AssertionError has what it says."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml

import gateway.keys.__main__
import gateway.usage
import loadtest.cli.options
from fullbatch.cli import options
from fullbatch.measure import launcher
from fullbatch.planning import profile
from tests.documents.collect import ROOT, Command

# What stands for something of the reader's own.
PLACEHOLDERS = {
    "PROFILE": "cpu-tiny", "URL": "http://127.0.0.1:1", "M": "tiny", "MODEL": "tiny", "N": "2", "GPU": "rtx4090",
    "DIR": "reports/x", "FILE": "file", "A": "a", "B": "b", "BEFORE": "a", "AFTER": "b", "NAME": "cpu-tiny",
}  # fmt: skip
# What a page says to set before Compose is asked about a profile for two machines.
ADDRESSES = {"NODE0_ADDRESS": "10.0.0.1", "NODE_ADDRESS": "10.0.0.2"}


def filled(words: Sequence[str]) -> list[str]:
    """With a value for each placeholder, and without `…` and the brackets of what may be left out."""
    plain = [re.sub(r"[\[\]]", "", word) for word in words]
    named = [re.sub(r"\b[A-Z]+\b", lambda match: PLACEHOLDERS.get(match[0], match[0]), word) for word in plain]
    return [word.replace("…", "127.0.0.1:1") if word != "…" else "" for word in named if word != "…"]


def parse(command: Command) -> None:
    """Raises AssertionError when the program would not take these words."""
    words = filled(command.words)
    words[0] = words[0].removeprefix(".venv/bin/")
    if words[:2] == ["docker", "compose"]:
        _compose(words[2:], dict(setting.split("=", 1) for setting in command.settings))
    elif words[0] == "fullbatch":
        _fullbatch(words[1:])
    elif words[0] == "pytest" or words[0] in ("scripts/test", "scripts/test-compiled"):
        _exist([word.partition("::")[0] for word in words if word.startswith("tests/")])
        _script(words[0]) if words[0] != "pytest" else None
    elif words[0].startswith("scripts/"):
        _script(words[0])
        _exist([word for word in words[1:] if re.match(r"(docs|profiles|tests)/", word)])
    else:
        _module(words[words.index("-m") + 1], words[words.index("-m") + 2 :])


def _accepts(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            parser.parse_args(list(words))
    except SystemExit as ended:
        if ended.code != 0:  # 0: `--help`
            raise AssertionError(f"{' '.join(words)}: {said.getvalue()}") from None


def _fullbatch(words: list[str]) -> None:
    parser = options.parser(profile.names(ROOT))
    verbs = next(each.choices for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    assert words[0] in verbs, f"fullbatch {words[0]}: no such command"
    if len(words) == 1:  # in a sentence: the verb's name
        return
    if words[0] == "loadtest":
        _accepts(loadtest.cli.options.parser(), words[1:])
    elif words[0] == "report":
        _accepts(loadtest.cli.options.parser(), launcher.report_words(words[1:], ROOT))
    else:
        _accepts(parser, words)
        if words[0] == "keys":
            _accepts(gateway.keys.__main__._parser(), ["--store", "s", *words[1:]])
        if words[0] == "usage":
            _accepts(gateway.usage._parser(), ["--store", "s", *words[1:]])


def _script(name: str) -> None:
    path = ROOT / name
    assert os.access(path, os.X_OK), f"{name}: no such script, or it may not be run"
    if path.read_bytes().startswith(b"#!/bin/sh"):
        subprocess.run(["sh", "-n", path], check=True)


def _exist(names: Sequence[str]) -> None:
    missing = [name for name in names if not (ROOT / name).exists()]
    assert not missing, f"{missing}: not in this repository"


def _module(name: str, words: Sequence[str]) -> None:
    """One whose parser is made within its main: its help has to know each option."""
    if name == "loadtest":
        if words:
            _accepts(loadtest.cli.options.parser(), words)
        return
    said = _help([sys.executable, "-m", name, "--help"])
    _options_are_in(said, words, f"python -m {name}")


@cache
def _help_of(command: tuple[str, ...]) -> str:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stderr}"
    return ran.stdout


def _help(command: Sequence[str]) -> str:
    return _help_of(tuple(command))


def _options_are_in(text: str, words: Sequence[str], program: str) -> None:
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    assert not unknown, f"{program} has no {unknown}"


def _compose(words: list[str], settings: dict[str, str]) -> None:
    """`docker compose [OPTIONS] VERB [WORDS]`: its files are valid, its options exist, its services are there."""
    program = str(Path(sys.executable).parent / "docker-compose")
    ahead: list[str] = []
    while words[0].startswith("-"):
        ahead += [words.pop(0), words.pop(0)]
    verb, rest = words[0], words[1:]
    _options_are_in(_help([program, "--help"]), ahead, "docker compose")
    at = next((index for index, word in enumerate(rest) if index and verb in ("exec", "run") and word[0] != "-"), None)
    _options_are_in(_help([program, verb, "--help"]), rest[:at], f"docker compose {verb}")
    environment = os.environ | {"PROFILE": "cpu"} | ADDRESSES | settings
    command = [program, *ahead, "--profile", "*", "config"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    services = yaml.safe_load(ran.stdout)["services"]
    if verb == "exec" or verb == "run":
        named = [next(word for word in rest if not word.startswith("-"))]
    else:
        named = [word for word in rest if word[0] != "-" and not word.isdigit() and "=" not in word]
    named += [word.partition("=")[0] for word in rest if re.fullmatch(r"[a-z-]+=\d+", word)]
    assert set(named) <= set(services), f"{sorted(set(named) - set(services))}: no such service"
