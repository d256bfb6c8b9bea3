"""Programs that leave it to the model whether it calls a tool, as docs/clients.md shows them, with the fake engine.

It writes what vLLM 0.32 writes for a model that calls the tool once, and ends when it has the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client_programs import LLM, OPENCODE, Program, chosen, install, run
from tests.gateway.harness import KEY, Engine, Gateway

CONTEXT = 131072
NOTES = "Buy milk, call Ada."
ANSWER = " ".join(["xxxx"] * 16)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    install()
    fake = Engine(tmp_path_factory.mktemp("engine"), answer="loop", max_model_len=CONTEXT)
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def gateway(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), [engine.url], engine={"max_model_len": CONTEXT})
    gateway.wait_up()
    yield gateway
    gateway.stop()


def result_of(engine: Engine) -> str:
    """What the client gave back to the model in its last request, after the call that the model had made."""
    *_, call, result = engine.last_body()["messages"]
    assert (call["role"], result["role"]) == ("assistant", "tool")
    assert [each["id"] for each in call["tool_calls"]] == [result["tool_call_id"]]
    return json.dumps(result["content"])


def test_llm(engine: Engine, gateway: Gateway, tmp_path: Path) -> None:
    engine.turn(tool="get_weather", arguments='{"city": "Oslo"}')
    printed = run(LLM, tmp_path, gateway.url, KEY, "tiny")
    assert "OpenAI Chat: fullbatch" in printed
    assert printed.count(ANSWER) == 3, "whole, streamed, and after the tool"
    assert "get_weather({'city': 'Oslo'})" in printed
    assert "It rains in Oslo" in result_of(engine)


if chosen((OPENCODE,)):  # too large for CI, where there is no such test: no parameters would be a skip

    @pytest.mark.parametrize("program", chosen((OPENCODE,)), ids=lambda program: program.name)
    def test_opencode(engine: Engine, gateway: Gateway, tmp_path: Path, program: Program) -> None:
        notes = tmp_path / "notes.txt"
        notes.write_text(NOTES)
        engine.turn(tool="read", arguments=json.dumps({"filePath": str(notes)}))
        printed = run(program, tmp_path, gateway.url, KEY, "tiny")
        assert "fullbatch/tiny" in printed and ANSWER in printed
        assert NOTES in result_of(engine)
