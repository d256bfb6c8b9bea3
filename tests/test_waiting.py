"""`tests.waiting`: the answer, the time it took, and what is said when it does not come."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from email.message import Message
from urllib.error import HTTPError

import pytest

from tests.waiting import wait_for, wait_until


def test_the_first_true_answer_is_returned() -> None:
    answers: Iterator[list[int]] = iter([[], [], [7]])
    assert wait_for(lambda: next(answers), 10, "a list with something in it") == [7]


def test_what_does_not_answer_yet_is_asked_again() -> None:
    calls: list[int] = []

    def ask() -> bool:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionRefusedError
        return True

    assert wait_until(ask, 10, "an answer") < 10
    assert len(calls) == 3


def test_what_refuses_with_a_status_is_asked_again_and_its_socket_closed() -> None:
    body = io.BytesIO(b"not yet")

    def ask() -> bool:
        if body.closed:
            return True
        raise HTTPError("http://127.0.0.1/", 503, "Service Unavailable", Message(), body)

    wait_until(ask, 10, "an answer")


def test_the_limit_says_what_was_waited_for_and_the_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    with pytest.raises(AssertionError, match=r"^not within 0\.1 s: a sign of life \(last answer: 0\)$"):
        wait_for(lambda: 0, 0.1, "a sign of life")
    with pytest.raises(AssertionError, match=r"^not within 0\.1 s: said late \(last answer: None\)$"):
        wait_for(lambda: None, 0.1, lambda: "said late")


def test_the_limit_grows_with_what_else_the_machine_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(AssertionError, match=r"^not within 0\.3 s"):
        wait_for(lambda: False, 0.1, "never")
