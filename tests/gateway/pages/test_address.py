"""The Host header chooses among addresses that are known, and adds none."""

from __future__ import annotations

import pytest

from gateway.config.listen import Listen
from gateway.pages.address import Address, shown

URLS = ("https://llm.example", "http://box.lan:8080", "http://plain.lan")
LISTEN = Listen(host="0.0.0.0", port=8080)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (b"llm.example", "https://llm.example"),
        (b"LLM.example:443", "https://llm.example"),
        (b"box.lan:8080", "http://box.lan:8080"),
        (b"plain.lan", "http://plain.lan"),
        (b"plain.lan:80", "http://plain.lan"),
        (b"localhost:9000", "http://localhost:9000"),
        (b"127.0.0.1:8080", "http://127.0.0.1:8080"),
        (b"[::1]:8080", "http://[::1]:8080"),
        (b"localhost", "http://localhost"),
        (b"[::1]", "http://[::1]"),
    ],
)
def test_an_address_that_is_known_is_shown_as_it_was_used(host: bytes, url: str) -> None:
    assert shown(host, URLS, LISTEN) == Address(url, True)


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example", b"llm.example.evil.example", b"llm.example:8080", b"box.lan", b"localhost:8080<script>",
        b"localhost:99999999", b"localhost:0", b"localhost:\xb2", b"localhost:", b"", b"[::1]x", b"127.0.0.1.evil:80",
        b"10.0.0.1:8080",
    ],
)  # fmt: skip
def test_any_other_is_not_and_the_first_that_is_configured_is_shown(host: bytes) -> None:
    assert shown(host, URLS, LISTEN) == Address("https://llm.example", False)
    assert shown(host, (), LISTEN) == Address("http://127.0.0.1:8080", False)


def test_what_it_listens_on_is_known_too() -> None:
    listen = Listen(host="192.168.1.5", port=8080)
    assert shown(b"192.168.1.5:8080", (), listen) == Address("http://192.168.1.5:8080", True)
    assert shown(b"evil", (), listen) == Address("http://192.168.1.5:8080", False)
    assert shown(b"evil", (), Listen(host="fd00::1", port=80)).url == "http://[fd00::1]"
