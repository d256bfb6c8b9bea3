"""The pages' files: from memory, with an ETag, under a strict policy, and nothing from elsewhere."""

from __future__ import annotations

import re

import httpx
import pytest

from gateway.pages.assets import FOLDER, load
from tests.gateway.harness import Raw
from tests.gateway.pages.conftest import Served

FILES = sorted(load())
PAGES = ("/", "/me", "/admin")
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_every_file_of_the_folder_is_known() -> None:
    assert FILES == sorted(path.name for path in FOLDER.iterdir())
    tags = {asset.etag for asset in load().values()}
    assert len(tags) == len(FILES)


@pytest.mark.parametrize("name", FILES)
def test_p191_pages_hold_no_script_no_style_and_nothing_from_elsewhere(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    if name.endswith(".html"):
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]* src=)", text)
    if name.endswith(".js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)


@pytest.mark.parametrize("path", [*PAGES, "/ui/style.css", "/ui/chat.js", "/ui/v1/status"])
def test_p191_every_answer_of_the_pages_has_the_strict_headers(served: Served, path: str) -> None:
    answer = served.get(path, **HTML)
    assert answer.status_code == 200
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    kept = "no-store" if path in ("/", "/ui/v1/status") else "no-cache"
    assert answer.headers["cache-control"] == kept


def test_p191_what_a_browser_has_is_not_sent_again(served: Served) -> None:
    for path in ("/ui/style.css", "/me"):
        first = served.get(path)
        tag = first.headers["etag"]
        for condition in (tag, f'"other", W/{tag}', "*"):
            again = served.get(path, **{"if-none-match": condition})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert served.get(path, **{"if-none-match": '"other"'}).status_code == 200
        assert httpx.head(served.gateway.url + path).headers["content-length"] == str(len(first.content))


def test_p191_a_connection_goes_on_after_a_304(served: Served) -> None:
    tag = served.get("/ui/style.css").headers["etag"]
    with Raw(served.gateway.port) as raw:
        asked = f"GET /ui/style.css HTTP/1.1\r\nHost: g\r\nIf-None-Match: {tag}\r\n\r\n"
        raw.send(asked.encode() + b"GET /livez HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")
        answer = raw.read_to_close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 304 Not Modified") and b"transfer-encoding" not in head
    assert rest.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("path", ["/ui/", "/ui/front.html", "/ui/../app.py", "/ui/%2e%2e/app.py", "/ui/v1", "/me/"])
def test_p191_nothing_else_lies_there(served: Served, path: str) -> None:
    with Raw(served.gateway.port) as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n".encode())
        assert raw.read_to_close().startswith(b"HTTP/1.1 404 ")
