"""Every command of README.md, CONTRIBUTING.md and docs/*.md does what a newcomer needs it to: see `table`."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.documents.collect import PAGES, ROOT, Command, commands
from tests.documents.parsers import filled, parse
from tests.documents.table import ROWS, Row, row_of

COMMANDS = commands()
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
    "num_attention_heads": 32, "num_key_value_heads": 8, "num_hidden_layers": 16, "head_dim": 64,
    "vocab_size": 128256, "max_position_embeddings": 131072, "torch_dtype": "bfloat16", "tie_word_embeddings": True,
}  # fmt: skip


def chosen(how: str) -> list[Any]:
    """Commands that are tried so, each with its row."""
    found = [(command, row) for command in COMMANDS if (row := row_of(command.text)) is not None and row.how == how]
    return [pytest.param(command, row, id=f"{command.where} {command.text}") for command, row in found]


def test_every_command_has_a_row() -> None:
    lost = [f"{command.where}: {command.text}" for command in COMMANDS if row_of(command.text) is None]
    assert lost == [], "say in tests/documents/table.py whether it is run, parsed, or covered by which test"


def test_rows_are_of_a_known_kind_and_say_why() -> None:
    assert {row.how for row in ROWS} == {"run", "parse", "covered", "given"}
    assert [row.pattern for row in ROWS if row.how in ("covered", "given") and not row.why] == []


def test_the_newcomer_is_told_how_to_get_the_program() -> None:
    """`scripts/setup` and where `fullbatch` then is, before the first command that needs it."""
    text = (ROOT / "README.md").read_text()
    made, used = (
        text.find("`scripts/setup`"),
        min(text.find(word) % len(text) for word in ("`fullbatch ", ".venv/bin/")),
    )
    assert made >= 0 and ".venv/bin/fullbatch" in text, "README.md: how does one get `fullbatch`?"
    assert made < used, "README.md: `fullbatch` comes before `scripts/setup`"


@pytest.mark.parametrize(("command", "row"), chosen("parse"))
def test_its_program_takes_these_words(command: Command, row: Row) -> None:  # noqa: ARG001
    parse(command)


@pytest.mark.parametrize("row", [row for row in ROWS if row.how == "covered"], ids=lambda row: row.pattern)
def test_the_test_that_covers_it_exists(row: Row) -> None:
    path, _, name = row.why.partition("::")
    functions = {
        node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)
    }
    assert name in functions, f"{path} has no {name}"


class Newcomer:
    """A fresh clone, a fresh home, and a shell that has nothing of ours but what `scripts/setup` has made."""

    def __init__(self, folder: Path) -> None:
        self.home, self.clone = folder / "home", folder / "fullbatch"
        self.home.mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "SSL_", "LANG", "HTTP", "http"))
        }
        # pip's downloads are not what is tried here.
        cache = os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip")
        path = ":".join(part for part in os.environ["PATH"].split(":") if ".venv" not in part)
        self.environment = kept | {"HOME": str(self.home), "PATH": path, "PIP_CACHE_DIR": cache}

    def run(self, text: str, settings: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        environment = self.environment | dict(setting.split("=", 1) for setting in settings)
        return subprocess.run(
            ["sh", "-c", text], cwd=self.clone, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """The clone is of this checkout's commit, with what is not committed yet laid over it."""
    found = Newcomer(tmp_path_factory.mktemp("newcomer"))
    subprocess.run(["git", "clone", "--quiet", ROOT, found.clone], check=True, capture_output=True)
    listed = ["git", "ls-files", "--modified", "--others", "--exclude-standard", "-z"]
    changed = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, changed):
        if (ROOT / name).is_file():
            (found.clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, found.clone / name)
    model = found.clone / "my-model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(CONFIG))
    made = found.run("scripts/setup")
    assert made.returncode == 0, made.stdout + made.stderr
    return found


@pytest.mark.parametrize(("command", "row"), chosen("run"))
def test_it_works_in_a_fresh_clone(command: Command, row: Row, newcomer: Newcomer) -> None:
    if command.words[0] in ("git", "cd"):
        return  # what the fixture has done
    text = command.text.replace("--model … ", "--model Qwen/Qwen2.5-1.5B-Instruct ").replace(
        " … ", " cpu-tiny --users 2 "
    )
    words = filled(replace(command, text=text).words)
    if words[:2] in (["fullbatch", "plan"], ["fullbatch", "explain"]) and len(words) == 2:
        words.append("cpu-tiny")  # in a sentence: the verb's name
    if words[0] == "fullbatch":
        words[0] = ".venv/bin/fullbatch"
    done = newcomer.run(shlex.join(words), command.settings)
    assert done.returncode in row.codes, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr


def test_commands_are_found_wherever_they_stand(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "A `fullbatch plan\nX` and `gateway/app.py`, a name `fullbatch`.\n\n"
        "    A=1 docker compose up -d     # why\n    profiles/NAME.yaml ── profile.py\n\n"
        "```sh\nmake all && ls | wc\n# a comment\ndocker save $(docker compose config --images)\n```\n"
        "```yaml\ndocker: {}\n```\n"
    )
    found = [(command.where, command.text, command.settings) for command in commands([page])]
    assert found == [
        ("page.md:4", "docker compose up -d", ("A=1",)),
        ("page.md:8", "make all", ()),
        ("page.md:8", "ls", ()),
        ("page.md:8", "wc", ()),
        ("page.md:10", "docker save INNER", ()),
        ("page.md:10", "docker compose config --images", ()),
        ("page.md:1", "fullbatch plan X", ()),
    ]
    assert row_of("make all") is None and row_of("fullbatch plan X") is not None


@pytest.mark.parametrize(
    "text",
    [
        "fullbatch plam x", "fullbatch plan --gpus rtx4090", "fullbatch keys create", "fullbatch report --tarmac",
        "docker compose up --detachh", "docker compose restart engin", "docker compose --profil x up",
        "scripts/nothing", "scripts/test tests/nothing", "python -m gateway.probe --no-such",
    ],
)  # fmt: skip
def test_words_that_no_program_takes_are_refused(text: str) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        parse(Command("here", text))


def test_all_pages_are_read() -> None:
    assert {"README.md", "CONTRIBUTING.md", "operating.md", "measuring.md"} <= {page.name for page in PAGES}
