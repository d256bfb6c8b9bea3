"""The clients that people have, while a model takes 27 s to load: none gives up, and each gets the whole answer."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

import anthropic
import httpx
import ollama
import openai

from tests.gateway.harness import KEY, chat
from tests.gateway.turns.worlds import World

LOAD_S = 27.0


def of_openai(world: World) -> str:
    with openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key=KEY, max_retries=0) as client:
        events = client.chat.completions.create(
            model="b", messages=[{"role": "user", "content": "x"}], stream=True, max_tokens=5
        )
        return "".join(event.choices[0].delta.content or "" for event in events if event.choices)


def of_anthropic(world: World) -> str:
    with anthropic.Anthropic(base_url=world.gateway.url, api_key=KEY, max_retries=0) as client:
        asked = client.messages.stream(model="b", messages=[{"role": "user", "content": "x"}], max_tokens=5)
        with asked as stream:
            return "".join(stream.text_stream)


def of_ollama(world: World) -> str:
    client = ollama.Client(host=world.gateway.url, headers={"authorization": f"Bearer {KEY}"})
    pieces = client.chat("b", [{"role": "user", "content": "x"}], stream=True, options={"num_predict": 5})
    text = "".join(piece.message.content or "" for piece in pieces)
    client._client.close()
    return text


def of_openai_whole(world: World) -> str:
    with openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key=KEY, max_retries=0) as client:
        answer = client.chat.completions.create(model="b", messages=[{"role": "user", "content": "x"}], max_tokens=5)
        return answer.choices[0].message.content or ""


def raw(world: World) -> str:
    with httpx.Client(base_url=world.gateway.url, headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:
        return client.post("/v1/chat/completions", json=chat(stream=True, model="b", max_tokens=5)).text


def test_p314_every_client_waits_and_gets_its_answer(start_world: Callable[..., World]) -> None:
    knobs = {"a": {}, "b": {"fault": "slow-start", "slow_start_s": LOAD_S}}
    world = start_world(knobs, turn={"cold_guess_s": 30}, residency={"keep_alive_whole": True})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        clients = (of_openai, of_anthropic, of_ollama, of_openai_whole)
        answers = [pool.submit(client, world) for client in clients]
        text = pool.submit(raw, world).result()
        found = [answer.result() for answer in answers]
    assert found == ["xxxx " * 5] * 4
    assert text.startswith(": waiting: b is being loaded, about ")
    assert text.count(": waiting: ") == 2  # after 15 s and after 25
    assert text.endswith("data: [DONE]\n\n")
    assert world.gateway.metric("gateway_requests_total", model="b", outcome="ok") == 5
