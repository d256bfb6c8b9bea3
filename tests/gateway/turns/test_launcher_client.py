from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.turns.launcher_client import AnothersCard, EngineState, LauncherClient, NoLauncher


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[LauncherClient, list[bytes]]]:
    """A launcher that says this, and what it has been asked."""
    asked: list[bytes] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    with tempfile.TemporaryDirectory(prefix="fb-") as folder:
        path = f"{folder}/l.sock"
        server = await asyncio.start_unix_server(one, path)
        yield LauncherClient(path, "me"), asked
        server.close()


def http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n\r\n" % status + body


async def test_states_are_read() -> None:
    one = b'{"state": "failed", "why": "w", "log": ["x", "y"], "pid": null, "cause": "e"}'
    body = b'{"models": {"a": %s, "b": {"state": "ready"}}}' % one
    async with answering(http(body)) as (client, asked):
        found = await client.state()
        assert found == {"a": EngineState("failed", "w", ("x", "y"), cause="e"), "b": EngineState("ready")}
        assert asked[0].startswith(b"GET /state HTTP/1.1\r\n") and b"\r\nx-fullbatch-owner: me\r\n" in asked[0]


async def test_an_action_is_begun_or_refused_with_a_reason() -> None:
    async with answering(http(b'{"state": "starting"}', 202)) as (client, asked):
        assert await client.do("a", "start") == ""
        assert asked[0].startswith(b"POST /models/a/start HTTP/1.1\r\n")
    async with answering(http(b'{"why": "busy"}', 409)) as (client, _):
        assert await client.do("a", "start") == "busy"


async def test_a_card_that_another_gateway_decides_on() -> None:
    async with answering(http(b'{"why": "w"}', 423)) as (client, _):
        with pytest.raises(AnothersCard):
            await client.do("a", "start")
        assert client.another
    async with answering(http(b'{"models": {}, "another": true}')) as (client, _):
        await client.state()
        assert client.another
    async with answering(http(b'{"models": {}}')) as (client, _):  # a launcher of before
        client.another = True
        await client.state()
        assert not client.another


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense", http(b""), http(b"{"), http(b"[]"), http(b"{}"), http(b'{"models": 1}')]
)
async def test_what_is_no_launchers_answer(answer: bytes) -> None:
    async with answering(answer) as (client, _):
        with pytest.raises(NoLauncher):
            await client.state()


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(NoLauncher, match="No such file"):
        await LauncherClient(str(tmp_path / "none.sock"), "me").state()
