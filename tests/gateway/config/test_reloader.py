"""gateway.yaml changed under a running gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml

from gateway.config.loader import load
from gateway.config.reloader import Reloader
from gateway.core.supervisor import Supervisor
from tests.gateway.harness import Engine, Gateway, Raw, chat, chat_bytes, post_bytes, wait_until, write_config

URL = "/v1/chat/completions"
SOON_S = 4.0


def rewrite(path: Path, **changes: Any) -> None:
    """Put other values into gateway.yaml, section by section."""
    content = yaml.safe_load(path.read_text())
    for section, values in changes.items():
        content[section] = content.get(section, {}) | values if isinstance(values, dict) else values
    path.write_text(yaml.safe_dump(content))


def reloads(gateway: Gateway, result: str) -> float:
    sample = f'gateway_config_reloads_total{{deployment="test",result="{result}"}} '
    return float(gateway.metrics().partition(sample)[2].partition("\n")[0])


def _rejected(gateway: Gateway, times: int) -> bool:
    return reloads(gateway, "rejected") == times


@pytest.fixture
def own_gateway(start_gateway: Callable[..., Gateway], engine: Engine) -> Gateway:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    return gateway


def test_p83_limits_and_log_change_without_restart(own_gateway: Gateway) -> None:
    lists = {"public_urls": ["https://llm.example"], "admins": ["boss"]}
    rewrite(own_gateway.config, limits={"max_body_bytes": 100}, log={"access": False}, **lists)
    wait_until(lambda: reloads(own_gateway, "applied") == 1, SOON_S, "read again")
    with own_gateway.client() as client:
        refused = client.post(URL, json=chat(messages=[{"role": "user", "content": "x" * 200}]))
        page = client.get("/", headers={"accept": "text/html", "host": "unknown.example"}).text
    assert refused.status_code == 413 and "https://llm.example/v1/chat/completions" in page
    assert "changed: admins, limits, log, public_urls" in own_gateway.stderr()
    assert own_gateway.stdout() == ""


def test_p83_admission_numbers_change_without_restart(own_gateway: Gateway, engine: Engine) -> None:
    engine.turn(ttft_ms=60_000)
    rewrite(own_gateway.config, limits={"max_in_flight": 1})
    wait_until(lambda: reloads(own_gateway, "applied") == 1, SOON_S, "read again")
    body = chat_bytes(stream=True)
    with Raw(own_gateway.port) as raw, own_gateway.client() as client:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: engine.running() == 1, 5, "running")
        assert client.post(URL, json=chat()).status_code == 429


def test_p83_an_engine_is_added_and_another_taken_away_while_it_answers(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine]
) -> None:
    first, second = start_engine(itl_ms=30), start_engine(model="second")
    gateway = start_gateway([first.url])
    gateway.wait_up()
    engines = yaml.safe_load(gateway.config.read_text())["engines"]
    other = engines[0] | {"name": "other", "url": second.url, "models": ["second"]}
    with gateway.client() as client, client.stream("POST", URL, json=chat(True, max_tokens=100)) as response:
        pieces = response.iter_raw()
        next(pieces)
        rewrite(gateway.config, engines=[other])
        with gateway.client() as another:
            ask = chat() | {"model": "second"}
            wait_until(lambda: another.post(URL, json=ask).status_code == 200, SOON_S, "the new one serving")
            assert another.post(URL, json=chat()).status_code == 404
            assert [card["id"] for card in another.get("/v1/models").json()["data"]] == ["second"]
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
    assert 'gateway_requests_running{deployment="test",model="tiny"} 0.0' in gateway.metrics()
    assert 'engine_name="engine"' not in gateway.metrics()


def test_p83_a_bad_file_keeps_the_old_settings_and_tells_the_line(own_gateway: Gateway) -> None:
    good = own_gateway.config.read_text()
    faults = (("limits: [", "not valid YAML"), ("a: 1\n", "a: no such setting"), ("", "holds no settings"))
    for number, (bad, message) in enumerate(faults, 1):
        own_gateway.config.write_text(bad)
        wait_until(partial(_rejected, own_gateway, number), SOON_S, "rejected")
        assert message in own_gateway.stderr() and "the old settings stay" in own_gateway.stderr()
    own_gateway.config.unlink()
    wait_until(lambda: reloads(own_gateway, "rejected") == 4, SOON_S, "missing")
    with own_gateway.client() as client:
        assert client.post(URL, json=chat()).status_code == 200
    own_gateway.config.write_text(good)
    wait_until(lambda: reloads(own_gateway, "applied") == 1, SOON_S, "good again")
    assert "Traceback" not in own_gateway.stderr()


def test_p83_what_needs_a_restart_is_told(own_gateway: Gateway) -> None:
    rewrite(own_gateway.config, deployment="another", admission={"max_queued": 3})
    wait_until(lambda: reloads(own_gateway, "applied") == 1, SOON_S, "read again")
    assert "deployment: a change needs a restart" in own_gateway.stderr()
    assert "changed: admission" in own_gateway.stderr()
    assert 'deployment="another"' not in own_gateway.metrics()


def test_p83_sighup_reads_again_at_once(own_gateway: Gateway) -> None:
    os.kill(own_gateway.pid, signal.SIGHUP)
    wait_until(lambda: reloads(own_gateway, "applied") == 2, SOON_S, "settings and keys read again")
    assert "read again; no change" in own_gateway.stderr()


async def test_p142_a_file_system_that_hangs_does_not_hang_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"])
    settings, hung, free = load(config), threading.Event(), threading.Event()

    def hang(_: Path) -> Any:
        hung.set()
        free.wait(30)

    monkeypatch.setattr("gateway.config.reloader.load", hang)
    reloader = Reloader(config, settings, Mock(), Supervisor(), asyncio.get_running_loop())
    reloader.start()
    reloader.ask()
    assert await asyncio.to_thread(hung.wait, 5)
    began = time.monotonic()
    reloader.stop()
    assert time.monotonic() - began < 4
    free.set()
