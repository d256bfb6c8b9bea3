"""Reads batch and KV use over a run's time from Prometheus, for engines that were not sampled."""

from __future__ import annotations

import http.client
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from loadtest.analysis.points import side_names
from loadtest.core.errors import ServerProblem, UsageProblem

_TIMEOUT_S = 30.0
_POINTS = 600  # at most, over the whole run; the API refuses more than 11,000
# Sums over engines, of the KV shares the highest: as loadtest/engines/sampling.py does with its own samples.
_QUERIES = {
    "running": "sum(vllm:num_requests_running)",
    "waiting": "sum(vllm:num_requests_waiting)",
    "kv_usage": "max(vllm:kv_cache_usage_perc)",
    "generation_tokens": "sum(vllm:generation_tokens_total)",
    "preemptions": "sum(vllm:num_preemptions_total)",
}
_NOT_ASKED = ("prefix_queries", "prefix_hits", "memory_bytes")


def sampled(report: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The report with a side's series from Prometheus in the place of its own.

    `where`: the address, or SIDE=ADDRESS where the run has several sides. ServerProblem when Prometheus does not
    answer, UsageProblem when it knows nothing of that time.
    """
    side, url = _split(where, side_names(report))
    begin = datetime.fromisoformat(report["started_at"]).timestamp()
    end = begin + max((stage["end_s"] for stage in report["stages"]), default=0.0)
    step = max(1.0, math.ceil((end - begin) / _POINTS))
    series = {name: _range(url, query, (begin, end, step)) for name, query in _QUERIES.items()}
    moments = sorted({at for values in series.values() for at in values})
    if not moments:
        raise UsageProblem(
            f"--prometheus {url}: no vLLM series for the time of this run; give the one that watched these engines"
        )
    blank = dict.fromkeys((*_QUERIES, *_NOT_ASKED))
    taken = [
        {**blank, "at_s": at - begin, "side": side, **{name: values.get(at) for name, values in series.items()}}
        for at in moments
    ]
    return {**report, "samples": [s for s in report["samples"] if s["side"] != side] + taken}


def _split(where: str, sides: list[str]) -> tuple[str, str]:
    side, equals, url = where.partition("=")
    if not equals or "/" in side:
        if len(sides) > 1:
            raise UsageProblem(f"--prometheus {where}: name the side it belongs to: SIDE=ADDRESS ({', '.join(sides)})")
        side, url = sides[0], where
    if side not in sides:
        raise UsageProblem(f"--prometheus {where}: no side '{side}' (there are {', '.join(sides)})")
    if not url.startswith(("http://", "https://")):
        raise UsageProblem(f"--prometheus {where}: write an address such as http://127.0.0.1:9090")
    return side, url.rstrip("/")


def _range(url: str, query: str, when: tuple[float, float, float]) -> dict[float, float]:
    """Unix seconds -> value. Only the first series: every query is an aggregate and has one or none."""
    start, end, step = when
    asked = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": step})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query_range?{asked}", timeout=_TIMEOUT_S) as response:
            results = json.load(response)["data"]["result"]
        pairs = results[0]["values"] if results else []
        return {float(at): float(value) for at, value in pairs if math.isfinite(float(value))}
    except urllib.error.HTTPError as error:
        with error:
            raise ServerProblem(f"--prometheus {url}: HTTP {error.code} for {query}") from error
    except (OSError, http.client.HTTPException) as error:
        raise ServerProblem(f"--prometheus {url}: cannot be reached: {' '.join(str(error).split())}") from error
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ServerProblem(
            f"--prometheus {url}: the answer is not Prometheus' ({error!r}); give the address of a Prometheus"
        ) from error
