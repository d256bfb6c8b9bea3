"""What a peer says is judged before it is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.engines import peer_report
from gateway.engines.peer_report import PROTOCOL, PeerRefused

NOW = 1_000_000.0
ENGINE = {
    "name": "e", "models": ["m"], "configured": ["m", "sql"], "reason": "", "max_num_seqs": 8,
    "max_num_batched_tokens": 64, "max_model_len": 64, "kv_cache_tokens": 64, "running": 3, "waiting": 0, "free": 5,
    "addresses": 2, "load": 600.0, "generated": 77.0,
}  # fmt: skip


def told(**change: Any) -> bytes:
    return json.dumps(
        {"protocol": PROTOCOL, "version": "1", "id": "b", "time": NOW, "engines": [ENGINE]} | change
    ).encode()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (401, b"", "it does not take our key (it answers 401)"),
        (404, b"", "it is no Fullbatch gateway that knows peers (it answers 404 at /peer)"),
        (200, b"<html>", "it is no Fullbatch gateway that knows peers (no JSON at /peer)"),
        (200, told(protocol=PROTOCOL + 1), f"it speaks version {PROTOCOL + 1} of the peers' protocol"),
        (200, told(protocol=None), "it speaks version None of the peers' protocol"),
        (200, told(engines=[{}]), "its answer at /peer cannot be read"),
        (200, told(time=NOW - 3600), "its clock is 3600 s behind ours"),
        (200, told(time=NOW + 301), "its clock is 301 s ahead of ours"),
        (200, told(id="a"), "it is this gateway itself"),
    ],
)
def test_p233_who_is_refused_and_why(status: int, body: bytes, why: str) -> None:
    with pytest.raises(PeerRefused, match="^" + why.replace("(", r"\(").replace(")", r"\)")):
        peer_report.read(status, body, NOW, "a")


def test_a_later_version_with_more_fields_is_read() -> None:
    found = peer_report.read(200, told(engines=[ENGINE | {"more": 1}], more=2, time=NOW - 299), NOW, "a")
    assert peer_report.serving(found, ["m", "sql"]) == ({"m"}, "")
    report, free, load, engines = peer_report.of_models(found, ["m"])
    assert (report.running, report.generation_tokens, free, load, engines) == (3, 77, 5, 300, 2)


def test_a_model_that_is_gone_there_is_named() -> None:
    found = peer_report.read(200, told(), NOW)
    assert peer_report.serving(found, ["old"]) == (set(), "it serves none of old any more")
    down = peer_report.read(200, told(engines=[ENGINE | {"models": [], "reason": "connection refused"}]), NOW)
    assert peer_report.serving(down, ["m"]) == (set(), "connection refused")
