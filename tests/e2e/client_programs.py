"""The programs of docs/clients.md, which lie in clients/, run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "e2e" / "clients"
HOME = ROOT / ".fullbatch" / "clients"
# What a program prints begins with one of these; the rest is the model's.
_LABEL = re.compile(r"^(models|count|chat|stream|tool|answer): ", re.MULTILINE)
_LIMIT_S = 300  # a busy machine takes a minute to import some of these


@dataclass(frozen=True)
class Program:
    """``home``: where its client is installed; ``beside``: files that it needs, and what they are called there."""

    name: str
    home: Path = HOME / "python"
    answers: int = 4  # how many requests the model has to answer
    lists_models: bool = False
    beside: tuple[tuple[str, str], ...] = ()


# With a real model.
REAL = (
    Program("openai_python.py", ROOT / ".venv", lists_models=True),
    Program("openai_agents.py", answers=8, lists_models=True),
    Program("langchain_openai_chat.py"),
    Program("llama_index_openai_like.py", HOME / "llama-index"),
    Program("litellm_sdk.py"),
    Program("claude_code_traffic.py", ROOT / ".venv", answers=3, lists_models=True),
    Program("openai_node.mjs", HOME / "npm", lists_models=True),
    Program("vercel_ai.mjs", HOME / "npm"),
)
# With the fake engine: these leave it to the model whether it calls a tool, and a small one never does.
LLM = Program(
    "llm.sh", beside=(("llm_models.yaml", "extra-openai-models.yaml"), ("llm_weather.py", "weather.py"))
)  # fmt: skip
OPENCODE = Program("opencode.sh", HOME / "npm-all", beside=(("opencode.json", "opencode.json"),))
# Too large for the suite: their tests are there where `scripts/test-clients all` has put them.
LARGE = {HOME / "llama-index", HOME / "npm-all"}


def chosen(programs: tuple[Program, ...]) -> list[Program]:
    """Those that the suite tries, and those that are here besides."""
    return [program for program in programs if program.home not in LARGE or (program.home / ".stamp").exists()]


def install() -> None:
    """Does nothing where they are installed; a skip where they cannot be had, and in CI a skip is a failure."""
    ran = subprocess.run([ROOT / "scripts" / "test-clients"], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        pytest.skip(ran.stderr.strip())


def run(program: Program, folder: Path, url: str, key: str, model: str) -> str:
    """What it prints, in a folder of its own that is its home too; it has to end well."""
    for name, called in ((program.name, program.name), *program.beside):
        (folder / called).write_text(_placed((PROGRAMS / name).read_text(), url, key, model))
    # What is imported in JavaScript is looked for beside the program.
    (folder / "node_modules").symlink_to(HOME / "npm" / "node_modules")
    interpreters = {".py": program.home / "bin" / "python", ".mjs": HOME / "python" / "bin" / "node", ".sh": Path("sh")}
    paths = [HOME / "python" / "bin", HOME / "npm-all" / "node_modules" / "opencode-linux-x64" / "bin"]
    ran = subprocess.run(
        [interpreters[Path(program.name).suffix], program.name], cwd=folder,
        env=os.environ | {"HOME": str(folder), "PATH": ":".join(map(str, [*paths, os.environ["PATH"]]))}
        | {"LLM_USER_PATH": str(folder)},
        capture_output=True, text=True, timeout=_LIMIT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def _placed(text: str, url: str, key: str, model: str) -> str:
    """With the three things that a reader writes into it."""
    text = text.replace("http://HOST:8080", url)
    return re.sub(r"\bMODEL\b", model, re.sub(r"\bKEY\b", key, text))


def said(text: str) -> dict[str, list[str]]:
    """What was printed, by label."""
    found: dict[str, list[str]] = {}
    pieces = _LABEL.split(text)
    for label, words in zip(pieces[1::2], pieces[2::2], strict=True):
        found.setdefault(label, []).append(words.strip())
    return found
