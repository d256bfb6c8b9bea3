"""What the log says, and what it never says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.gateway.harness import (
    KEY,
    ROOT,
    Engine,
    Gateway,
    chat,
    wait_until,
    write_config,
)

URL = "/v1/chat/completions"


def test_p36_one_json_line_a_request_without_prompt_or_key(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    with gateway.client() as client:
        response = client.post(URL, json=chat(messages=[{"role": "user", "content": "canary-prompt"}]))
        client.post(URL, json={"model": "canary-model"})
        client.post(URL, json=chat(), headers={"authorization": "Bearer canary-key-00000"})
        client.get("/canary-path")
    wait_until(lambda: gateway.stdout().count("\n") == 4, 2, "four lines")
    first = json.loads(gateway.stdout().splitlines()[0])
    assert first["request_id"] == response.headers["x-request-id"]
    assert (first["model"], first["status"], first["outcome"]) == ("tiny", 200, "ok")
    assert first["ms"] > 50
    assert KEY not in gateway.stdout() + gateway.stderr()
    assert "canary" not in gateway.stdout() + gateway.stderr()


def test_p36_the_log_can_be_switched_off(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url], log={"access": False})
    gateway.wait_up()
    with gateway.client() as client:
        assert client.post(URL, json=chat()).status_code == 200
    gateway.stop()
    assert gateway.stdout() == ""


def test_p36_a_reader_of_the_log_that_has_stopped_stops_nothing(tmp_path: Path, engine: Engine) -> None:
    config = write_config(tmp_path, [engine.url])
    command = [sys.executable, "-m", "gateway", "--config", str(config)]
    unread, full = os.pipe()
    os.set_blocking(full, False)
    try:
        while True:
            os.write(full, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(full, True)
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=ROOT, stdout=full, stderr=err)
    try:
        wait_until(lambda: "listening on" in (tmp_path / "err").read_text(), 20, "up")
        url = (tmp_path / "err").read_text().partition("listening on ")[2].split(" ")[0]
        with httpx.Client(base_url=url) as client:
            for _ in range(50):
                assert client.post(URL, json=chat()).status_code == 401
            time.sleep(0.3)
            assert client.get("/livez").status_code == 200
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(unread)
        os.close(full)
