"""The mock tells the truth, and the load counts it: else every figure of the bench is wrong."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.gateway import programs as module
from bench.gateway.programs import BenchError, Mock, Programs, Streams

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"a":1}\n\n'
DONE = b"data: [DONE]\n\n"


def ask(mock: Mock, **fields: Any) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{mock.port}/v1/chat/completions", json={"model": "tiny", **fields})


def test_an_answer_has_as_many_tokens_as_were_asked_for(mock: Mock) -> None:
    answer = ask(mock, max_tokens=7).json()
    assert answer["usage"]["completion_tokens"] == 7
    assert answer["choices"][0]["message"]["content"].split() == ["word"] * 7


def test_a_stream_has_one_event_a_token_and_ends_as_vllm_ends_it(mock: Mock) -> None:
    text = ask(mock, max_tokens=5, stream=True).text
    assert text.count("data: {") == 5
    assert text.count('"finish_reason":"length"') == 1
    assert text.endswith("data: [DONE]\n\n")
    assert "usage" not in text


def test_usage_is_sent_where_it_is_asked_for(mock: Mock) -> None:
    once = ask(mock, max_tokens=5, stream=True, stream_options={"include_usage": True}).text
    each = ask(mock, max_tokens=5, stream=True, stream_options={"continuous_usage_stats": True}).text
    assert (once.count('"usage"'), once.count('"completion_tokens":5'), once.count('"choices":[]')) == (1, 1, 1)
    assert each.count('"usage"') == 5


def test_tokens_keep_the_pace(mock: Mock) -> None:
    mock.pace(20)
    began = time.monotonic()
    ask(mock, max_tokens=6, stream=True)
    assert time.monotonic() - began >= 0.099


def test_with_step_the_tokens_of_all_streams_leave_together(mock: Mock) -> None:
    mock.pace(400, step=True)
    times = []
    for _ in range(2):
        ask(mock, max_tokens=1, stream=True)
        times.append(time.monotonic())
        time.sleep(0.05)
    assert (times[1] - times[0]) / 0.4 == pytest.approx(round((times[1] - times[0]) / 0.4), abs=0.25)


def test_the_mock_counts_what_it_sent_and_serves_health_and_models(mock: Mock) -> None:
    ask(mock, max_tokens=3, stream=True)
    ask(mock, max_tokens=3)
    assert mock.sent() == (2, 3)
    assert httpx.get(f"http://127.0.0.1:{mock.port}/health").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{mock.port}/v1/models").json()["data"][0]["id"] == "tiny"


def test_many_clients_that_leave_do_not_disturb_the_others(programs: Programs, mock: Mock) -> None:
    mock.pace(10)
    for _ in range(20):
        with httpx.stream("POST", f"http://127.0.0.1:{mock.port}/", json={"stream": True, "max_tokens": 100}):
            pass
    counts = programs.streams(mock.port, 5, Streams(8, 2, 0.05, 5))
    assert counts is not None
    assert (counts.good, counts.failed, counts.events) == (16, 0, 80)


def test_the_load_agrees_with_the_mock_about_whole_answers(programs: Programs, mock: Mock) -> None:
    counts = programs.whole(mock.port, 64, connections=4, seconds=0.3)
    assert counts is not None
    assert counts.failed == 0
    assert counts.good == mock.sent()[0] > 4
    assert 0 < counts.first_p50 <= counts.first_p99


def test_the_load_measures_first_events_and_gaps(programs: Programs, mock: Mock) -> None:
    mock.pace(30)
    counts = programs.streams(mock.port, 4, Streams(2, 1, 0.02, 5))
    assert counts is not None
    assert (counts.good, counts.events) == (2, 8)
    assert counts.gap_p99 > 20
    assert counts.first_p50 < 30


@contextmanager
def server(pieces: list[bytes], pause_s: float = 0.02) -> Iterator[int]:
    """Answers every request with these writes and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    for piece in pieces:
                        connection.sendall(piece)
                        time.sleep(pause_s)

        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("pieces", "good", "events"),
    [
        ([HEAD + chunk(EVENT * 2 + DONE) + b"0\r\n\r\n"], 1, 2),
        ([HEAD, chunk((EVENT * 2)[:17]), chunk((EVENT * 2)[17:] + DONE), b"0\r\n\r\n"], 1, 2),
        ([HEAD + b"0", b"e;x=y\r\n" + EVENT[:-1], b"\r\n" + chunk(b"\n" + EVENT + DONE[:8]),
          chunk(DONE[8:]) + b"0\r\n\r\n"], 1, 2),
        ([HEAD.replace(b"transfer-encoding: chunked\r\n", b"") + EVENT * 2 + DONE], 1, 2),
        ([HEAD + chunk(EVENT * 2) + b"0\r\n\r\n"], 0, 2),  # no [DONE]
        ([HEAD + chunk(EVENT + DONE) + b"0\r\n\r\n"], 0, 1),  # an event is missing
        ([HEAD + chunk(EVENT * 2 + DONE)], 0, 2),  # no end of the body
        ([HEAD.replace(b"200 OK", b"429 No") + chunk(EVENT * 2 + DONE) + b"0\r\n\r\n"], 0, 2),
        ([b"not HTTP at all\r\n\r\n"], 0, 0),
    ],
    ids=["whole", "cut-in-chunks", "cut-in-framing", "until-close", "no-done", "too-few", "cut-off", "429", "nonsense"],
)  # fmt: skip
def test_a_stream_is_good_only_when_it_is_whole(
    programs: Programs, pieces: list[bytes], good: int, events: int
) -> None:
    with server(pieces) as port:
        counts = programs.streams(port, 2, Streams(1, 1, 0, 2))
    assert counts is not None
    assert (counts.good, counts.failed, counts.events) == (good, 1 - good, events)


def test_a_stream_that_never_ends_has_failed_at_the_limit(programs: Programs) -> None:
    with server([HEAD + chunk(EVENT)], pause_s=1.0) as port:
        counts = programs.streams(port, 2, Streams(2, 3, 0, 0.3))
    assert counts is not None
    assert (counts.good, counts.failed) == (0, 6)


def test_a_gateway_that_is_gone_is_no_result(programs: Programs) -> None:
    with server([]) as port:
        pass
    assert programs.whole(port, 1, 1, 0.1) is None


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda _: None)  # type: ignore[attr-defined]
    with pytest.raises(BenchError, match=r"no C compiler 'cc'.*apt-get install gcc"):
        Programs(tmp_path)
