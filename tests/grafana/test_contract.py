"""Panels name only what the recorded expositions and the recording rules hold."""

import pytest

from grafana import queries
from grafana.dashboards import ALL
from grafana.queries import Query
from tests.prometheus.exposition import Series, known_series
from tests.prometheus.promql import REMOVED_FROM_VLLM, complaints, rules, substituted

QUERIES = [
    pytest.param(query, id=f"{board.uid}-{panel.title}-{query.legend}")
    for board in ALL
    for panel in board.panels()
    for query in panel.queries
]


@pytest.fixture(scope="module")
def known() -> dict[str, Series]:
    return known_series({name: rule["expr"] for name, rule in rules("record").items()})


@pytest.mark.parametrize("query", QUERIES)
def test_query_names_only_what_is_exposed(query: Query, known: dict[str, Series]) -> None:
    assert complaints(substituted(query.expr), known) == []


@pytest.mark.parametrize("query", QUERIES)
def test_query_uses_no_name_that_vllm_removed(query: Query) -> None:
    assert not REMOVED_FROM_VLLM.search(query.expr)


def test_annotation_names_only_what_is_exposed(known: dict[str, Series]) -> None:
    assert complaints(substituted(queries.ENGINE_STARTS), known) == []


def test_every_query_that_is_written_is_drawn() -> None:
    drawn = {query.expr for board in ALL for panel in board.panels() for query in panel.queries}
    written = {name: value for name, value in vars(queries).items() if isinstance(value, Query)}
    assert [name for name, query in written.items() if query.expr not in drawn] == []
