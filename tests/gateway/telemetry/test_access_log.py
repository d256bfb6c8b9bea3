"""What the log says, and what it never says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from gateway.core.record import RequestRecord
from gateway.core.supervisor import Supervisor
from gateway.telemetry.access_log import MAX_WAITING_BYTES, PIECE_BYTES, AccessLog
from tests.gateway.harness import (
    KEY,
    ROOT,
    Engine,
    Gateway,
    Raw,
    chat,
    chat_bytes,
    post_bytes,
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
        client.post(URL, content=b'{"canary": ')
        client.post(URL, json=chat(messages="canary"))
        client.post(URL, json=chat() | {"stream": "canary"})
        client.post(URL, json=chat(), headers={"x-priority": "canary", "x-api-key": "canary-key", "canary": "1"})
        client.post(f"{URL}?canary=1", content=b"canary" * 2_000_000)
        for fault in ("error-event", "mid-stream", "before-headers"):
            engine.turn(fault=fault)
            client.post(URL, json=chat(True, messages=[{"role": "user", "content": "canary-prompt"}]))
        engine.turn(fault="none")
    with Raw(gateway.port) as raw:
        raw.send(b"POST /canary HTTP/1.1\r\nCanary : canary\r\n\r\n")
        raw.read_to_close()
    wait_until(lambda: gateway.stdout().count("\n") == 13, 2, "a line for each")
    first = json.loads(gateway.stdout().splitlines()[0])
    assert first["request_id"] == response.headers["x-request-id"]
    assert (first["model"], first["status"], first["outcome"]) == ("tiny", 200, "ok")
    assert first["ms"] > 50
    said = gateway.stdout() + gateway.stderr() + gateway.metrics()
    assert KEY not in said
    assert "canary" not in said


def test_p36_a_line_says_what_it_cost_how_long_it_waited_and_how_far_it_came(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    body = chat_bytes(stream=True, max_tokens=1000)
    with gateway.client() as client:
        usage = client.post(URL, json=chat(max_tokens=3)).json()["usage"]
        engine.turn(itl_ms=50)
        with Raw(gateway.port) as raw:
            raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
            raw.read_until(b"data: ")
        client.post(URL, json={"model": "unknown"})
    wait_until(lambda: gateway.stdout().count("\n") == 3, 2, "three lines")
    by_outcome = {line["outcome"]: line for line in map(json.loads, gateway.stdout().splitlines())}
    whole, left, refused = by_outcome["ok"], by_outcome["client_gone"], by_outcome["refused"]
    assert (whole["prompt_tokens"], whole["completion_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (whole["exact"], whole["waited_ms"], whole["stage"]) == (True, 0.0, "streaming")
    assert (left["exact"], left["status"], left["stage"]) == (False, 200, "streaming")
    assert left["completion_tokens"] >= 1
    assert not {"stage", "waited_ms", "prompt_tokens", "exact"} & set(refused)


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


def test_p36_lines_that_a_slow_reader_loses_are_counted_and_no_more_wait_than_the_limit() -> None:
    unread, full = os.pipe()
    log = AccessLog(full, True, Supervisor())
    log.start()
    record = RequestRecord("1", 0.0)
    added = 0
    while log.waiting <= MAX_WAITING_BYTES:
        log.add(record, 200, 0.1)
        added += 1
    for _ in range(1000):
        log.add(record, 200, 0.1)
    log.flush()
    assert log.waiting <= MAX_WAITING_BYTES + 2 * PIECE_BYTES
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.extend(iter(lambda: os.read(unread, 65536), b"")))
    reader.start()
    wait_until(lambda: not log.waiting, 10, "all written")
    log.add(record, 200, 0.1)
    log.stop()
    os.close(full)
    reader.join(10)
    os.close(unread)
    lines = [json.loads(line) for line in b"".join(said).splitlines()]
    dropped = sum(line.get("lines_dropped", 0) for line in lines)
    assert dropped > 0
    assert sum("status" in line for line in lines) + dropped == added + 1001


def test_p36_every_line_is_written_once_also_where_the_reader_takes_a_part_at_a_time() -> None:
    unread, full = os.pipe()
    os.set_blocking(unread, True)
    log = AccessLog(full, True, Supervisor())
    log.start()
    count = 3000  # several pieces, each larger than what a pipe takes at once
    for number in range(count):
        log.add(RequestRecord(str(number), 0.0), 200, 0.1)
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.extend(iter(lambda: os.read(unread, 5000), b"")))
    reader.start()
    log.stop()
    os.close(full)
    reader.join(10)
    os.close(unread)
    assert [json.loads(line)["request_id"] for line in b"".join(said).splitlines()] == [str(n) for n in range(count)]


def test_times_are_milliseconds_with_one_decimal_and_the_moment_has_three() -> None:
    read, write = os.pipe()
    log = AccessLog(write, True, Supervisor())
    log.start()
    record = RequestRecord("1", 0.0)
    record.ttft, record.waited = 0.01234567, 0.0
    log.add(record, 200, 1.98765)
    log.stop()
    os.close(write)
    with os.fdopen(read, "rb") as lines:
        line = json.loads(lines.read())
    assert (line["ms"], line["ttft_ms"], line["waited_ms"]) == (1987.7, 12.3, 0.0)
    assert len(str(line["time"]).partition(".")[2]) <= 3 and abs(line["time"] - time.time()) < 60
