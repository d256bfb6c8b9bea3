"""Files of conversations: both shapes, both forms, and what is wrong with others."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.workload import dataset_file
from loadtest.workload.dataset_file import Recorded, read_conversations

SHARE_GPT = {
    "id": "x",
    "conversations": [
        {"from": "system", "value": "Be kind."},
        {"from": "human", "value": "Hello"},
        {"from": "gpt", "value": "12345678"},
        {"from": "human", "value": "And?"},
        {"from": "gpt", "value": ""},
    ],
}
OPENAI = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
        {"role": "assistant", "content": "1234"},
        {"role": "user", "content": "Last, unanswered"},
    ]
}


def read(tmp_path: Path, text: str | bytes, most: int = 1000) -> Recorded:
    path = tmp_path / "data.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_conversations(path, most)


def shape(recorded: Recorded) -> list[list[tuple[list[str], int | None]]]:
    return [
        [([message["content"] for message in turn.messages], turn.answer_characters) for turn in conversation]
        for conversation in recorded.conversations
    ]


@pytest.mark.parametrize(
    "write",
    [
        lambda entries: json.dumps(entries),
        lambda entries: json.dumps(entries, indent=2),
        lambda entries: "\n".join(map(json.dumps, entries)),
        lambda entries: "\ufeff\n\n" + "\n\n".join(map(json.dumps, entries)) + "\n",
        lambda entries: "".join(json.dumps(entry, indent=1) for entry in entries),
    ],
    ids=["array", "indented array", "lines", "lines with blanks", "objects"],
)
def test_both_shapes_are_read_in_every_form(write: object, tmp_path: Path) -> None:
    assert callable(write)
    recorded = read(tmp_path, write([SHARE_GPT, OPENAI]))
    assert shape(recorded) == [
        [(["Be kind.", "Hello"], 8), (["And?"], 0)],
        [(["Hello"], 4), (["Last, unanswered"], None)],
    ]
    assert recorded.conversations[0][0].messages[0] == {"role": "system", "content": "Be kind."}
    assert (recorded.left_out, recorded.whole) == (0, True)


def said(*messages: tuple[str, object]) -> str:
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in messages]})


def test_what_has_no_question_in_text_is_left_out_and_counted(tmp_path: Path) -> None:
    picture = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    entries = [
        said(("user", "Hi"), ("assistant", "Ho")),
        said(("user", picture)),
        said(("user", "Call it"), ("assistant", None), ("tool", "42")),
        said(("assistant", "I begin")),
        said(("user", "  ")),
        said(),
        said(("assistant", "I begin"), ("user", "You did"), ("user", "and so do I")),
    ]
    recorded = read(tmp_path, "\n".join(entries))
    assert shape(recorded) == [[(["Hi"], 2)], [(["You did", "and so do I"], None)]]
    assert recorded.left_out == 5


def test_half_a_character_can_be_sent(tmp_path: Path) -> None:
    [[turn]] = read(tmp_path, '{"messages": [{"role": "user", "content": "a\\ud800b"}]}').conversations
    assert turn.messages[0]["content"] == "a\ufffdb"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no conversation in it"),
        (" \n\n", "no conversation in it"),
        ("[]", "no conversation in it"),
        (said(("assistant", "only")), "none of its 1 conversations has a question in text"),
        ("hello", "not JSON at conversation 1: write an object"),
        ("[1, 2]", "not JSON at conversation 1: write an object"),
        ("[", "not JSON at conversation 1: write an object"),
        (said(("user", "a")) + '\n{"messages": [', "not JSON at conversation 2: Expecting value"),
        ("[" + said(("user", "a")), "not JSON at conversation 2: write ',' or ']'"),
        ("[" + said(("user", "a")) + "] more", "there is more after the end of the array"),
        ('{"n": ' + "9" * 5000 + "}", "not JSON at conversation 1: Exceeds the limit"),
        ('{"n": ' + "[" * 100_000 + "}", "not JSON at conversation 1: maximum recursion"),
        ('{"text": "x", "label": 1}', "'conversations' (ShareGPT); it has text, label"),
        ('{"messages": "hello"}', "a list 'messages' (OpenAI)"),
        ('{"messages": ["hello"]}', "conversation 1, message 1: write 'role' and 'content' (OpenAI)"),
        ('{"messages": [{"role": "user", "content": 7}]}', "conversation 1, message 1: write 'role' and 'content'"),
        ('{"conversations": [{"from": 1, "value": "x"}]}', "conversation 1, message 1"),
        (b'{"messages": "\xff"}', "not UTF-8 text"),
        (b"\x00\x01\x02", "not JSON at conversation 1"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(text: str | bytes, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem) as raised:
        read(tmp_path, text)
    told = str(raised.value)
    assert told.startswith(f"--dataset {tmp_path}/data.json: ") and expected in told and "\n" not in told


def test_only_a_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, expected in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "not a file; name a file"),
        (tmp_path / "pipe", "not a file; name a file"),
        (Path("/dev/zero"), "not a file; name a file"),
        (Path("a\0b"), "no such file"),
    ):
        with pytest.raises(UsageProblem, match=expected):
            read_conversations(path, 5)


def test_no_more_is_read_than_is_wanted_and_what_follows_is_not_looked_at(tmp_path: Path) -> None:
    recorded = read(tmp_path, "\n".join(said(("user", str(n))) for n in range(50)) + "\nnot JSON", most=20)
    assert (len(recorded.conversations), recorded.whole) == (20, False)


def huge(path: Path, gigabytes: int) -> Path:
    """So large for the file system, and hardly any of it on the disk: real conversations, then a hole."""
    with path.open("wb") as file:
        file.write(b"[" + b",".join(said(("user", "x" * 1000)).encode() for _ in range(3000)) + b",")
        file.truncate(gigabytes << 30)
    return path


def test_ten_gigabytes_are_read_piece_by_piece(tmp_path: Path) -> None:
    path = huge(tmp_path / "huge.json", 10)
    tracemalloc.start()
    recorded = read_conversations(path, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(recorded.conversations) == 1000 and peak < 20e6


def test_a_conversation_without_an_end_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.write(b'{"messages": [{"role": "user", "content": "')
        for _ in range(40):
            file.write(b"x" * (1 << 20))
    with pytest.raises(UsageProblem, match="or it is longer than 4 Mi characters"):
        read_conversations(path, 5)
    path.write_bytes(b" " * (8 << 20))
    with pytest.raises(UsageProblem, match="more than 4 Mi blanks in a row"):
        read_conversations(path, 5)


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dataset_file, "_PIECE", 64)
    monkeypatch.setattr(dataset_file, "_MOST_TEXT", 1000)
    monkeypatch.setattr(dataset_file, "_MOST_READ", 20_000)
    yield


@pytest.mark.usefixtures("small_bounds")
def test_so_much_text_is_kept_and_so_much_is_looked_at(tmp_path: Path) -> None:
    texts = read(tmp_path, "\n".join(said(("user", "x" * 100)) for _ in range(50)))
    assert (len(texts.conversations), texts.whole) == (11, False)
    no_use = [said(("user", "Hi"))] + [said(("tool", "x" * 100))] * 1000
    looked_at = read(tmp_path, "\n".join(no_use))
    assert len(looked_at.conversations) == 1 and 50 < looked_at.left_out < 200 and not looked_at.whole
