"""The server whose times are known: paced, in vLLM's shape, and true to what it says it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from loadtest.client.connection import StreamConnection, server_at
from loadtest.client.conversation import OngoingConversation
from loadtest.client.record import Record
from loadtest.workload.source import Place
from tests.loadtest.answers import asked as asked_of
from tests.loadtest.programs import ROOT


@pytest.fixture(scope="module")
def known() -> Iterator[str]:
    """Its address; 100 tokens/s for each stream."""
    command = [sys.executable, "-m", "loadtest.selfcheck.engine", "--tokens-per-s", "100"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    yield process.stdout.readline().decode().strip()
    process.stdin.close()
    assert process.wait(10) == 0, "it ends with its stdin"
    process.stdout.close()


@pytest.fixture(scope="module")
def asked(known: str) -> Record:
    server = server_at(known, None)
    connection, now = StreamConnection(server), time.perf_counter_ns()
    talk = OngoingConversation(asked_of(16, 20, "check"), Place("1", 0), [server])
    record = connection.exchange(talk.request(), Record(1, 0, 0, plan=now, send=now, answer=talk.answer()))
    connection.close()
    return record


def test_it_answers_as_a_good_server_does(asked: Record) -> None:
    assert (asked.ok, asked.tokens, asked.answer.finish, asked.detail) == (True, 20, "length", "")


def test_its_truth_lies_between_our_send_and_our_reads(known: str, asked: Record) -> None:
    with urllib.request.urlopen(f"{known}/truth", timeout=5) as response:
        truth = json.load(response)["check-1-0-0-1"]
    writes = truth["writes"]
    assert len(writes) == 20 and writes == sorted(writes)
    assert asked.send < truth["read"] < writes[0]
    assert asked.answer.first is not None and asked.answer.last is not None
    assert writes[0] < asked.answer.first and writes[-1] < asked.answer.last
    assert writes[0] - truth["read"] >= 100_000_000, "the first token takes 100 ms"
    assert writes[-1] - writes[0] >= 0.9 * 19 * 10_000_000, "10 ms between tokens"
