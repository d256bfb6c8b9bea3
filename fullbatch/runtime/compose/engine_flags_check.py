"""Asks the parser of a new engine's image whether it takes the rendered commands, before anything is switched.

The image starts as its parser alone: no network, no weights, nothing of a card's memory.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

import fullbatch
from common.secrets import masked
from fullbatch.core.errors import HostError
from fullbatch.runtime.base import Say
from fullbatch.runtime.compose import config, docker_cli

# Imports no module of ours: it is handed to that image's Python as text.
_PARSER = Path(fullbatch.__file__).parent / "rendering" / "engine_parser.py"


def check(root: Path, profile: str, reference: str, rendered: Mapping[str, bytes], say: Say) -> None:
    """`rendered`: files of rendered/`profile` that are to be written anew, by their paths.

    Raises:
        HostError: the parser refuses a command; with the parser's own words, which name the flag.
    """
    commands, on_cards = _commands(root, profile, rendered)
    if not commands:
        return
    say(f"rehearsal: {reference} reads the engine's flags")
    try:
        complaints = _asked(reference, list(commands.values()), on_cards)
    except (HostError, ValueError, IndexError) as error:
        why = str(error).removeprefix("docker run: ") or "it said nothing"
        say(f"its parser cannot be asked ({masked(why)[:300]}); flags that it may have dropped show only at its start")
        return
    for service, complaint in zip(commands, complaints, strict=True):
        if complaint:
            raise HostError(
                f"{reference} does not take the flags of profile {profile}, and nothing was changed: "
                f"{service}: {masked(complaint)}"
            )


def _commands(root: Path, profile: str, rendered: Mapping[str, bytes]) -> tuple[dict[str, list[str]], bool]:
    """Service -> words, and whether one of them has a card."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "rendered" / profile
        shutil.copytree(root / "rendered" / profile, folder)
        for path, content in rendered.items():
            if Path(path).parent == Path("rendered") / profile:
                (folder / Path(path).name).write_bytes(content)
        services = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"]
        return config.engine_commands(Path(name), profile), any("gpus" in one for one in services.values())


def _asked(reference: str, commands: list[list[str]], on_cards: bool) -> list[str | None]:
    words = ["run", "--rm", "--interactive", "--network=none", "--cap-drop=ALL", "--user=2000:0", "--read-only"]
    words += [
        "--tmpfs=/tmp:mode=1777,exec,size=1g",
        "--env=HOME=/tmp",
        "--env=USER=vllm",
        "--env=VLLM_NO_USAGE_STATS=1",
    ]
    if on_cards:  # without one its image does not know what it runs on, and its parser does not start
        words.append("--gpus=all")
    text = _PARSER.read_text(encoding="utf-8")
    answer = docker_cli.call([*words, "--entrypoint=python3", reference, "-c", text], json.dumps(commands).encode())
    complaints: list[str | None] = json.loads(answer.decode("utf-8", "replace").splitlines()[-1])
    return complaints
