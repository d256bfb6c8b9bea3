"""The joined table as text, CSV and page."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from loadtest.cli.commands import main
from loadtest.report import multi_view
from loadtest.report.document import write_json
from loadtest.report.multi import joined
from tests.loadtest.reports import Side, make

SMALL = {**make([Side(model="org/Small")], users=(1, 50)), "meta": {"kv_tokens_reported": 120448}}
LARGE = {**make([Side(model="org/Large", lag_ms=9, memory_gib=None)], users=(1,)), "meta": {"kv_tokens_planned": 900}}


def rows(text: str) -> list[list[str]]:
    """The cells of each line of the table, cut where the rule has its dashes."""
    lines = text.split("\n\n")[0].splitlines()
    places = [match.span() for match in re.finditer("-+", lines[1])]
    return [[line[start:end].strip() for start, end in places] for line in lines if line[0] not in "*!"]


def test_the_text_has_a_model_once_and_a_row_for_each_stage() -> None:
    text = multi_view.text(joined({"small": SMALL, "large": LARGE}))
    head, _, one, fifty, late = rows(text)
    assert head == ["model", *multi_view.HEADINGS]
    assert [one[0], fifty[0], late[0]] == ["org/Small", "", "org/Large"]
    assert [one[1], fifty[1], late[1]] == ["1", "50", "1!"]
    assert (one[6], late[6]) == ("2.0 GiB", "–")
    assert fifty[7] == "100 % of 120,448" and late[7] == "3.0 % of 900 planned"
    assert (one[8], one[9]) == ("0", "0")
    assert "! not to be believed, see the verdict" in text and "* stopped" not in text
    assert "verdict of large: The client was too slow to be believed." in text
    assert "knee of org/Small: not known" in text
    assert max(map(len, text.split("\n\n")[0].splitlines())) <= 120


def test_servers_stand_beside_a_model_only_where_it_has_several() -> None:
    found = joined({"mon": SMALL, "tue": SMALL})
    assert [row[:3] for row in rows(multi_view.text(found))[2:]] == [
        ["org/Small", "mon", "1"], ["", "", "50"], ["", "tue", "1"], ["", "", "50"],
    ]  # fmt: skip


def test_the_csv_has_numbers_and_empty_cells() -> None:
    made = list(csv.DictReader(multi_view.as_csv(joined({"small": SMALL, "large": LARGE})).splitlines()))
    assert [(row["model"], row["users"], row["kv_tokens_are"]) for row in made] == [
        ("org/Small", "1", "reported"), ("org/Small", "50", "reported"), ("org/Large", "1", "planned"),
    ]  # fmt: skip
    assert made[2]["memory_peak_bytes"] == "" and float(made[0]["ttft_p50_ms"]) > 0


def test_the_page_has_every_row_and_fetches_nothing() -> None:
    evil = {**make([Side(model="<script>alert(1)</script>")], users=(1,))}
    page = multi_view.as_html(joined({"small": SMALL, "evil": evil}))
    assert page.count("<tr>") == 1 + 3 and "120,448" in page
    assert "<script" not in page and "http" not in page.split("</style>")[1] and "&lt;script&gt;" in page


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Two reports: one in a folder, one as a file of another name."""
    (tmp_path / "small").mkdir()
    write_json(SMALL, tmp_path / "small")
    (tmp_path / "large.json").write_text(json.dumps(LARGE))
    return [str(tmp_path / "small"), str(tmp_path / "large.json")]


def test_the_command_prints_and_writes_and_ends_as_the_worst_report(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html, table = tmp_path / "out.html", tmp_path / "out.csv"
    assert main(["table", *folders, "--html", str(html), "--csv", str(table)]) == 3
    said = capsys.readouterr().out
    assert "verdict of small: Ran clean" in said and "verdict of large: The client was too slow" in said
    assert html.read_text().startswith("<!doctype html>") and table.read_text().startswith("model,server,report,")
    assert main(["table", folders[0], "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["schema"] == "fullbatch.table/1" and [row["users"] for row in made["rows"]] == [1, 50]


def test_what_cannot_be_joined_is_one_line(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    gone = f"{folders[0]}-gone"
    for words, told in (
        ([folders[0], folders[0]], f"the report {folders[0]} is named twice; name it once"),
        ([folders[0], gone], f"{gone}/report.json: No such file or directory"),
        ([folders[0], "--html", f"{gone}/a"], f"{gone}/a: no such file or directory; choose another --out"),
    ):
        assert main(["table", *words]) == 2
        assert capsys.readouterr() == ("", f"loadtest: {told}\n")


def test_the_reasons_stand_under_the_verdict_that_they_are_of() -> None:
    invalid, clean = make([Side(lag_ms=500)], users=(1, 2)), make(users=(1, 2))
    lines = multi_view.text(joined({"bad": invalid, "good": clean})).splitlines()
    at = {
        name: lines.index(next(line for line in lines if line.startswith(f"verdict of {name}")))
        for name in ("bad", "good")
    }
    reasons = [number for number, line in enumerate(lines) if line.startswith("  - ")]
    assert reasons and all(at["bad"] < number < at["good"] for number in reasons)
