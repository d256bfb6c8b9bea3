from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from fullbatch.cli import models
from fullbatch.cli.options import parser
from fullbatch.core.errors import UsageError
from fullbatch.lifecycle import models as served
from fullbatch.lifecycle.models import CardTurns, ServedModel, ServedModels

QWEN = ServedModel(
    "qwen", ("Qwen/Qwen",), "ready", "card0", resident=True, pinned=True, wake_s=1.7, wake_learned=True, cold_s=52.0,
    next_load="wake", running=3,
)  # fmt: skip
LLAMA = ServedModel(
    "llama", ("meta/Llama",), "failed", "card0", cold_s=50.0, cold_learned=True, next_load="cold", waiting=2,
    failures=1, why="out of memory", retry_at="18:01", log=("one", "two"),
)  # fmt: skip
FOUND = ServedModels(
    "two", (ServedModel("bge", ("bge",), "always"), QWEN, LLAMA), (CardTurns("card0", "idle", "", "", 0.4),)
)


def test_a_line_for_each_and_why_one_is_failed() -> None:
    assert models.as_text(FOUND).splitlines() == [
        "bge         always there",
        "",
        "card0: idle; 40% of the last 15 minutes lost to switching: give it a second card, or make one `always`",
        "Qwen/Qwen   ready, pinned; 3 running, 0 waiting; wakes in 1.7 s, starts in 52.0 s (guessed)",
        "meta/Llama  failed; 0 running, 2 waiting; starts in 50.0 s; 1 failed load",
        "    why: out of memory; tried again at 18:01",
        "    | one",
        "    | two",
    ]


def test_a_load_that_is_under_way_and_a_launcher_that_is_not_there() -> None:
    loading = ServedModel("a", ("a",), "loading", "cpu", about_s=12.4, cold_s=30.0)
    text = models.as_text(ServedModels("x", (loading,), (CardTurns("cpu", "loading", "a", "", 0.0),)))
    assert text.splitlines() == ["cpu: loading for a", "a  loading; about 12 s more; starts in 30.0 s (guessed)"]
    dead = models.as_text(ServedModels("x", (), (CardTurns("cpu", "", "", "no such file", 0.0),)))
    assert dead == "cpu: nothing is switched: no such file"


def test_the_same_for_programs() -> None:
    found = json.loads(json.dumps(models.as_json(FOUND)))
    assert [one["state"] for one in found["models"]] == ["always", "ready", "failed"]
    assert found["cards"][0]["lost_share"] == 0.4


def _words(*words: str) -> argparse.Namespace:
    return parser([]).parse_args(["models", *words])


def test_a_change_names_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "change", lambda *_: "loading")
    data, text = models.said(Path("/r"), _words("pin", "qwen"))
    assert data == {"model": "qwen", "did": "pin", "state": "loading"}
    assert text == "qwen stays (loading)"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["load"], "models load: name a model; see `fullbatch models`"),
        (["list", "qwen"], "models: list takes no model; to load one: fullbatch models load qwen"),
    ],
)
def test_a_model_too_few_or_too_many(words: list[str], line: str) -> None:
    with pytest.raises(UsageError) as raised:
        models.said(Path("/r"), _words(*words))
    assert str(raised.value) == line
