"""The page at `/`, without a browser: what is in it, and what never is."""

from __future__ import annotations

from html import unescape

import pytest

from gateway.pages.front import about, figure
from gateway.pages.status import ModelStatus
from tests.gateway.harness import Raw
from tests.gateway.pages.conftest import EVIL, Served
from tests.gateway.pages.test_assets import HTML


def test_figures_have_three_digits_or_so() -> None:
    assert [figure(number) for number in (0, 0.04, 3.14, 12.6, 4321.9)] == ["0", "0.0", "3.1", "13", "4,322"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (ModelStatus("m", "up", 32768, ""), "32,768 tokens of context"),
        (ModelStatus("m", "starting", 8, "not asked yet"), "starting: not asked yet"),
        (ModelStatus("m", "down", 8, ""), "down"),
    ],
)
def test_what_is_said_beside_a_model(model: ModelStatus, said: str) -> None:
    assert about(model) == said


def test_p190_browsers_get_the_page_and_others_what_they_had(served: Served) -> None:
    page = served.get("/", **HTML)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Ready" in page.text and "tokens/s now" in page.text and "Connect a program" in page.text
    for accept in ("*/*", "application/json", ""):
        other = served.get("/", accept=accept)
        assert (other.text, other.headers["content-type"]) == ("Ollama is running", "text/plain; charset=utf-8")
        assert other.headers["vary"] == "accept"
    assert served.get("/").text == "Ollama is running"


def test_p190_a_name_with_markup_is_text(served: Served) -> None:
    page = served.get("/", **HTML).text
    assert EVIL not in page and "<img src=x" not in page
    assert EVIL in unescape(page)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("llm.example", "https://llm.example"),
        ("box.lan:8080", "http://box.lan:8080"),
        ("localhost:1234", "http://localhost:1234"),
        ("evil.example", "https://llm.example"),
        ('"><script>alert(1)</script>', ""),
    ],
)
def test_p192_a_forged_host_never_gets_into_the_page(served: Served, host: str, address: str) -> None:
    with Raw(served.gateway.port) as raw:
        raw.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode())
        answer = raw.read_to_close().decode()
    if not address:
        assert answer.startswith("HTTP/1.1 400 ") and "<script>" not in answer
        return
    assert f'<code id="address">{address}</code>' in answer
    assert "evil.example" not in answer
    assert ('id="elsewhere"' in answer) == (host == "evil.example")
