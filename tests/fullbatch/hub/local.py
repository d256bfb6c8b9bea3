"""A hub on this machine that speaks the API: repositories as mappings of files, and what it can refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class LocalHub:
    """`repositories`: name -> path -> content, or the size of a file that is never fetched. `gated`: behind a licence,
    `private`: only for `token`. `page`: everything is answered with a web page. `asked`: paths, and who asked."""

    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    gated: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    token: str = "hf_right"
    page: bool = False
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, path: str, token: str | None) -> tuple[int, str, bytes]:
        """Status, error code and body."""
        if self.page:
            return 200, "", b"<!doctype html><title>Mirror</title>"
        api, _, rest = path.removeprefix("/").partition("/")
        name, kind, wanted = self._parts(rest if api == "api" else path.removeprefix("/"), api == "api")
        let_in = token == f"Bearer {self.token}"
        if name not in self.repositories or (name in self.private and not let_in):
            return 401, "RepoNotFound", b"{}"
        files = self.repositories[name]
        if kind == "revision":
            if wanted not in ("main", COMMIT):
                return 404, "RevisionNotFound", b"{}"
            listed = [{"rfilename": file, "size": self._size(content)} for file, content in files.items()]
            called = self.renamed.get(name, name)
            said: dict[str, Any] = {"id": called, "sha": COMMIT, "gated": name in self.gated, "siblings": listed}
            return 200, "", json.dumps(said).encode()
        if kind == "tree":
            tree = [
                {"type": "file", "path": file, "size": self._size(content), "oid": "0"}
                for file, content in files.items()
            ]
            return 200, "", json.dumps(tree).encode()
        if name in self.gated and not let_in:
            return 403, "GatedRepo", b"{}"
        content = files[wanted]
        return 200, "", content if isinstance(content, bytes) else str(content).encode()

    def _parts(self, path: str, api: bool) -> tuple[str, str, str]:
        words = (path.removeprefix("models/") if api else path).split("?")[0].split("/")
        if len(words) == 2:  # of its main branch
            words += ["revision", "main"]
        words += [""] * (3 - len(words))
        return "/".join(words[:2]), words[2], "/".join(words[3:] if api else words[4:])

    def _size(self, content: str | bytes | int) -> int:
        return content if isinstance(content, int) else len(content)


@contextmanager
def serving(hub: LocalHub) -> Iterator[LocalHub]:
    """`hub` at `hub.url` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self, only_head: bool = False) -> None:
            hub.asked.append((self.path, self.headers.get("Authorization")))
            status, code, body = hub.answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            if "/resolve/" in self.path:  # what Hugging Face's own library asks first
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("ETag", f'"{sha256(body).hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if only_head else body)

        def do_HEAD(self) -> None:
            self.do_GET(only_head=True)

        def log_message(self, *_words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
