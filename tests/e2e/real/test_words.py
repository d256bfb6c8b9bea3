"""What depends on words: stop strings, logprobs, several answers, seeds, letters of several tokens, and their count."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.e2e.real.served import NAME, Real, ask, events_of, prompt_of, text_of

pytestmark = [pytest.mark.engine]

SKY = "Why is the sky blue?"
LETTERS = "👩‍👩‍👧 你好, naïve 😀 здравствуй 日本語"


def test_it_answers_in_english(real: Real) -> None:
    with real.openai() as sdk:
        said = sdk.chat.completions.create(**ask(SKY)).choices[0].message.content or ""
    assert {"the", "sky", "blue"} <= set(said.lower().replace(",", " ").split()), said


def test_a_stop_string_ends_the_answer_before_it(real: Real) -> None:
    with real.openai() as sdk:
        free = sdk.chat.completions.create(**ask(SKY)).choices[0].message.content or ""
        stop = free[20:29]  # from the middle of a word into the middle of another: of several tokens, and of parts
        ends = free.index(stop)
        for more, expected in (({}, free[:ends]), ({"include_stop_str_in_output": True}, free[: ends + len(stop)])):
            asked = ask(SKY, stop=["never said", stop], extra_body=more)
            whole = sdk.chat.completions.create(**asked).choices[0]
            chunks = list(sdk.chat.completions.create(**asked, stream=True))
            assert (whole.message.content, whole.finish_reason) == (expected, "stop")
            assert text_of(chunks) == expected, "nothing of it was let out before it was known"
    with real.ollama() as ollama:
        asked_there = ask(SKY)["messages"]
        said = ollama.chat(NAME, asked_there, options={"temperature": 0, "num_predict": 60, "stop": [stop]})
    assert (said.message.content, said.done_reason) == (free[:ends], "stop")


def test_logprobs_are_those_of_the_words(real: Real) -> None:
    asked = ask(SKY, logprobs=True, top_logprobs=3, max_tokens=20)
    with real.openai() as sdk:
        whole = sdk.chat.completions.create(**asked).choices[0]
        chunks = list(sdk.chat.completions.create(**asked, stream=True))
    assert whole.logprobs and whole.logprobs.content
    tokens = whole.logprobs.content
    assert len(tokens) == 20 and "".join(one.token for one in tokens) == whole.message.content
    for one in tokens:
        assert b"".join(bytes(other.bytes or []) for other in [one]).decode() == one.token
        assert one.top_logprobs[0].token == one.token, "greedy: the likeliest"
        sizes = [other.logprob for other in one.top_logprobs]
        assert sizes == sorted(sizes, reverse=True) and sum(map(math.exp, sizes)) <= 1.001
    streamed = [
        one for chunk in chunks for choice in chunk.choices if choice.logprobs for one in choice.logprobs.content or []
    ]
    assert [one.token for one in streamed] == [one.token for one in tokens]
    assert [one.logprob for one in streamed] == pytest.approx([one.logprob for one in tokens], abs=0.05)


def test_several_answers_at_once(real: Real) -> None:
    asked = ask("Tell me a story of a fox.", n=3, temperature=1.0, seed=5, max_tokens=24)
    with real.openai() as sdk:
        whole = sdk.chat.completions.create(**asked)
        chunks = list(sdk.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    said = {choice.index: choice.message.content for choice in whole.choices}
    assert sorted(said) == [0, 1, 2] and len(set(said.values())) == 3
    for index, text in said.items():
        of_it = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].index == index]
        assert text_of(of_it) == text
    assert whole.usage and chunks[-1].usage
    assert whole.usage.completion_tokens == chunks[-1].usage.completion_tokens <= 72
    assert whole.usage.prompt_tokens == real.tokens(prompt_of(("system", "You answer in one sentence."),
                                                              ("user", "Tell me a story of a fox.")))  # fmt: skip


def test_a_seed_says_the_same_again_whoever_else_is_served(real: Real) -> None:
    def said(seed: int | None, **more: Any) -> str:
        answer = sdk.chat.completions.create(
            **ask("Tell me a story of a fox.", temperature=1.0, seed=seed, max_tokens=24, **more)
        )
        return answer.choices[0].message.content or ""

    with real.openai() as sdk:
        first = said(7)
        assert said(7) == first
        assert said(8) != first
        other = sdk.chat.completions.create(**ask("Count to one hundred.", max_tokens=300), stream=True)
        next(iter(other))
        beside = said(7)
        other.close()
    assert beside == first


def test_usage_is_the_tokenizers_own_count(real: Real) -> None:
    """Of prompts and answers, in each API, and so in the gateway's books."""
    messages = [("system", "You answer in one sentence."), ("user", f"{SKY} {LETTERS}")]
    prompt = real.tokens(prompt_of(*messages))
    before = real.gateway.tokens()
    with real.openai() as sdk:
        openai = sdk.chat.completions.create(**ask(messages[1][1]))
        raw = sdk.completions.create(model=NAME, prompt=LETTERS, max_tokens=9, temperature=0)
    content, usage = openai.choices[0].message.content or "", openai.usage
    assert usage and raw.usage
    ended = 1 if openai.choices[0].finish_reason == "stop" else 0  # <|im_end|>, which is no text
    answer = real.tokens(content) + ended
    assert (usage.prompt_tokens, usage.completion_tokens) == (prompt, answer)
    assert (raw.usage.prompt_tokens, raw.usage.completion_tokens) == (real.tokens(LETTERS), 9)
    with real.ollama() as ollama:
        there = ollama.chat(NAME, ask(messages[1][1])["messages"], options={"temperature": 0, "num_predict": 60})
    assert (there.prompt_eval_count, there.eval_count, there.message.content) == (prompt, answer, content)
    with real.anthropic() as anthropic:
        said: Any = [{"role": "user", "content": messages[1][1]}]
        system, greedy = messages[0][1], {"temperature": 0}
        one = anthropic.messages.create(model=NAME, max_tokens=60, system=system, messages=said, extra_body=greedy)
        counted = anthropic.messages.count_tokens(model=NAME, system=system, messages=said).input_tokens
    cached = one.usage.cache_read_input_tokens or 0
    assert (one.usage.input_tokens + cached, counted, one.usage.output_tokens) == (prompt, prompt, answer)
    after = real.gateway.tokens()
    assert after["prompt"] - before["prompt"] == 3 * prompt + real.tokens(LETTERS)
    assert after["completion"] - before["completion"] == 3 * answer + 9


