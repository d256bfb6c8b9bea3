"""The engines' series from Prometheus: shaped like samples, and refused in a line."""

from __future__ import annotations

import json

import pytest

from loadtest.core.errors import LoadtestError, ServerProblem, UsageProblem
from loadtest.report import html_page
from loadtest.report.prometheus_range import sampled
from tests.loadtest.reports import Side, make
from tests.loadtest.scripted import json_answer, scripted

BEGIN = 1795392000  # the start of every made report, 2026-11-23T00:00:00Z


def matrix(*values: tuple[float, str]) -> bytes:
    result = [{"metric": {}, "values": [list(pair) for pair in values]}] if values else []
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return json_answer("200 OK", json.dumps(body).encode())


def test_series_become_samples_of_the_run_s_time() -> None:
    with scripted(matrix((BEGIN, "0.5"), (BEGIN + 1, "NaN"), (BEGIN + 2, "0.25"))) as url:
        content = sampled(make(users=(1, 5)), url)
    assert [(s["at_s"], s["running"], s["kv_usage"], s["memory_bytes"]) for s in content["samples"]] == [
        (0, 0.5, 0.5, None), (2, 0.25, 0.25, None),
    ]  # fmt: skip
    html = html_page.render(content)
    assert "KV cache: 50 % at 0 s" in html and "give --pid" in html


def test_only_the_named_side_is_replaced() -> None:
    content = make([Side("a"), Side("b")], users=(1,))
    with scripted(matrix((BEGIN, "3"))) as url:
        changed = sampled(content, f"b={url}")
    assert [s["running"] for s in changed["samples"] if s["side"] == "b"] == [3]
    assert sum(s["side"] == "a" for s in changed["samples"]) == 12


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (matrix(), UsageProblem, "no vLLM series for the time of this run"),
        (json_answer("400 Bad Request", b"{}"), ServerProblem, "HTTP 400"),
        (json_answer("200 OK", b"<html>"), ServerProblem, "not Prometheus'"),
        (json_answer("200 OK", b'{"data": 7}'), ServerProblem, "not Prometheus'"),
        (b"nonsense\r\n\r\n", ServerProblem, "cannot be reached"),
    ],
)
def test_a_wrong_answer_is_told_in_a_line(answer: bytes, kind: type[LoadtestError], told: str) -> None:
    with scripted(answer) as url, pytest.raises(kind) as problem:
        sampled(make(users=(1,)), url)
    assert told in str(problem.value) and "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("where", "told"),
    [("http://x", "name the side it belongs to"), ("c=http://x", "no side 'c'"), ("a=x:9090", "an address such as")],
)
def test_a_wrong_option_is_told_in_a_line(where: str, told: str) -> None:
    with pytest.raises(UsageProblem) as problem:
        sampled(make([Side("a"), Side("b")], users=(1,)), where)
    assert told in str(problem.value)


def test_a_prometheus_that_is_down_is_told(free_port: object) -> None:
    assert callable(free_port)
    with pytest.raises(ServerProblem, match="cannot be reached"):
        sampled(make(users=(1,)), f"http://127.0.0.1:{free_port()}")
