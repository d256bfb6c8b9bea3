"""Candidate: aiohttp server and client on uvloop, as lean as it can be written."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import orjson
import uvloop
from aiohttp import web

from bench.gateway.request import KEY, MODEL

ENGINE = web.AppKey("engine", str)
SESSION = web.AppKey("session", aiohttp.ClientSession)


async def complete(request: web.Request) -> web.StreamResponse:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return web.json_response({"error": {"message": "no key"}}, status=401)
    body = await request.read()
    if orjson.loads(body)["model"] != MODEL:
        return web.json_response({"error": {"message": "no such model"}}, status=404)
    url = request.app[ENGINE] + request.path
    headers = {"content-type": "application/json"}
    async with request.app[SESSION].post(url, data=body, headers=headers) as answer:
        if not answer.content_type.startswith("text/event-stream"):
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)
        response = web.StreamResponse(status=answer.status, headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        async for data in answer.content.iter_any():
            await response.write(data)
        await response.write_eof()
        return response


async def serve(port: int, engine: str) -> None:
    app = web.Application(client_max_size=10 << 20)
    app[ENGINE] = engine
    app[SESSION] = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=600)
    )
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
