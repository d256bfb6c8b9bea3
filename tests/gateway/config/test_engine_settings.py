"""Where engines may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.loader import load
from tests.gateway.config.test_settings import refused
from tests.gateway.harness import write_config


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://x:0", "has no usable port"),
        ("http://x:99999", "has no usable port"),
        ("http://x", "has no usable port; write http://x:8000"),
        ("http://" + "a" * 64 + ":1", "has no usable host"),
        ("http://" + "a." * 130 + "b:1", "has no usable host"),
        ("http://a b:1", "has no usable host"),
        ("http://b\u00fccher:1", "has no usable host"),
        ("http://1.2.3:1", "has no usable host"),
        ("http://[::1", "is not http://HOST:PORT"),
        ("http:///x", "is not http://HOST:PORT"),
        ("", "has no scheme"),
    ],
)
def test_p37_an_engine_that_nobody_could_find_is_refused(tmp_path: Path, url: str, why: str) -> None:
    (line,) = refused(tmp_path, [url])
    assert why in line


@pytest.mark.parametrize(
    "url", ["http://engine:8000", "http://node-0:8000/", "http://[::1]:80", "http://a_b.c:1", "http://10.0.0.1:8000"]
)
def test_an_engine_by_name_or_address_is_taken(tmp_path: Path, url: str) -> None:
    assert load(write_config(tmp_path, [url])).engines[0].url == url


NUMBERS = {"max_num_seqs": 1, "max_num_batched_tokens": 64, "max_model_len": 64, "kv_cache_tokens": 64}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"url": "https://b:8443"}, "an engine speaks http; for another box's gateway write 'kind: peer'"),
        ({"url": "http://b:1", "key_file": "k"}, "key_file and ca_file are of a peer"),
        ({"url": "https://b:8443", "kind": "peer"}, "key_file: a peer needs a key that the other box has made"),
        ({"url": "http://b:1", "kind": "peer", "key_file": "k"}, "the way has to be encrypted; write https://b:1"),
        (
            {"url": "https://b:8443", "kind": "peer", "key_file": "none"},
            "none: cannot be read (no such file or directory)",
        ),
        ({"url": "https://b:8443", "kind": "peer", "key_file": "short"}, "short: holds no key; write it alone"),
        (
            {"url": "https://b:8443", "kind": "peer", "key_file": "k", "ca_file": "k"},
            "k: holds no certificate; write the CA's",
        ),
    ],
)
def test_p233_a_peer_that_cannot_be_one(tmp_path: Path, change: dict[str, str], why: str) -> None:
    (tmp_path / "k").write_text("fb-0123456789abcdef\n")
    (tmp_path / "short").write_text("short\n")
    (line,) = refused(tmp_path, engines=[{"name": "b", "models": ["m"], **NUMBERS, **change}])
    assert why in line


def test_p233_a_peer_through_a_tunnel_needs_no_tls(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("fb-0123456789abcdef\n")
    peer = {"name": "b", "models": ["m"], "url": "http://127.0.0.1:9", "kind": "peer", "key_file": "k", **NUMBERS}
    (engine,) = load(write_config(tmp_path, [], engines=[peer])).engines
    assert engine.key is not None
    assert (engine.key.get_secret_value(), engine.secure) == ("fb-0123456789abcdef", False)
