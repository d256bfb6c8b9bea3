"""What was laid out, and what is a person's."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fullbatch.layout import manifest, place
from fullbatch.layout.manifest import LaidOut


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest.write(tmp_path, LaidOut("0.1.0", {"a": "1"}))
    assert manifest.read(tmp_path) == LaidOut("0.1.0", {"a": "1"})
    assert place.version(tmp_path) == "0.1.0"


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": "0.1.0", "files": 3}', "\0"])
def test_a_broken_one_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".fullbatch").mkdir()
    (tmp_path / place.MANIFEST).write_text(text)
    assert manifest.read(tmp_path) is None


def test_what_a_person_edits() -> None:
    persons = ["profiles/mine.yaml", ".env", "prometheus/alertmanager.yaml", "compose.override.yaml"]
    assert all(map(manifest.is_a_persons, persons))
    ours = ["compose.yaml", "rendered/cpu/gateway.yaml", "profiles/schema.json", "fullbatch/cli/init.py"]
    assert not any(map(manifest.is_a_persons, ours))


def test_programs_can_be_started_and_nothing_else(tmp_path: Path) -> None:
    manifest.put(tmp_path / "x" / "program", b"#!/bin/sh\n")
    manifest.put(tmp_path / "x" / "text", b"text")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "x").iterdir()}
    assert modes == {"program": 0o755, "text": 0o644}
