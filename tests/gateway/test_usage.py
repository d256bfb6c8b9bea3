"""What `python -m gateway.usage` prints."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from gateway.keys.ledger import write
from gateway.keys.store import KeyStore
from tests.gateway.harness import run, used


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    connection = KeyStore(path)
    days = {
        "2026-11-21": {("alice", "a model", True): [2, 100, 50, 20], ("bob", "tiny", True): [1, 10, 0, 5]},
        "2026-11-22": {("alice", "a model", True): [1, 7, 0, 3], ("alice", "a model", False): [1, 9, 0, 4]},
    }
    write(connection.connection, days, {})
    connection.close()
    return path


def test_p78_usage_by_key_model_and_day(store: Path) -> None:
    alice = {"requests": 4, "prompt_tokens": 116, "cached_tokens": 50, "completion_tokens": 27, "estimated": 1}
    bob = {"requests": 1, "prompt_tokens": 10, "cached_tokens": 0, "completion_tokens": 5, "estimated": 0}
    assert used(store) == [{"key": "alice"} | alice, {"key": "bob"} | bob]
    assert used(store, "--by", "model") == [{"model": "a model"} | alice, {"model": "tiny"} | bob]
    assert [line["day"] for line in used(store, "--by", "day")] == ["2026-11-21", "2026-11-22"]
    several = used(store, "--by", "model,day")
    assert [(line["model"], line["day"], line["requests"]) for line in several] == [
        ("a model", "2026-11-21", 2),
        ("a model", "2026-11-22", 2),
        ("tiny", "2026-11-21", 1),
    ]


def test_p78_since_and_until_are_days_and_included(store: Path) -> None:
    assert [line["requests"] for line in used(store, "--since", "2026-11-22")] == [2]
    assert [line["requests"] for line in used(store, "--until", "2026-11-21")] == [2, 1]
    assert used(store, "--since", "2026-11-23") == []
    assert (
        run("gateway.usage", "--store", str(store), "--since", "2030-01-01").stdout == "nothing was used in that time\n"
    )


def test_p78_a_table_for_people_and_csv_for_spreadsheets(store: Path) -> None:
    table = run("gateway.usage", "--store", str(store)).stdout.splitlines()
    assert table[0].split() == ["KEY", "REQUESTS", "PROMPT", "CACHED", "COMPLETION", "ESTIMATED"]
    assert table[3].split() == ["total", "5", "126", "50", "32", "1"]
    rows = list(csv.DictReader(io.StringIO(run("gateway.usage", "--store", str(store), "--csv").stdout)))
    assert [(row["key"], row["requests"], row["completion_tokens"]) for row in rows] == [
        ("alice", "4", "27"),
        ("bob", "1", "5"),
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--by", "user"], "write key, model, day, or several separated by commas"),
        (["--by", "key,key"], "write key, model, day"),
        (["--since", "yesterday"], "write a day such as 2026-11-23, or 7d"),
        (["--until", "2026-02-30"], "'2026-02-30': no such day; write one such as"),
        (["--since", "2026-13-01"], "no such day; write one such as"),
    ],
)
def test_a_bad_option_says_what_would_be_right(store: Path, words: list[str], line: str) -> None:
    result = run("gateway.usage", "--store", str(store), *words)
    assert result.returncode == 2 and line in result.stderr and "Traceback" not in result.stderr


def test_a_store_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = run("gateway.usage", "--store", str(tmp_path / "none"))
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "no such file; give `store` of gateway.yaml" in result.stderr
    assert not (tmp_path / "none").exists()
