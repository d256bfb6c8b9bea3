"""Client libraries of other people, each in the program that docs/clients.md shows: models, chat, stream, tool loop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.client_programs import REAL, Program, chosen, install, run, said
from tests.e2e.real.served import NAME, Real
from tests.gateway.harness import KEY

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

TOOLS = r"get_weather\((Oslo|Paris)\)|Read\((notes\.txt|README\.md)\)"
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


@pytest.fixture(scope="module", autouse=True)
def _clients() -> None:
    install()


def counted(real: Real) -> tuple[float, float]:
    """Requests so far: those that the model answered, and those of any path that ended in any other way than well."""
    count = real.gateway.metric
    answered = sum(count("gateway_requests_total", endpoint=path, outcome="ok") for path in PATHS)
    return answered, count("gateway_requests_total") - count("gateway_requests_total", outcome="ok")


@pytest.mark.parametrize("program", chosen(REAL), ids=lambda program: program.name)
def test_it_chats_streams_and_calls_a_tool(real: Real, program: Program, tmp_path: Path) -> None:
    answered, spoiled = counted(real)
    printed = run(program, tmp_path, real.gateway.url, KEY, NAME)
    words = said(printed)
    assert words.keys() >= {"chat", "stream", "tool", "answer"}, printed
    assert all(words["chat"]) and any(words["stream"]), printed
    assert all(re.fullmatch(TOOLS, call) for call in words["tool"]), printed
    assert not program.lists_models or NAME in words["models"][0]
    now_answered, now_spoiled = counted(real)
    assert now_answered - answered >= program.answers, printed
    assert now_spoiled == spoiled, "nothing was refused on the way"
