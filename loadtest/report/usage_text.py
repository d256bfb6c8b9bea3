"""A stage's usage in words: prompt, cached and completion tokens, as the engine counted them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def usage_line(client: Mapping[str, Any]) -> str:
    """Of a stage's client numbers; empty where a report of an older version does not say."""
    usage = client.get("usage")
    if not usage:
        return ""
    if not usage["requests"]:
        return "no answer told its usage"
    cached, prompt = usage["cached_tokens"], usage["prompt_tokens"]
    share = f" ({100 * cached / prompt:.0f} %)" if cached is not None and prompt else ""
    of_cache = "cached not told" if cached is None else f"{cached:,} of them cached{share}"
    missing = client["requests"] - usage["requests"]
    without = f"; {missing} of {client['requests']} requests told none" if missing else ""
    return f"{prompt:,} prompt tokens, {of_cache}; {usage['completion_tokens']:,} completion tokens{without}"


def usage_lines(report: Mapping[str, Any]) -> str:
    """For a terminal: a line for each stage of each side and repeat, under a heading; empty where nothing is known."""
    several = len(report["sides"]) > 1
    lines = []
    for stage in report["stages"]:
        who = f"{stage['side']}, " if several else ""
        line = usage_line(stage["client"])
        if line:
            lines.append(f"  {who}{stage['label']}: {line}")
    return "\n".join(["usage, as the server counted it:", *lines]) if lines else ""
