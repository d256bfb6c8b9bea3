"""What servers and reports of others may say, and what becomes of it on a terminal, in a page and in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from common.printable import shown
from loadtest.cli.commands import main
from loadtest.client.connection import body_message
from loadtest.client.record import RequestOutcome
from loadtest.client.sse import StreamedAnswer, error_text
from loadtest.report import csv_files, html_page, multi_view
from loadtest.report.multi import joined
from tests.loadtest.answers import DONE, event
from tests.loadtest.reports import Side, make

BAD = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b1m\r\b\u202egnp.exe</title><script>alert(1)</script><img src=x onerror=y>"


def is_fit(text: str) -> bool:
    return text == shown(text) and "\x1b" not in text and "\x9b" not in text and "\u202e" not in text


def test_messages_of_a_server_come_without_escapes() -> None:
    assert is_fit(error_text({"message": BAD})) and is_fit(error_text({BAD: {"x": [BAD]}}))
    assert is_fit(body_message(json.dumps({"error": {"message": BAD}}).encode())) and is_fit(body_message(BAD.encode()))


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": "many", "completion_tokens": [1]}, {"completion_tokens": -5}, {"completion_tokens": 1e308},
        {"completion_tokens": True}, {"completion_tokens": 10**30}, {"prompt_tokens_details": {"cached_tokens": "x"}},
        [],
        "none", 7,
    ],
)  # fmt: skip
def test_a_usage_that_counts_nothing_is_no_traceback(usage: object) -> None:
    answer = StreamedAnswer()
    answer.take(1, event("a", "stop", usage=usage) + DONE)
    assert answer.done and (answer.usage is None or answer.usage.output >= 0)


@pytest.mark.parametrize(
    "choices",
    [7, [7], [{"delta": 7}], [{"delta": {"content": 7}, "finish_reason": {"a": 1}}], [{"delta": None}], {"0": {}}],
)
def test_choices_of_any_shape_are_no_traceback(choices: object) -> None:
    answer = StreamedAnswer(kept=[])
    answer.take(1, event(choices=choices) + DONE)
    assert answer.done and isinstance(answer.text(), str) and answer.finish is None


def hostile() -> dict[str, Any]:
    """A report of a server that calls itself and its failures what it likes."""
    content = make([Side(BAD, failures=1, model=f"=cmd|'/c calc'!A0{BAD}"), Side("other")], users=(1, 2))
    columns = content["records"]["columns"]
    for row in content["records"]["rows"]:
        row[columns.index("finish")] = "=HYPERLINK(1)"
        if row[columns.index("outcome")] != RequestOutcome.OK:
            row[columns.index("detail")] = f"=1+1{BAD}"
    content["meta"] = {"engine": BAD, BAD: [BAD]}
    content["verdict"]["reasons"].append(BAD)
    return json.loads(json.dumps(content))  # type: ignore[no-any-return]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.seen.update(name for name, _ in attrs if name.startswith("on"))


def test_a_page_has_no_tag_that_a_server_wrote() -> None:
    for text in (html_page.render(hostile()), multi_view.as_html(joined({BAD: hostile()}))):
        tags = _Tags()
        tags.feed(text)
        assert not tags.seen & {"script", "img", "onerror"}
        assert "<title>" in text and "alert(1)" in text


def test_spreadsheets_hold_no_formula_that_a_server_wrote() -> None:
    content = hostile()
    texts = (csv_files.requests(content), csv_files.stages(content), multi_view.as_csv(joined({"=a": content})))
    for text in texts:
        found = [value for row in csv.reader(io.StringIO(text)) for value in row]
        assert found and not [value for value in found if value[:1] in "=+@" and value]
        assert all(is_fit(value) for value in found)


def test_a_terminal_is_shown_no_escape_of_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(hostile()))
    one, other = str(tmp_path / "a"), str(tmp_path / "b")
    for words in (["table", one, other], ["diff", one, other], ["report", one], ["diff", one, f"{tmp_path}/\x1b[2J"]):
        main(words)
        said = capsys.readouterr()
        assert is_fit(said.out) and is_fit(said.err) and said.out + said.err
