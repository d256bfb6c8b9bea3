"""What pip-audit says, and what that is worth."""

from __future__ import annotations

import json

import pytest

from scripts.releasing.audit import Audited, judge


def answer(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_no_hole_in_any_package_is_a_pass() -> None:
    assert judge("run", answer({"name": "a", "version": "1", "vulns": []}), "") == Audited((), ())


def test_a_hole_is_named() -> None:
    said = answer({"name": "a", "version": "1", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2"]}]})
    assert judge("run", said, "Found 1 known vulnerability").holes == ("a 1: PYSEC-2026-1",)


def test_skipped_packages_are_no_pass() -> None:
    """As behind a mirror without the service: pip-audit ends with 0 and has judged nothing."""
    found = judge(
        "run", answer({"name": "a", "skip_reason": "not found"}, {"name": "b", "version": "1", "vulns": []}), ""
    )
    assert found.unasked == ("requirements/run.txt: 1 of 2 packages were not judged, as a: not found",)


@pytest.mark.parametrize("said", ["", "{", "[]", answer()])
def test_no_answer_is_no_pass(said: str) -> None:
    assert judge("run", said, "the service is away").unasked
