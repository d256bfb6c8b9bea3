from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make
from fullbatch.runtime import templates
from fullbatch.runtime.compose import files
from tests.fullbatch.checkout import REPOSITORY

TRICKY = [
    "no",
    "1.10",
    "a: b",
    "on",
    "null",
    "~",
    "0x1F",
    "1e3",
    "- x",
    "#x",
    "'",
    '"',
    "{{ 7 }}",
    "a\tb",
    "é ☃",
    "<&>",
]


def _plan(**engine: Any) -> Plan:
    data = {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}, "engine": engine}
    return make("x", profile.parse(data, "x"))


def _files(plan: Plan) -> dict[str, Any]:
    found = files.files(REPOSITORY, plan)
    return {name: yaml.safe_load(text) for name, text in found.items() if name.endswith(".yaml")}


def _template(tmp_path: Path, text: str, plan: Plan | None = None) -> str:
    (tmp_path / "templates").mkdir(exist_ok=True)
    (tmp_path / "templates" / "gateway.yaml.j2").write_text(text, encoding="utf-8")
    plan = plan or _plan()
    return templates.text(tmp_path, "gateway.yaml", plan, files.addresses(plan))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a: 1\nb: {{ plan.nme | tojson }}\n", "line 2: 'fullbatch.planning.plan.Plan object' has no attribute 'nme'"),
        ("{{ nowhere }}\n", "line 1: 'nowhere' is undefined"),
        ("\n\n{{ nowhere.at.all }}\n", "line 3: 'nowhere' is undefined"),
        ("\n{{ nowhere | compose }}\n", "line 2: 'nowhere' is undefined"),
        ("{% for e in plan.engines %}\n{{ e.device_id | tojson }}\n{% endfor %}", "line 2: "),
        ("a\n{% if plan.nme %}x{% endif %}\n", "line 2: "),
        ("a\n{% for %}\n", "line 2: "),
        ("a\n{{ plan.name | nosuchfilter }}\n", "line 2: No filter named 'nosuchfilter'"),
    ],
)
def test_a_name_that_is_not_there_is_refused_with_template_and_line(
    tmp_path: Path, template: str, message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        _template(tmp_path, template)
    assert str(raised.value).startswith("templates/gateway.yaml.j2: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_template_is_named(tmp_path: Path) -> None:
    plan = _plan()
    with pytest.raises(
        UsageError, match=r"^templates/nope\.yaml\.j2: this template is missing; restore it from the repository$"
    ):
        templates.text(tmp_path, "nope.yaml", plan, files.addresses(plan))


@pytest.mark.parametrize("value", TRICKY)
def test_a_text_is_still_the_same_text_in_yaml(value: str) -> None:
    compose = _files(_plan(env={"TRICKY": value}, args={"tokenizer": value}))["compose.yaml"]
    engine = compose["services"]["engine"]
    assert engine["environment"]["TRICKY"] == value
    assert engine["command"][engine["command"].index("--tokenizer") + 1] == value


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30))
def test_any_text_survives(value: str) -> None:
    engine = _files(_plan(env={"ANY": value}))["compose.yaml"]["services"]["engine"]
    assert engine["environment"]["ANY"].replace("$$", "$") == value


def test_a_dollar_is_doubled_for_compose_only(tmp_path: Path) -> None:
    plan = _plan(env={"COST": "$5 and ${HOME}"}, args={"tokenizer": "a$b"})
    engine = _files(plan)["compose.yaml"]["services"]["engine"]
    assert engine["environment"]["COST"] == "$$5 and $${HOME}"
    assert "a$$b" in engine["command"]
    assert _template(tmp_path, "{{ '$x' | tojson }} {{ '$x' | compose }}\n") == '"$x" "$$x"\n'
