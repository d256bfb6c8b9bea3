"""Reads from the engine's log what it is doing while it starts (vLLM 0.32's wording)."""

from __future__ import annotations

import re

# In the order vLLM passes through them; the last one found is where it is.
STAGES = (
    ("Initializing a V1 LLM engine", "starting the engine core"),
    ("Starting to load model", "loading weights"),
    ("Loading weights took", "weights are loaded"),
    ("Dynamo bytecode transform", "compiling the model (slow the first time, then from its cache)"),
    ("Warming up model for the compilation", "compiling the model (slow the first time, then from its cache)"),
    ("Directly load the compiled graph", "loading the compiled model from the cache"),
    ("loaded AOT compiled function", "loading the compiled model from the cache"),
    ("Warming up done", "model is compiled"),
    ("KV cache size", "KV cache is laid out"),
    ("Capturing CUDA graphs", "capturing CUDA graphs"),
    ("init engine (profile", "engine is initialised"),
    ("Starting vLLM server", "opening the API port"),
    ("Application startup complete", "API server is up"),
)


def stage(log: list[str]) -> str | None:
    """The stage the engine has reached, in words; None when the log says nothing yet."""
    reached = None
    furthest = -1
    for line in log:
        for place, (mark, words) in enumerate(STAGES):
            if place > furthest and mark in line:
                furthest, reached = place, words
    return reached


# An exception's own line, with or without vLLM's "(EngineCore pid=1) ERROR 11-23 15:12:23 [core.py:1510] " before it.
_EXCEPTION = re.compile(r"^(?:\(.*?\) ERROR \S+ \S+ \[.*?\] )?((?:\w+\.)*\w*(?:Error|Exception): .+)$")


def cause(log: list[str]) -> str | None:
    """The first exception the log tells of: the engine's processes fail in turn, and the last says little."""
    for line in log:
        found = _EXCEPTION.match(line.rstrip())
        if found:
            return found.group(1)
    return None
