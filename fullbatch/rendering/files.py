"""Writes `rendered/` and `profiles/schema.json`, and finds stale files."""

from __future__ import annotations

from pathlib import Path

from fullbatch.planning import deployments, profile
from fullbatch.rendering import exports, profiles_page, schema
from fullbatch.runtime import registry

PAGE = Path("docs/profiles.md")


def wanted(root: Path, names: list[str]) -> dict[Path, str]:
    """Every generated file of the profiles `names`: path below `root` -> text. UsageError for a bad profile."""
    found: dict[Path, str] = {}
    shown = {}
    for name in names:
        asked = deployments.read(root, name)
        made = deployments.made(name, asked)
        shown[name] = asked, made
        for runtime in registry.RUNTIMES:
            for file_name, text in runtime.files(root, made).items():
                found[Path("rendered") / name / file_name] = text
    found[Path("profiles/schema.json")] = schema.text()
    if names == profile.names(root) and (root / PAGE.parent).is_dir():
        found[PAGE] = profiles_page.text(shown)
    if names == profile.names(root) and (root / exports.EXAMPLES).is_dir():
        found |= exports.examples(root)
    return found


def stale(root: Path, names: list[str]) -> list[Path]:
    """Files of `names` that are missing or differ from what the templates write now."""
    return [path for path, text in wanted(root, names).items() if _read(root / path) != text]


def orphans(root: Path) -> list[Path]:
    """Folders of `rendered/` whose profile is gone, and files of the examples that nothing writes any more."""
    known = set(profile.names(root))
    folders = [path.relative_to(root) for path in sorted((root / "rendered").iterdir()) if path.name not in known]
    return [*folders, *(exports.orphans(root) if (root / exports.EXAMPLES).is_dir() else [])]


def write(root: Path, names: list[str]) -> list[Path]:
    """Write what is stale; the paths written. Everything is rendered before the first file is touched."""
    changed = []
    for path, text in wanted(root, names).items():
        target = root / path
        if _read(target) == text:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        changed.append(path)
    return changed


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
