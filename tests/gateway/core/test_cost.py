"""What a request costs an engine, in one number."""

from __future__ import annotations

from gateway.core.cost import cost


def test_output_tokens_cost_more_than_prompt_tokens() -> None:
    assert cost(0, 100) > cost(100, 0) > 0


def test_the_cost_of_two_requests_is_the_sum_of_theirs() -> None:
    assert cost(30, 5) + cost(70, 15) == cost(100, 20)
