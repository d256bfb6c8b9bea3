"""The pages' own files: read once, then served from memory with an ETag. Nothing is loaded from elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gateway.http.messages import Request
from gateway.http.reply import Reply

FOLDER = Path(__file__).parent / "static"
PREFIX = "/ui/"
HTML = b"text/html; charset=utf-8"
_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".html": HTML,
}
# Scripts and styles are files of ours, none is inside a page; no form sends anything by itself, so no key can get into
# an address even where scripts are off; and scripts can make no HTML of texts.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SAFE = (
    b"content-security-policy: %b\r\nx-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
    b"x-frame-options: DENY\r\ncross-origin-opener-policy: same-origin\r\ncross-origin-resource-policy: same-origin\r\n"
) % _POLICY
# What is true only now, or only for one key.
NOT_KEPT = SAFE + b"cache-control: no-store\r\n"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. ``etag``: with its quotes."""

    body: bytes
    content_type: bytes
    etag: bytes

    async def serve(self, request: Request, reply: Reply) -> None:
        """Send it, or say that the browser has it already."""
        lines = SAFE + b"cache-control: no-cache\r\netag: %b\r\n" % self.etag
        if _has(request.headers.get(b"if-none-match", b""), self.etag):
            reply.not_modified(self.content_type, lines)
        else:
            reply.send(200, self.content_type, self.body, lines)


def load(folder: Path = FOLDER) -> dict[str, Asset]:
    """Every file of the folder, by name."""
    return {path.name: _asset(path) for path in sorted(folder.iterdir()) if path.suffix in _TYPES}


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], b'"%b"' % hashlib.sha256(body).hexdigest()[:20].encode())


def _has(condition: bytes, etag: bytes) -> bool:
    """Of If-None-Match: a list of tags, which proxies may have made weak, or any."""
    tags = {tag.strip().removeprefix(b"W/") for tag in condition.split(b",")}
    return etag in tags or b"*" in tags
