"""Client libraries of other people, each in the program that docs/clients.md shows: models, chat, stream, tool loop."""

from __future__ import annotations

import re
from collections import Counter
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


def counted(real: Real) -> Counter[str]:
    """Requests for words so far, by how they ended."""
    found: Counter[str] = Counter()
    for labels, count in re.findall(r"^gateway_requests_total{(.*)} (\S+)$", real.gateway.metrics(), re.MULTILINE):
        if any(f'endpoint="{path}"' in labels for path in PATHS):
            found[labels.partition('outcome="')[2].rstrip('"')] += int(float(count))
    return found


@pytest.mark.parametrize("program", chosen(REAL), ids=lambda program: program.name)
def test_it_chats_streams_and_calls_a_tool(real: Real, program: Program, tmp_path: Path) -> None:
    before = counted(real)
    printed = run(program, tmp_path, real.gateway.url, KEY, NAME)
    words = said(printed)
    assert words.keys() >= {"chat", "stream", "tool", "answer"}, printed
    assert all(words["chat"]) and any(words["stream"]), printed
    assert all(re.fullmatch(TOOLS, call) for call in words["tool"]), printed
    assert not program.lists_models or NAME in words["models"][0]
    ended = counted(real) - before
    # Some leave a stream at its finish_reason, and the last events may not have come yet.
    assert ended["ok"] + ended["client_gone"] == ended.total() >= program.answers, (ended, printed)
    assert ended["client_gone"] <= 1, (ended, printed)
