"""Questions to the hub's API. Where it is and how it is reached is taken from the environment, as Hugging Face's own
library does: HF_ENDPOINT, HF_TOKEN (or what `hf auth login` kept), HF_HUB_OFFLINE, proxies, SSL_CERT_FILE."""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from fullbatch.core.errors import HostError, UsageError

PUBLIC = "https://huggingface.co"
TIMEOUT_S = 15.0
# A description has some hundred kilobytes where a repository has thousands of files.
_MOST_BYTES = 32 * 2**20
_ELSEWHERE = "set HF_ENDPOINT for a mirror or HTTPS_PROXY for a proxy, or name a folder that holds the model"


def endpoint() -> str:
    """Where the hub is."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or PUBLIC


def shown() -> str:
    """The same as it is told: without user and password."""
    return re.sub(r"//.*@", "//", endpoint())


def described(name: str, revision: str) -> dict[str, Any]:
    """What the API says of a repository: its commit, its files with their sizes.

    Raises:
        UsageError: there is none for us, or it is called otherwise now.
        HostError: nobody answers, or not as a hub does.
    """
    body = _ask(f"/api/models/{quote(name)}/revision/{quote(revision, safe='')}?blobs=true", name, revision)
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("siblings"), list):
        raise HostError(f"{shown()} does not answer as a hub does (it sent {_kind(body)}); {_ELSEWHERE}")
    called = found.get("id") or found.get("modelId") or name
    if called != name:
        raise UsageError(f"{name} is called {called} at {shown()} now; write that")
    return found


def file(name: str, commit: str, path: str) -> bytes:
    """One file of a repository, of some kilobytes."""
    return _ask(f"/{quote(name)}/resolve/{quote(commit, safe='')}/{quote(path)}", name, commit)


def beginning(name: str, commit: str, path: str, count: int) -> bytes:
    """The first `count` bytes of a file of any size, or all of a shorter one."""
    return _ask(f"/{quote(name)}/resolve/{quote(commit, safe='')}/{quote(path)}", name, commit, count)


def _ask(path: str, name: str, revision: str, first: int | None = None) -> bytes:
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "TRUE", "YES", "ON"):
        raise HostError(f"{name} was not described before, and HF_HUB_OFFLINE forbids asking {shown()}; unset it once")
    parts = urlsplit(endpoint())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"HF_ENDPOINT: '{shown()}' is no address; write https://HOST")
    request = urllib.request.Request(endpoint() + path, headers={"User-Agent": "fullbatch"})
    token = _token()
    if token:  # kept from hosts that it is sent on to
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    if first:
        request.add_header("Range", f"bytes=0-{first - 1}")  # whoever sends more is not read on
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            body = answer.read(first or _MOST_BYTES + 1)
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise _refusal(refusal, name, revision, bool(token)) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise HostError(f"{shown()} does not answer for {name} ({why}); {_ELSEWHERE}") from error
    if len(body) > _MOST_BYTES:
        raise HostError(f"{shown()} sends more than {_MOST_BYTES >> 20} MiB about {name}; {_ELSEWHERE}")
    return bytes(body)


def _refusal(answer: urllib.error.HTTPError, name: str, revision: str, with_token: bool) -> UsageError | HostError:
    code = answer.headers.get("X-Error-Code", "")
    if code == "GatedRepo":
        asked = "your token was not let in yet" if with_token else "set HF_TOKEN=hf_..."
        return UsageError(f"{name} is gated: accept the licence on its page at {shown()}; {asked}")
    if code == "RevisionNotFound":
        return UsageError(f"{name} has no revision '{revision}' at {shown()}; write a branch or commit that it has")
    if code == "EntryNotFound":
        return UsageError(f"{name} has no config.json at {shown()}: vLLM loads no such repository; name another")
    if answer.code in (401, 403, 404):
        token = "or a token that may read it" if with_token else "or, if it is private, set HF_TOKEN=hf_..."
        return UsageError(f"{shown()} has no {name} for you: look at the name, {token}")
    return HostError(f"{shown()} answers {answer.code} for {name}; try again later, or {_ELSEWHERE}")


def _token() -> str:
    said = os.environ.get("HF_TOKEN", "").strip()
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface"))
    kept = Path(os.environ.get("HF_TOKEN_PATH", home / "token")).expanduser()
    try:
        return said or kept.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _kind(body: bytes) -> str:
    return "a web page" if body.lstrip()[:1] == b"<" else "something else than JSON"
