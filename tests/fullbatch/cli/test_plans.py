"""`plan` and `explain` of a profile of several models, as a person calls them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from fullbatch.cli import plans
from fullbatch.cli.options import parser
from fullbatch.core.errors import UsageError
from tests.fullbatch.planning.test_deployments import SEVERAL


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/two.yaml").write_text(SEVERAL, encoding="utf-8")
    return tmp_path


def _words(*words: str) -> argparse.Namespace:
    return parser([]).parse_args(words)


def test_a_plan_of_two(root: Path) -> None:
    text, note = plans.plan(root, _words("plan", "two"))
    assert "A tiny: always there" in text
    assert not note
    assert len(json.loads(plans.plan(root, _words("plan", "two", "--json"))[0])["models"]) == 2


def test_options_are_for_one_model(root: Path) -> None:
    with pytest.raises(UsageError, match=r"plan: --users is for one model; profiles/two.yaml has several"):
        plans.plan(root, _words("plan", "two", "--users", "3"))
    with pytest.raises(UsageError, match="plan: --write is for one model"):
        plans.plan(root, _words("plan", "two", "--write", "mine"))


def test_flags_of_two(root: Path) -> None:
    assert plans.explained(root, _words("explain", "two")).startswith("tiny\n\n")
    assert set(json.loads(plans.explained(root, _words("explain", "two", "--json")))) == {
        "tiny",
        "SmolLM2-135M-Instruct",
    }
