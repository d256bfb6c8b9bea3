"""Candidates: Starlette on uvicorn (httptools, uvloop), with an aiohttp or an httpx client."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
import httpx
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bench.gateway.request import KEY, MODEL

HEADERS = {"content-type": "application/json"}


class Client(Protocol):
    async def send(self, url: str, body: bytes) -> Response: ...


class AiohttpClient:
    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, body: bytes) -> Response:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        answer = await self._session.post(url, data=body, headers=HEADERS)
        if answer.content_type.startswith("text/event-stream"):
            return StreamingResponse(self._pieces(answer), media_type="text/event-stream")
        async with answer:
            return Response(await answer.read(), answer.status, media_type=answer.content_type)

    async def _pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        async with answer:
            async for data in answer.content.iter_any():
                yield data


class HttpxClient:
    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.AsyncClient(limits=limits, timeout=600)

    async def send(self, url: str, body: bytes) -> Response:
        request = self._client.build_request("POST", url, content=body, headers=HEADERS)
        answer = await self._client.send(request, stream=True)
        content_type = answer.headers["content-type"]
        if content_type.startswith("text/event-stream"):
            return StreamingResponse(self._pieces(answer), media_type="text/event-stream")
        content = await answer.aread()
        await answer.aclose()
        return Response(content, answer.status_code, media_type=content_type)

    async def _pieces(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for data in answer.aiter_raw():
                yield data
        finally:
            await answer.aclose()


def main() -> None:
    port, engine, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    client: Client = HttpxClient() if kind == "httpx" else AiohttpClient()

    async def complete(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "no key"}}, 401)
        body = await request.body()
        if orjson.loads(body)["model"] != MODEL:
            return JSONResponse({"error": {"message": "no such model"}}, 404)
        return await client.send(engine + request.url.path, body)

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    uvicorn.run(app, port=port, http="httptools", loop="uvloop", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
