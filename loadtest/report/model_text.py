"""The lines of a run about each of several models, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loadtest.report import text_table


def model_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """A line for each model of each stage; none where a run asked one."""
    several = len(report["sides"]) > 1
    for stage in report["stages"]:
        for model, client in stage.get("by_model", {}).items():
            where = f"{stage['side']}, {stage['label']}" if several else stage["label"]
            failed = sum(client["failures"].values())
            rate = text_table.number(client["output_tokens_per_s"], 1)
            yield (
                f"{where}: {model}: {client['requests']} requests, {failed} failed, {rate} tok/s, "
                f"TTFT {text_table.pair(client['ttft_ms'])}, ITL {text_table.pair(client['itl_ms'])}"
            )
