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
