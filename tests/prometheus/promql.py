"""What a PromQL expression refers to, read from its syntax tree."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from tests.prometheus.exposition import Series

PROMETHEUS = Path(__file__).parents[2] / "prometheus"

REMOVED_FROM_VLLM = re.compile(
    r"vllm:(gpu_cache_usage_perc|cpu_cache_usage_perc|gpu_prefix_cache_\w+|cpu_prefix_cache_\w+|num_requests_swapped"
    r"|time_per_output_token_seconds\w*|time_in_queue_requests\w*|model_(forward|execute)_time_milliseconds\w*"
    r"|avg_(prompt|generation)_throughput_toks_per_s|tokens_total|request_params_best_of\w*"
    r"|spec_decode_(draft_acceptance_rate|efficiency|num_emitted_tokens_total))\b"
)


def substituted(expr: str, deployment: str = "test", rate_interval: str = "4s") -> str:
    """As Grafana does before it asks Prometheus."""
    expr = expr.replace("$__rate_interval", rate_interval).replace("$__range", "1m")
    expr = expr.replace("$deployment", deployment).replace("$model", ".*")
    assert "$" not in expr, f"a variable that nothing fills in: {expr}"
    return expr


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """All rules of `kind` ("record" or "alert") by name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((PROMETHEUS / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if kind in rule:
                    assert rule[kind] not in found, f"{rule[kind]} is defined twice"
                    found[rule[kind]] = rule
    return found


def selectors(expr: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name, f"a selector without a metric name: {node.prettify()}"
            found.append(node)

    promql_parser.walk(promql_parser.parse(expr), visit)
    return found


def groupings(expr: str) -> Iterator[tuple[list[str], list[promql_parser.VectorSelector]]]:
    """Labels of every `by (...)`, with the selectors it groups."""
    found: list[tuple[list[str], list[promql_parser.VectorSelector]]] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            found.append((list(node.modifier.labels), selectors(node.prettify())))

    promql_parser.walk(promql_parser.parse(expr), visit)
    yield from found


def complaints(expr: str, known: Mapping[str, Series]) -> list[str]:
    """One line per metric, label or label value that `expr` names and nothing exposes."""
    found = []
    for selector in selectors(expr):
        series = known.get(selector.name or "")
        if series is None:
            found.append(f"{selector.name}: no such series")
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in series.label_names():
                found.append(f"{selector.name}: no label {matcher.name}")
            elif matcher.name not in series.free and not _matches(matcher, series.labels[matcher.name]):
                found.append(f"{selector.name}: {matcher.name}={matcher.value!r} was never seen")
    for labels, grouped in groupings(expr):
        found += [
            f"{selector.name}: grouped by {label}, which it does not have"
            for selector in grouped
            if (series := known.get(selector.name or ""))
            for label in labels
            if label not in series.label_names()
        ]
    return found


def _matches(matcher: promql_parser.Matcher, values: set[str]) -> bool:
    if matcher.op == promql_parser.MatchOp.Equal:
        return matcher.value in values
    if matcher.op != promql_parser.MatchOp.Re:
        return True  # what is left out need never have been seen
    return any(re.fullmatch(matcher.value, value) for value in values)
