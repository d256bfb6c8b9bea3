"""What the engine keeps and lets go: the beginning of a conversation, and the place of an answer that nobody wants."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.real.served import NAME, Real, label, prompt_of
from tests.waiting import wait_for, wait_until

pytestmark = [pytest.mark.engine]

# Longer than a block of the CPU engine's cache.
SYSTEM = "You are the keeper of a lighthouse. " + " ".join(
    f"Rule {number}: a ship of class {number} is greeted with {number} flashes." for number in range(1, 30)
)
QUESTIONS = ("How is a ship of class 7 greeted?", "And one of class 9?", "Why?")


def test_each_turn_finds_in_the_cache_what_was_said_before_to_the_block(real: Real) -> None:
    block = int(label(real.engine.get("/metrics"), "block_size"))
    messages: list[tuple[str, str]] = [("system", SYSTEM)]
    known = 0  # tokens of this conversation that the engine has computed
    cached_at_gateway = real.gateway.tokens()["cached_prompt"]
    all_cached = 0
    with real.openai() as sdk:
        for question in QUESTIONS:
            messages.append(("user", question))
            prompt = real.tokens(prompt_of(*messages))
            hits, queries = real.counted("prefix_cache_hits"), real.counted("prefix_cache_queries")
            answer = sdk.chat.completions.create(
                model=NAME, temperature=0, max_tokens=40,
                messages=[{"role": role, "content": text} for role, text in messages],  # type: ignore[misc]
            )  # fmt: skip
            usage = answer.usage
            assert usage and usage.prompt_tokens == prompt
            expected = min(known, prompt - 1) // block * block
            details = usage.prompt_tokens_details
            assert ((details.cached_tokens or 0) if details else 0) == expected, (known, prompt, block)
            assert real.counted("prefix_cache_hits") - hits == expected
            assert real.counted("prefix_cache_queries") - queries == prompt
            all_cached += expected
            text = answer.choices[0].message.content or ""
            messages.append(("assistant", text))
            known = prompt + real.tokens(text)
    assert all_cached > 0
    assert real.gateway.tokens()["cached_prompt"] - cached_at_gateway == all_cached


def test_leaving_in_the_middle_of_a_sentence_ends_the_work_on_it(real: Real) -> None:
    asked: dict[str, Any] = {
        "model": NAME, "temperature": 0, "max_tokens": 3000, "stream": True,
        "messages": [{"role": "user", "content": "Tell me a long story of a fox."}],
        "extra_body": {"ignore_eos": True},
    }  # fmt: skip
    before = real.counted("generation_tokens")
    with real.openai() as sdk:
        stream = sdk.chat.completions.create(**asked)
        said = ""
        for chunk in stream:
            said += chunk.choices[0].delta.content or ""
            if len(said.split()) > 8 and not said.rstrip().endswith((".", "!", "?")):
                break
        assert real.engine.running() == 1
        stream.close()
    took = wait_until(lambda: real.engine.running() == 0, 5, "an engine that stops for a client that has left")
    assert real.engine.metric("kv_cache_usage_perc") == 0
    made = real.counted("generation_tokens") - before
    assert real.tokens(said) <= made < 400, (took, made)
    wait_for(lambda: real.gateway.metric("gateway_requests_total", outcome="client_gone") >= 1, 5, "told as such")
    assert real.counted("generation_tokens") - before == made, "and no token more"