def test_letters_of_several_tokens_are_never_cut(real: Real) -> None:
    """The model has to write them; each piece of a stream is whole letters, in every API."""
    assert real.tokens(LETTERS) > 2 * len(LETTERS.split())
    forced: dict[str, Any] = {"structured_outputs": {"choice": [LETTERS]}}
    with real.openai() as sdk:
        whole = sdk.chat.completions.create(**ask("Repeat.", extra_body=forced)).choices[0].message.content
        pieces = [
            choice.delta.content or ""
            for chunk in sdk.chat.completions.create(**ask("Repeat.", extra_body=forced), stream=True)
            for choice in chunk.choices
        ]
    assert whole == "".join(pieces) == LETTERS
    assert len(pieces) > 10 and "\ufffd" not in "".join(pieces)
    schema = {"type": "string", "enum": [LETTERS]}
    with real.ollama() as ollama:
        parts = ollama.chat(NAME, ask("Repeat.")["messages"], format=schema, stream=True)
        said = [part.message.content or "" for part in parts]
    assert "".join(said).strip('"') == LETTERS and "\ufffd" not in "".join(said)


def test_a_prompt_of_any_letters_comes_back_as_it_was(real: Real) -> None:
    with real.gateway.client(60) as client:
        body = {"model": NAME, "prompt": LETTERS, "max_tokens": 3, "echo": True, "temperature": 0, "stream": True}
        with client.stream("POST", "/v1/completions", json=body) as stream:
            text = "".join(event["choices"][0]["text"] for event in events_of(stream) if event["choices"])
    assert text.startswith(LETTERS)
