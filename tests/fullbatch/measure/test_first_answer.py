"""The question of the demo, at a server of OpenAI's API that says what the test has written down."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.chat.refusals import NoAnswer
from fullbatch.chat.screen import Screen
from fullbatch.measure import first_answer
from fullbatch.planning.plan import Plan
from tests.fullbatch.chat.scripted import delta, end, scripted, text


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "api_keys"
    path.write_text("fb-secret first\n", encoding="utf-8")
    return path


def test_the_answer_is_shown_word_by_word_with_figures_beneath(key_file: Path, plan_of: Callable[[str], Plan]) -> None:
    out, said = io.StringIO(), list[str]()
    with scripted() as server:
        server.answers = [text("Light", " scatters", ".")]
        screen = Screen(out, terminal=True, styled=False)
        first_answer.ask(server.url, key_file, plan_of("cpu-smollm2"), screen, said.append)
        (body,) = server.asked
    assert said == ["asking SmolLM2-135M-Instruct: Why is the sky blue?"]
    assert (body["stream"], body["temperature"], body["model"]) == (True, 0, "SmolLM2-135M-Instruct")
    answer, _, figures = out.getvalue().strip().partition("\n\n")
    assert answer == "Light scatters."
    assert figures.startswith("(first token ") and " tokens/s" in figures and figures.endswith("7 + 5 tokens)")


def test_an_answer_that_was_cut_says_so_and_nothing_of_a_conversation(
    key_file: Path, plan_of: Callable[[str], Plan]
) -> None:
    out = io.StringIO()
    with scripted() as server:
        server.answers = [[delta(content="Light"), *end("length")]]
        screen = Screen(out, terminal=True, styled=False)
        first_answer.ask(server.url, key_file, plan_of("cpu-smollm2"), screen, lambda _text: None)
    assert out.getvalue().rstrip().endswith("7 + 5 tokens · cut at 96 tokens)")


def test_a_refusal_is_an_error_of_one_line(key_file: Path, plan_of: Callable[[str], Plan]) -> None:
    with scripted() as server:
        server.answers = [(503, '{"error": {"message": "no engine is up"}}', {})]
        with pytest.raises(NoAnswer, match="no engine is up"):
            screen = Screen(io.StringIO(), terminal=True, styled=False)
            first_answer.ask(server.url, key_file, plan_of("cpu-smollm2"), screen, lambda _text: None)
