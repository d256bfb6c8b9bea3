"""Rules name only what the pinned engine and the gateway expose: a renamed metric fails here, not on a screen."""

import re

import pytest

from gateway.telemetry.metrics import OUTCOMES
from tests.prometheus.exposition import ENGINE, Series, known_series, recorded_series
from tests.prometheus.promql import PROMETHEUS, REMOVED_FROM_VLLM, complaints, rules

RECORDED = {name: rule["expr"] for name, rule in rules("record").items()}
EXPRESSIONS = RECORDED | {name: rule["expr"] for name, rule in rules("alert").items()}


@pytest.fixture(scope="module")
def known() -> dict[str, Series]:
    return known_series(RECORDED)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_rule_names_only_what_is_exposed(name: str, known: dict[str, Series]) -> None:
    assert complaints(EXPRESSIONS[name], known) == []


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_rule_uses_no_name_that_vllm_removed(name: str) -> None:
    assert not REMOVED_FROM_VLLM.search(EXPRESSIONS[name])


def test_no_removed_name_is_in_the_recording_of_the_pinned_engine() -> None:
    assert [name for name in recorded_series(ENGINE) if REMOVED_FROM_VLLM.fullmatch(name)] == []


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ("rate(vllm:num_preemptions[5m])", "vllm:num_preemptions: no such series"),
        ("vllm:num_requests_running{model='x'}", "vllm:num_requests_running: no label model"),
        (
            'vllm:request_num_preemptions_bucket{le="1"}',
            "vllm:request_num_preemptions_bucket: le='1' was never seen",
        ),
        (
            "sum by (code) (rate(vllm:generation_tokens_total[5m]))",
            "vllm:generation_tokens_total: grouped by code, which it does not have",
        ),
        (
            'vllm:request_success_total{finished_reason=~"failed|broken"}',
            "vllm:request_success_total: finished_reason='failed|broken' was never seen",
        ),
    ],
)
def test_mistakes_seen_in_published_rules_are_found(expr: str, complaint: str, known: dict[str, Series]) -> None:
    assert complaints(expr, known) == [complaint]


def test_no_file_of_ours_asks_for_a_name_that_vllm_removed() -> None:
    """Generated JSON, Python, rules and their tests alike."""
    folders = ("prometheus", "grafana", "fullbatch", "gateway", "loadtest", "templates", "rendered")
    files = [path for folder in folders for path in (PROMETHEUS.parent / folder).rglob("*") if path.is_file()]
    written = {path: path.read_text() for path in files if path.suffix in {".py", ".yaml", ".json", ".j2", ".csv"}}
    assert len(written) > 150
    assert {str(path): found[0] for path, text in written.items() if (found := REMOVED_FROM_VLLM.search(text))} == {}


@pytest.mark.parametrize("name", ["vllm:gpu_cache_usage_perc", "vllm:time_per_output_token_seconds_bucket"])
def test_removed_names_are_refused(name: str) -> None:
    assert REMOVED_FROM_VLLM.search(f"max({name})")
    assert not REMOVED_FROM_VLLM.search("vllm:request_time_per_output_token_seconds_sum")


def test_failed_outcomes_are_outcomes_of_the_gateway() -> None:
    [listed] = set(re.findall(r'outcome=~"([^"]+)"', EXPRESSIONS["deployment:gateway_errors:ratio_rate5m"]))
    assert set(listed.split("|")) <= OUTCOMES


def test_the_recording_was_made_under_load() -> None:
    series = recorded_series(ENGINE)
    assert {"stop", "length", "abort", "error"} <= series["vllm:request_success_total"].labels["finished_reason"]
    assert "capacity" in series["vllm:num_requests_waiting_by_reason"].labels["reason"]
