"""What pyproject.toml declares is what the packages import."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Where a package's imports are declared. What only some of its modules need, in groups of their own.
DECLARED_IN = {
    "common": ["dependencies"],
    "fullbatch": ["dependencies", "tinymodel"],
    "gateway": ["gateway"],
    "launcher": [],
    "loadtest": ["loadtest"],
    "grafana": ["dev"],
    "bench": ["gateway", "loadtest", "bench"],
    # Not installed anywhere: they run from the checkout.
    "scripts": ["dependencies", "dev"],
    "tests": ["dependencies", "dev"],
}
# These hold `common` too: what it imports has to be in each of their groups.
WITH_COMMON = ("fullbatch", "gateway", "loadtest")
# Programs that run in an environment of their own: requirements/clients.in.
OF_CLIENTS = ROOT / "tests" / "e2e" / "clients"
# What runs in the engine's own environment or image, which has them.
ELSEWHERE = {"huggingface_hub", "numpy", "torch", "transformers", "vllm"}


def declared(group: str) -> set[str]:
    found = set()
    entries = PROJECT["project"]["dependencies"] if group == "dependencies" else PROJECT["dependency-groups"][group]
    for entry in entries:
        if isinstance(entry, dict):
            found |= declared(entry["include-group"])
        else:
            found.add(re.split(r"[^A-Za-z0-9._-]", entry)[0].lower())
    return found


@cache
def _providers() -> Mapping[str, list[str]]:
    return packages_distributions()


def distributions(name: str) -> set[str]:
    """The packages that bring what is imported by this name."""
    return {each.lower().replace("_", "-") for each in _providers().get(name, [name])}


@cache
def imported(package: str) -> dict[str, str]:
    """The packages from elsewhere that it imports, each with a file that does."""
    found = {}
    for path in [*sorted((ROOT / package).rglob("*.py")), *python_scripts(ROOT / package)]:
        if path.parent == OF_CLIENTS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in DECLARED_IN and top not in ELSEWHERE:
                    found[top] = str(path.relative_to(ROOT))
    return found


def python_scripts(folder: Path) -> list[Path]:
    """Programs in Python whose names have no ending, such as scripts/record-flags."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.suffix]
    return [path for path in files if "python" in path.read_text().partition("\n")[0]]


@pytest.mark.parametrize("package", DECLARED_IN)
def test_what_is_imported_is_declared(package: str) -> None:
    names = imported(package) | (imported("common") if package in WITH_COMMON else {})
    allowed = set().union(*(declared(group) for group in DECLARED_IN[package]))
    missing = {name: where for name, where in names.items() if not allowed & distributions(name)}
    assert missing == {}, "declare it in pyproject.toml, and run scripts/lock"


# Declared and imported by nobody, and what it is there for.
NOT_IMPORTED = {
    "setuptools": "builds the checkout's own package, and the compiled gateway",
}
# The programs that a group is for: nobody else keeps a package in it. `dev` holds programs, plugins and types besides.
FOR = {
    "dependencies": ("fullbatch", "gateway", "loadtest", "common"),
    "gateway": ("gateway", "common"),
    "loadtest": ("loadtest", "common"),
    "tinymodel": ("fullbatch",),
    "run": ("fullbatch", "gateway", "loadtest", "common"),
    "bench": ("bench",),
}


@pytest.mark.parametrize("group", FOR)
def test_what_is_declared_is_imported(group: str) -> None:
    used = {each for package in FOR[group] for name in imported(package) for each in distributions(name)}
    assert declared(group) - used - NOT_IMPORTED.keys() == set(), "remove it from pyproject.toml, and run scripts/lock"


def test_the_wheel_asks_for_what_its_programs_are_declared_to_need() -> None:
    """pyproject.toml cannot include a group in `dependencies`: they are written twice."""
    groups = {each for name in ("gateway", "loadtest", "tinymodel") for each in PROJECT["dependency-groups"][name]}
    assert groups <= set(PROJECT["project"]["dependencies"])
