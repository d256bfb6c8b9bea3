"""What an engine would do with a load, by discrete events: no engine, no card and no clock is needed.

vLLM's scheduler (chunked prefill, a step's tokens and seats, blocks of the KV cache, preemption) over a model of how
long a step takes. docs/decisions/0036-simulation.md has the decision, and its errors against real engines.
"""
