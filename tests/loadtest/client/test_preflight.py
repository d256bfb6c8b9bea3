"""What is found out before a run."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from loadtest.analysis.metrics import quantiles
from loadtest.client.connection import Server, StreamConnection, server_at
from loadtest.client.preflight import calibrate, check_model, line_through, served_models
from loadtest.client.record import Record
from loadtest.core.errors import ServerProblem, UsageProblem
from loadtest.workload.source import Place
from tests.loadtest.answers import DONE, asked, event, usage
from tests.loadtest.paced import paced
from tests.loadtest.programs import fake_engine
from tests.loadtest.scripted import SILENCE, STREAM_HEAD, json_answer, scripted

REQUESTS = asked(77, 4)


def server(url: str) -> Server:
    return server_at(url, None, first_token_timeout=0.3, stall_timeout=0.3, connect_timeout=2.0)


def test_the_models_of_a_live_engine(engine: tuple[str, int]) -> None:
    assert served_models(server(engine[0]), engine[0]) == ["tiny"]
    assert check_model(server(engine[0]), engine[0], "tiny") == "tiny"
    assert check_model(server(engine[0]), engine[0], "") == "tiny"
    with pytest.raises(UsageProblem, match="it serves: tiny"):
        check_model(server(engine[0]), engine[0], "TINY")


def test_of_several_models_one_has_to_be_said() -> None:
    both = json_answer("200 OK", b'{"data": [{"id": "a"}, {"id": "b\\u001b[2J"}]}')
    with scripted(both) as url:
        assert check_model(server(url), url, "a") == "a"
        with pytest.raises(UsageProblem, match=r"--model: name one; .* serves: a, b\\x1b\[2J"):
            check_model(server(url), url, "")


def test_a_server_without_a_model_says_so() -> None:
    with scripted(json_answer("200 OK", b'{"data": []}')) as url, pytest.raises(UsageProblem, match="serves: nothing"):
        check_model(server(url), url, "tiny")


@pytest.mark.parametrize("body", [b"[]", b'{"data": 3}', b'{"models": []}', b'{"data": [{}]}', b"not json"])
def test_what_is_not_a_model_list_is_not_taken_for_one(body: bytes) -> None:
    with scripted(json_answer("200 OK", body)) as url, pytest.raises(ServerProblem, match="not an OpenAI model list"):
        served_models(server(url), url)


def test_a_server_that_keeps_silent_is_given_up() -> None:
    with scripted(SILENCE) as url:
        quick = server_at(url, None, connect_timeout=0.2)
        with pytest.raises(ServerProblem, match=r"no answer within 0\.2 s"):
            served_models(quick, url)


@pytest.mark.parametrize("tokens", [64, 200, 1000])
def test_prompts_come_out_at_the_wanted_length(tokens: int) -> None:
    """The fake counts a token for four characters: our words must follow that, whatever the tokenizer."""
    with fake_engine(ttft_ms=1, itl_ms=1) as (url, _):
        found = calibrate(server(url), asked(tokens, 4))
    turns = [found.requests.conversation(Place("1", number)).turn(1) for number in range(40)]
    lengths = [len(turn.messages[0]["content"]) // 4 for turn in turns]
    middle = quantiles([float(length) for length in lengths])
    assert middle is not None and abs(middle.mean / tokens - 1) < 0.12
    assert found.reuse and re.fullmatch(r"1\.[0-9]{2} tokens a word and [0-9]+ for the template here", found.line)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([STREAM_HEAD, event("a")], "without [DONE]"),
        ([STREAM_HEAD, event("a"), SILENCE], "no text for 0.3 s"),
        ([STREAM_HEAD, event("a", "stop"), DONE], "no usage"),
        ([json_answer("500 Internal Server Error", b"{}")], "HTTP 500"),
    ],
)
def test_a_fault_that_a_run_should_name_does_not_stop_it(script: list[bytes], reason: str) -> None:
    with scripted(*script) as url:
        found = calibrate(server(url), REQUESTS)
    assert found.requests.source == REQUESTS.source
    assert found.line.startswith("prompt length not calibrated: ") and reason in found.line


@pytest.mark.parametrize(
    "status", ["401 Unauthorized", "404 Not Found", "403 Forbidden", "503 Service Unavailable", "400 Bad Request"]
)
def test_a_refusal_that_every_request_would_get_stops_the_run(status: str) -> None:
    answer = json_answer(status, b'{"error": {"message": "because"}}')
    with scripted(answer) as url, pytest.raises(ServerProblem, match=f"HTTP {status[:3]}: because"):
        calibrate(server(url), REQUESTS)


def test_a_long_wait_for_the_first_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.client.preflight._PATIENCE_S", 0.2)
    lines: list[str] = []
    with paced(lambda _: [(0.7, event("a", "length") + usage(9, 1) + DONE)]) as url:
        calibrate(server_at(url, None, first_token_timeout=5.0), REQUESTS, tell=lines.append)
    told = len(lines)
    time.sleep(0.5)
    assert len(lines) == told >= 2, "while the first answer does not come, and no more after it"
    assert "to a first small request for 0 s; waiting at most 5 s (--first-token-timeout)" in lines[0]


def test_a_server_that_answers_nothing_cannot_be_measured() -> None:
    lines: list[str] = []
    with scripted(SILENCE) as url, pytest.raises(ServerProblem, match=r"\(timeout\): no text for 0\.3 s"):
        calibrate(server(url), REQUESTS, tell=lines.append)
    assert lines == [], "no line of 30 s that were not waited"


def test_a_server_that_closes_without_saying_so_gets_a_new_connection_for_each_request() -> None:
    """As llama.cpp's does after each stream, in spite of its Keep-Alive header."""
    stream = event("a", "length") + usage(9, 1) + DONE
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(stream)
    with scripted(head + stream) as url:
        found = calibrate(server(url), REQUESTS)
        assert not found.reuse and found.line.endswith("so each request has a new one")
        used, request = StreamConnection(replace(server(url), reuse=False)), REQUESTS.body([], 4)
        for _ in range(5):
            record = used.exchange(server(url).request("POST", "/v1/chat/completions", request), Record(0, 0, 0, 0, 0))
            assert (record.ok, used.is_open) == (True, False), record.detail


def test_a_server_that_counts_nonsense_gets_one_word_a_token() -> None:
    assert line_through((8, 50), (40, 50)) == (1.0, 0.0)
