"""``python -m bench.gateway.affinity --engine URL --engine URL``: what prefix affinity saves on real engines.

Conversations that grow turn by turn go through a gateway with affinity and through one without, in turns, with texts
that no engine has seen. Hits and queries are vLLM's own counters (`vllm:prefix_cache_hits_total`, tokens found in the
prefix cache, and `vllm:prefix_cache_queries_total`, tokens looked for), over all engines together.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import yaml

KEY = "bench-key-0123456789"
CONVERSATIONS, TURNS, CLIENTS, ANSWER_TOKENS = 24, 6, 6, 16
# Words of a turn: with vLLM's blocks of 128 tokens on a CPU, each turn fills two or three.
TURN_WORDS = 240
WORDS = "the batch every user shares one token a prompt in order under load and waits for its own context".split()


@dataclass
class Round:
    """One gateway's turn. ``times``: seconds for each whole answer."""

    hits: float = 0.0
    queries: float = 0.0
    failures: int = 0
    times: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.hits / self.queries if self.queries else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway.affinity", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--engine", action="append", required=True, help="URL of a vLLM; give it twice or more")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = measure(options.engine, options.model, options.rounds, lambda line: _say(sys.stderr, line))
    _say(
        sys.stdout, "| affinity | prefix cache hit rate | tokens found / looked for | mean seconds an answer | failed |"
    )
    _say(sys.stdout, "| --- | --- | --- | --- | --- |")
    for name, rounds in found.items():
        hits, queries = sum(one.hits for one in rounds), sum(one.queries for one in rounds)
        seconds = statistics.mean(second for one in rounds for second in one.times)
        failed = sum(one.failures for one in rounds)
        _say(sys.stdout, f"| {name} | {hits / queries:.1%} | {hits:,.0f} / {queries:,.0f} | {seconds:.3f} | {failed} |")
    return 0


def _say(where: TextIO, line: str) -> None:
    where.write(line + "\n")
    where.flush()


def measure(engines: list[str], model: str, rounds: int, say: Callable[[str], object]) -> dict[str, list[Round]]:
    """Rounds with affinity on and off in turns; by ``on`` and ``off``."""
    found: dict[str, list[Round]] = {"on": [], "off": []}
    for number in range(rounds):
        for name in ("on", "off") if number % 2 else ("off", "on"):
            with gateway(engines, model, affinity=name == "on") as port:
                found[name].append(_round(port, engines, model))
            say(f"round {number + 1}/{rounds}, affinity {name}: hit rate {found[name][-1].rate:.1%}")
    return found


@contextmanager
def gateway(engines: list[str], model: str, affinity: bool) -> Iterator[int]:
    """A gateway in front of them; its port."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        (Path(folder) / "api_keys").write_text(KEY + "\n")
        numbers = {"max_num_seqs": 32, "max_num_batched_tokens": 2048, "max_model_len": 4096, "kv_cache_tokens": 1}
        config = {
            "listen": {"port": 0},
            "api_keys_file": "api_keys",
            "deployment": "bench",
            "engines": [
                {"name": f"engine{i}", "url": url, "models": [model]} | numbers for i, url in enumerate(engines)
            ],
            "routing": {"affinity": affinity},
            "log": {"access": False},
        }
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "gateway", "--config", str(path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                said = process.stderr.readline()
                port = int(said.partition("http://")[2].split()[0].rpartition(":")[2])
                _wait_for(port, len(engines))
                yield port
            finally:
                process.terminate()


def _wait_for(port: int, engines: int) -> None:
    """Until all of them are up."""
    up = 0
    while up < engines:
        time.sleep(0.2)
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            up = sum(one["addresses"]["up"] for one in json.load(answer)["engines"])


def _round(port: int, engines: list[str], model: str) -> Round:
    result = Round()
    before = [_counters(url) for url in engines]
    waiting = [_conversation() for _ in range(CONVERSATIONS)]
    # Turn by turn over all conversations, so that each one's history is old when its next turn comes.
    for _ in range(TURNS):
        todo = random.sample(waiting, len(waiting))
        threads = [threading.Thread(target=_client, args=(port, model, todo, result)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for (hits, queries), url in zip(before, engines, strict=True):
        hits_after, queries_after = _counters(url)
        result.hits += hits_after - hits
        result.queries += queries_after - queries
    return result


def _conversation() -> list[dict[str, str]]:
    return [{"role": "system", "content": f"Conversation {secrets.token_hex(8)}. {_text()}"}]


def _text() -> str:
    return " ".join(random.choices(WORDS, k=TURN_WORDS))


def _client(port: int, model: str, todo: list[list[dict[str, str]]], result: Round) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    while todo:
        try:
            messages = todo.pop()
        except IndexError:
            break
        messages.append({"role": "user", "content": _text()})
        began = time.monotonic()
        body = json.dumps({"model": model, "messages": messages, "max_tokens": ANSWER_TOKENS})
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        if answer.status == 200:
            result.times.append(time.monotonic() - began)
            messages.append({"role": "assistant", "content": content["choices"][0]["message"]["content"] or ""})
        else:
            result.failures += 1
    connection.close()


def _counters(url: str) -> tuple[float, float]:
    """Hits and queries of an engine's prefix cache, in tokens."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    found = [
        sum(map(float, re.findall(rf"^vllm:prefix_cache_{name}_total{{.*}} (\S+)$", text, re.MULTILINE)))
        for name in ("hits", "queries")
    ]
    return found[0], found[1]


if __name__ == "__main__":
    sys.exit(main())
