"""Every candidate does the same work, or the comparison would say nothing."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gateway.bench.candidates import CANDIDATES, Target, free_port, report, started, write_config
from tests.gateway.harness import Engine, chat, wait_until

KEY = {"authorization": "Bearer bench-key-0123456789"}


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_relays_streams_and_answers_and_wants_the_key(name: str, engine: Engine, tmp_path: Path) -> None:
    port, engine_port = free_port(), int(engine.url.rpartition(":")[2])
    values = {"config": str(write_config(tmp_path, port, engine_port)), "port": str(port), "engine": engine.url}
    with started([part.format(**values) for part in CANDIDATES[name]], port, core=0):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client:
            url = "/v1/chat/completions"
            wait_until(lambda: client.post(url, json=chat(max_tokens=1)).status_code == 200, 5, "ready")
            streamed = client.post(url, json=chat(True, max_tokens=3)).text
            assert streamed.count("data: {") == 4
            assert streamed.endswith("data: [DONE]\n\n")
            assert client.post(url, json=chat(max_tokens=3)).json()["usage"]["completion_tokens"] == 3
            assert client.post(url, json={"model": "other"}).status_code == 404
            assert client.post(url, json=chat(), headers={"authorization": "Bearer x"}).status_code == 401


def test_the_report_is_medians_of_quiet_rounds_and_ratios_to_direct(capsys: pytest.CaptureFixture[str]) -> None:
    direct, ours = Target("direct", 1, None), Target("ours", 2, None)
    for target, scale in ((direct, 1.0), (ours, 2.0)):
        for value, foreign in ((1.0, 0.1), (1.0, 0.2), (100.0, 0.9)):
            for cell in ("us per chunk", "delivered", "failed", "ttft p50 ms", "ttft p99 ms", "ms per request"):
                target.note(cell, value * scale)
            target.note("req/s", 1000 / scale)
            target.note("foreign", foreign)
    report([direct, ours], 3)
    assert "| ours | 2 | 1.0 / 1.0 | 200% | 2 | 500 | 0.50 | 2.000 | 2 |" in capsys.readouterr().out
