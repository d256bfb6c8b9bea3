"""Panels name only what the recorded expositions and the recording rules hold."""

import re

import pytest

from grafana.dashboards import ALL
from grafana.queries import common, engine, gateway, hardware
from grafana.query import Query, of_model
from tests.prometheus.exposition import Series, known_series
from tests.prometheus.promql import REMOVED_FROM_VLLM, complaints, rules, selectors, substituted

ALL_QUERIES = [query for board in ALL for panel in board.panels() for query in panel.queries]
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


@pytest.mark.parametrize("expr", [common.ENGINE_STARTS, common.STAGE_STARTS])
def test_annotation_names_only_what_is_exposed(expr: str, known: dict[str, Series]) -> None:
    assert complaints(substituted(expr), known) == []


@pytest.mark.parametrize("variable", [common.DEPLOYMENTS, common.MODELS])
def test_variable_asks_for_a_label_that_its_series_has(variable: str, known: dict[str, Series]) -> None:
    asked = re.fullmatch(r"label_values\((.+), (\w+)\)", substituted(variable))
    assert asked
    assert complaints(asked[1], known) == []
    assert [one.name for one in selectors(asked[1]) if asked[2] not in known[one.name or ""].label_names()] == []


def test_what_is_counted_by_model_is_narrowed_by_model(known: dict[str, Series]) -> None:
    label = {"vllm": "model_name", "gate": "model"}
    drawn = {
        s.name or ""
        for query in ALL_QUERIES
        for s in selectors(substituted(query.expr))
        if ":" not in (s.name or "")[5:]
    }
    ours = {name for name in drawn if name[:4] in label}
    assert len(ours) > 40
    assert [name for name in ours if (label[name[:4]] in known[name].labels) != bool(of_model(name))] == []


def test_every_query_that_is_written_is_drawn() -> None:
    drawn = {query.expr for query in ALL_QUERIES}
    for module in (common, engine, gateway, hardware):
        found = [
            (name, one) for name, value in vars(module).items() for one in (value if type(value) is tuple else [value])
        ]
        written = [(name, one) for name, one in found if isinstance(one, Query)]
        assert [name for name, query in written if query.expr not in drawn] == [], module.__name__
