"""The cost of a request as one number, which fairness, work limits and routing use."""

from __future__ import annotations

# A prompt token is read in a batch of thousands, an output token takes a step of its own: VTC charges 1 : 2,
# measured on older engines; chunked prefill makes prompts cheaper still.
OUTPUT_WEIGHT = 4.0


def cost(prompt_tokens: float, output_tokens: float) -> float:
    """Service of one request, in prompt-token equivalents."""
    return prompt_tokens + OUTPUT_WEIGHT * output_tokens
