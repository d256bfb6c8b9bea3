"""One name, one meaning: a public class is called so in one module of all packages."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tests.test_shape import PACKAGES, ROOT

# Name -> why it stands for more than one thing.
SHARED: dict[str, str] = {}


def public_classes(folder: Path, root: Path) -> dict[str, set[str]]:
    """The names of public top-level classes below a folder, with the modules that define them."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(str(path.relative_to(root)))
    return found


def homonyms(root: Path, packages: tuple[str, ...]) -> dict[str, list[str]]:
    """Names with more than one module, in all the packages together."""
    found: dict[str, set[str]] = defaultdict(set)
    for package in packages:
        for name, modules in public_classes(root / package, root).items():
            found[name] |= modules
    return {name: sorted(modules) for name, modules in found.items() if len(modules) > 1}


def test_a_class_name_has_one_meaning() -> None:
    left = {name: modules for name, modules in homonyms(ROOT, PACKAGES).items() if name not in SHARED}
    assert left == {}, "call each by the word of its field"


def test_what_is_shared_is_shared() -> None:
    assert set(SHARED) <= set(homonyms(ROOT, PACKAGES))


def test_a_homonym_is_found(tmp_path: Path) -> None:
    for name, text in (("a/x.py", "class Run:\n    class Inner: ...\n"), ("a/y.py", "class _Run: ...\n"),
                       ("b/x.py", "class Run: ...\nclass Inner: ...\n")):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert homonyms(tmp_path, ("a", "b")) == {"Run": ["a/x.py", "b/x.py"]}
