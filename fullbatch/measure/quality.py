"""Whether what runs still answers as was recorded: how well it expects a text that we ship, and what it says greedily.

A record is of one model, engine and precision. Kernels, batches and precisions round differently, so answers differ in
a word here and there; what a model expects of a text hardly moves then, and moves a lot when something is broken.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fullbatch import catalog
from fullbatch.core.errors import EngineError

# Path and body to the answer's JSON.
Ask = Callable[[str, dict[str, Any]], dict[str, Any]]
# Nats a token of the text, either way: rounding stays below the first, what is broken is beyond the second
# (measured: docs/decisions/0026-quality-guard.md). Answers are a third of its tokens and swing four times as far.
ROUNDING_NATS, BROKEN_NATS, ANSWERS_SWING = 0.005, 0.1, 4
# Of a record whose weights or cache have 8 bits or fewer: what rounding moves there falls to another step of them.
COARSE_ROUNDING_NATS = 0.01
_FULL_PRECISION = frozenset({"bf16", "fp16", "fp32", "auto"})
_DIGITS = 4


@dataclass(frozen=True)
class Questions:
    """`answer_tokens`: of each answer, at most."""

    text: tuple[str, ...]
    questions: tuple[str, ...]
    answer_tokens: int


@dataclass(frozen=True)
class QualityRun:
    """`text`: nats a token of each passage, of `tokens`; `answer_nats`: likewise of each of the `answers`."""

    date: str
    model: str
    engine: str
    weights: str
    kv_cache: str
    text: tuple[float, ...]
    tokens: tuple[int, ...]
    answers: tuple[str, ...]
    answer_nats: tuple[float, ...]

    @property
    def nats(self) -> float:
        """Of a token of the whole text."""
        return _mean(self.text, self.tokens)

    def about(self) -> str:
        return f"{self.engine}, weights {self.weights}, KV cache {self.kv_cache}"


@dataclass(frozen=True)
class QualityChange:
    """Against a record, nats a token more than then. `same`: answers that are word for word as recorded."""

    before: QualityRun
    text: float | None
    answers: float
    same: int

    @property
    def verdict(self) -> str:
        """`same`, `worse`, `broken`, or `other text` where its tokens are others than those of the record."""
        if self.text is None:
            return "other text"
        most = max(abs(self.text), abs(self.answers) / ANSWERS_SWING)
        coarse = not {self.before.weights, self.before.kv_cache} <= _FULL_PRECISION
        rounding = COARSE_ROUNDING_NATS if coarse else ROUNDING_NATS
        return "same" if most <= rounding else "worse" if most <= BROKEN_NATS else "broken"


def measure(ask: Ask, served: str, questions: Questions, about: dict[str, str]) -> QualityRun:
    """Ask what runs as `served`; `about`: date, model, engine, weights and kv_cache of the run."""
    scored = [_passage(ask, served, passage) for passage in questions.text]
    answers = tuple(_answer(ask, served, one, questions.answer_tokens) for one in questions.questions)
    nats = answer_nats(ask, served, questions.questions, answers)
    return QualityRun(
        **about,
        text=tuple(round(sum(one) / len(one), _DIGITS) for one in scored),
        tokens=tuple(map(len, scored)),
        answers=answers,
        answer_nats=nats,
    )


def answer_nats(ask: Ask, served: str, questions: Sequence[str], answers: Sequence[str]) -> tuple[float, ...]:
    """Nats a token of given answers, as what runs expects them; 0 for an empty one."""
    return tuple(
        round(_score_answer(ask, served, question, answer), _DIGITS) if answer else 0.0
        for question, answer in zip(questions, answers, strict=True)
    )


def compare(now: QualityRun, before: QualityRun, nats: Sequence[float]) -> QualityChange:
    """`nats`: what runs now, of the answers that were recorded."""
    same = sum(a == b for a, b in zip(now.answers, before.answers, strict=True))
    moved = [a - b for a, b in zip(nats, before.answer_nats, strict=True)]
    text = _mean([a - b for a, b in zip(now.text, before.text, strict=True)], now.tokens)
    return QualityChange(before, text if now.tokens == before.tokens else None, _mean(moved, [1] * len(moved)), same)


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def _passage(ask: Ask, served: str, passage: str) -> list[float]:
    body = {"model": served, "prompt": passage, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    return _nats(ask("/v1/completions", body)["choices"][0].get("prompt_logprobs"))


def _answer(ask: Ask, served: str, question: str, tokens: int) -> str:
    messages = [{"role": "user", "content": question}]
    body = {"model": served, "messages": messages, "max_tokens": tokens, "temperature": 0}
    return ask("/v1/chat/completions", body)["choices"][0]["message"].get("content") or ""


def _score_answer(ask: Ask, served: str, question: str, answer: str) -> float:
    asked = {"role": "user", "content": question}
    once = {"model": served, "max_tokens": 1, "temperature": 0}
    before = ask("/v1/chat/completions", once | {"messages": [asked]})["usage"]["prompt_tokens"]
    continued = {"add_generation_prompt": False, "continue_final_message": True, "prompt_logprobs": 0}
    messages = [asked, {"role": "assistant", "content": answer}]
    found = ask("/v1/chat/completions", once | continued | {"messages": messages})
    nats = _nats(found.get("prompt_logprobs"))[before - 1 :]
    return sum(nats) / len(nats) if nats else 0.0


def _nats(logprobs: Any) -> list[float]:
    """-ln p of each token after the first."""
    if not isinstance(logprobs, list) or len(logprobs) < 2:
        raise EngineError("the engine gives no prompt_logprobs; only vLLM is known to")
    found = [-float(next(iter(token.values()))["logprob"]) for token in logprobs[1:]]
    if not all(map(math.isfinite, found)):
        raise EngineError("the engine gives a token no probability at all: its weights or its cache are broken")
    return found


def questions() -> Questions:
    """Those of the catalog."""
    read = catalog.read("quality.yaml")
    return Questions(tuple(read["text"]), tuple(read["questions"]), read["answer_tokens"])


def records(model: str) -> list[QualityRun]:
    """All runs of `model` that were kept, oldest first."""
    found = catalog.read("quality.yaml")["records"] or []
    return [read(one) for one in found if one["model"] == model]


def read(kept: dict[str, Any]) -> QualityRun:
    """A record as it stands in the catalog."""
    words = {name: str(kept[name]) for name in ("date", "model", "engine", "weights", "kv_cache")}
    rows = {name: tuple(kept[name]) for name in ("text", "tokens", "answers", "answer_nats")}
    return QualityRun(**words, **rows)  # type: ignore[arg-type]


def nearest(now: QualityRun, known: Sequence[QualityRun]) -> QualityRun | None:
    """What to compare with: the last record of the same precision, else the last of unquantised weights and cache."""
    same = [one for one in known if (one.weights, one.kv_cache) == (now.weights, now.kv_cache)]
    plain = [one for one in known if (one.weights, one.kv_cache) == ("bf16", "auto")]
    return next(iter([*reversed(same), *reversed(plain), *reversed(known)]), None)


def keep(run: QualityRun, path: Path | None = None) -> Path:
    """Append it to the catalog's file; its path."""
    path = path or catalog.quality_file()
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(run).items()}
    text = yaml.safe_dump([plain], sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    with path.open("a", encoding="utf-8") as file:
        file.write(textwrap.indent(text, "  "))
    return path
