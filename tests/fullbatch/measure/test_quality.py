"""What is made of an engine's logprobs, and when two runs count as the same."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from fullbatch import catalog
from fullbatch.core.errors import EngineError
from fullbatch.measure import quality
from fullbatch.measure.quality import QualityRun, Questions, answer_nats, compare, measure, nearest

ASKED = Questions(("one two three", "four five"), ("Why?", "How?"), 8)
ABOUT = {"date": "2026-11-30", "model": "m", "engine": "vLLM 0.32.0 (cpu)", "weights": "bf16", "kv_cache": "auto"}


class Model:
    """One token a word; each is `nats` likely, but those of `nats_of` as that says. A template adds three tokens."""

    def __init__(self, answers: dict[str, str], nats: float = 2.0, **nats_of: float) -> None:
        self.answers, self.nats, self.nats_of = answers, nats, nats_of
        self.asked: list[dict[str, Any]] = []

    def __call__(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        assert (body["temperature"], body["model"]) == (0, "served")
        if path == "/v1/completions":
            assert (body["max_tokens"], body["prompt_logprobs"]) == (1, 0)
            return {"choices": [{"text": "x", "prompt_logprobs": self._logprobs(body["prompt"].split())}]}
        words = [word for message in body["messages"] for word in message["content"].split()]
        if body.get("continue_final_message"):
            assert body["add_generation_prompt"] is False
            prompt = ["<>", *words[:1], "<>", "<>", *words[1:]]
            return {"prompt_logprobs": self._logprobs(prompt), "usage": {"prompt_tokens": len(prompt)}}
        message = {"content": self.answers[body["messages"][0]["content"]]}
        return {"choices": [{"message": message}], "usage": {"prompt_tokens": 3 + len(words)}}

    def _logprobs(self, words: list[str]) -> list[Any]:
        entries = [{str(n): {"logprob": -self.nats_of.get(word, self.nats)}} for n, word in enumerate(words)]
        return [None, *entries[1:]]


def run(**model: Any) -> tuple[QualityRun, Model]:
    asked = Model({"Why?": "because so", "How?": ""}, **model)
    return measure(asked, "served", ASKED, ABOUT), asked


def test_a_run_has_nats_of_each_passage_and_of_the_answers_own_tokens_alone() -> None:
    found, asked = run(three=5.0, because=0.5, so=1.5)
    assert (found.text, found.tokens) == ((3.5, 2.0), (2, 1))
    assert found.nats == pytest.approx(3.0)
    assert (found.answers, found.answer_nats) == (("because so", ""), (1.0, 0.0))
    assert next(body for body in asked.asked if body.get("max_tokens") == 8)["messages"][0]["content"] == "Why?"


def test_an_engine_that_gives_no_logprobs_or_none_that_are_numbers() -> None:
    with pytest.raises(EngineError, match="gives no prompt_logprobs"):
        measure(lambda *_: {"choices": [{}]}, "served", ASKED, ABOUT)
    with pytest.raises(EngineError, match="no probability at all"):
        run(two=math.inf)
    with pytest.raises(EngineError, match="no probability at all"):
        run(two=math.nan)


@pytest.mark.parametrize(
    ("moved", "verdict"),
    [
        (0.0, "same"),
        (0.004, "same"),
        (-0.004, "same"),
        (0.012, "worse"),
        (-0.05, "worse"),
        (0.5, "broken"),
        (-0.5, "broken"),
    ],
)
def test_what_the_text_says_of_a_change(moved: float, verdict: str) -> None:
    before, _ = run()
    now, _ = run(nats=2.0 + moved)
    change = compare(now, before, before.answer_nats)
    assert change.text == pytest.approx(moved) and change.verdict == verdict


@pytest.mark.parametrize(("weights", "kv_cache"), [("fp8", "auto"), ("bf16", "fp8"), ("int4", "auto")])
def test_rounding_goes_further_where_numbers_have_few_bits(weights: str, kv_cache: str) -> None:
    before = dataclasses.replace(run()[0], weights=weights, kv_cache=kv_cache)
    moved = [
        dataclasses.replace(run(nats=2.0 + nats)[0], weights=weights, kv_cache=kv_cache) for nats in (0.006, 0.012)
    ]
    assert [compare(now, before, before.answer_nats).verdict for now in moved] == ["same", "worse"]


def test_answers_that_differ_are_judged_by_what_is_expected_of_those_recorded() -> None:
    before, _ = run()
    other = Model({"Why?": "for a reason", "How?": ""})
    now = measure(other, "served", ASKED, ABOUT)
    rounded = compare(now, before, answer_nats(other, "served", ASKED.questions, before.answers))
    assert (rounded.same, rounded.answers, rounded.verdict) == (1, 0.0, "same")
    changed = Model({"Why?": "for a reason", "How?": ""}, because=9.0, so=9.0)
    change = compare(now, before, answer_nats(changed, "served", ASKED.questions, before.answers))
    assert (change.text, change.answers, change.verdict) == (0.0, 3.5, "broken")


def test_other_tokens_are_another_text() -> None:
    before, _ = run()
    change = compare(dataclasses.replace(before, tokens=(3, 1)), before, before.answer_nats)
    assert (change.text, change.verdict) == (None, "other text")


def test_the_nearest_record_is_of_the_same_precision_else_of_none_lost() -> None:
    now, _ = run()
    plain, later = now, dataclasses.replace(now, date="2027-01-01")
    fp8 = dataclasses.replace(now, kv_cache="fp8")
    int4 = dataclasses.replace(now, weights="int4")
    assert nearest(now, []) is None
    assert nearest(now, [plain, later, fp8]) is later
    assert nearest(fp8, [plain, fp8, later]) is fp8
    assert nearest(int4, [plain, fp8]) is plain
    assert nearest(int4, [fp8]) is fp8


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    found, _ = run()
    found = dataclasses.replace(found, answers=('yes: "no" # ü\n```\n', "-"), answer_nats=(1.0, 2.0))
    path = tmp_path / "quality.yaml"
    path.write_text("text: []\nrecords:\n")
    quality.keep(found, path)
    quality.keep(dataclasses.replace(found, model="other"), path)
    first, second = yaml.safe_load(path.read_text())["records"]
    assert quality.read(first) == found and second["model"] == "other"


def test_the_records_that_are_shipped_are_of_the_text_that_is_shipped() -> None:
    asked = quality.questions()
    shipped = [quality.read(one) for one in catalog.read("quality.yaml")["records"] or []]
    assert shipped, "none"
    for one in shipped:
        assert (len(one.text), len(one.tokens)) == (len(asked.text),) * 2
        assert (len(one.answers), len(one.answer_nats)) == (len(asked.questions),) * 2
        assert one.model in catalog.models() and one in quality.records(one.model)
