"""A headless Chromium for tests that look at pages, driven by its DevTools protocol over a pipe: no package needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.waiting import wait_for

# The protocol's pipe is at the file descriptors 3 (to the browser) and 4 (from it).
_LAUNCH = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-extensions "
    "--disable-background-networking --disable-component-update --hide-scrollbars --remote-debugging-pipe"
).split()
_ANSWER_S = 60.0
# By name: the code that Windows gives it, and what it writes.
_KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), " ": (32, " ")}


class Page:
    """One tab. `complaints` are console errors, exceptions and failed loads; `requested` is all that was loaded."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe
        target = pipe.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = pipe.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def shape(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        phone = width < 600
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        self._pipe.events.clear()
        self._call("Page.navigate", url=url)
        self._pipe.wait_for("Page.loadEventFired")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 30.0) -> Any:
        """Asks again until the answer is true; AssertionError with the last one otherwise."""
        return wait_for(lambda: self.ask(expression), seconds, expression)

    def press(self, key: str, times: int = 1) -> None:
        """A key of the keyboard by its name, such as Tab or Enter."""
        code, text = _KEYS[key]
        for _ in range(times):
            common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            self._call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
            self._call("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, text: str) -> None:
        """Text into what has the focus."""
        self._call("Input.insertText", text=text)

    def scripts(self, on: bool) -> None:
        """Whether pages that are opened from now on may run scripts."""
        self._call("Emulation.setScriptExecutionDisabled", value=not on)

    def allow(self, *permissions: str) -> None:
        """What pages may do without asking, by the protocol's names."""
        self._pipe.call("Browser.grantPermissions", permissions=list(permissions))

    def overflow(self) -> int:
        """CSS pixels by which the page is wider than the window."""
        return int(self.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def picture(self, path: Path) -> Path:
        """The whole page, as PNG."""
        data = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    @property
    def complaints(self) -> list[str]:
        found = []
        for name, event in self._pipe.drain():
            console = name == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert")
            log = name == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning")
            if console or log or name in ("Runtime.exceptionThrown", "Network.loadingFailed"):
                found.append(f"{name}: {json.dumps(event)[:400]}")
        return found

    @property
    def requested(self) -> list[str]:
        return [e["request"]["url"] for name, e in self._pipe.drain() if name == "Network.requestWillBeSent"]

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._pipe.call(method, self._session, **parameters)


class _Pipe:
    """Messages are JSON, each ended by a zero byte. Events are kept in the order they came."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._number = 0
        self._rest = b""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._answers: dict[int, dict[str, Any]] = {}

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _ANSWER_S
        while self._number not in self._answers:
            self._read(deadline - time.monotonic())
        answer = self._answers.pop(self._number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + _ANSWER_S
        while not any(event == name for event, _ in self.events):
            self._read(deadline - time.monotonic())

    def drain(self) -> list[tuple[str, dict[str, Any]]]:
        """All events so far, also those that still wait in the pipe."""
        while select.select([self._reading], [], [], 0)[0]:
            self._read(1)
        return self.events

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select([self._reading], [], [], max(0.0, seconds))
        data = os.read(self._reading, 1 << 20) if ready else b""
        assert data, "Chromium does not answer"
        *messages, self._rest = (self._rest + data).split(b"\0")
        for raw in messages:
            message = json.loads(raw)
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.events.append((message["method"], message["params"]))


@contextmanager
def chromium(*options: str) -> Iterator[Page]:
    """A tab of a browser of its own, with a profile of its own; the test is skipped where there is no Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed (Debian's package: chromium)")
    (their_read, our_write), (our_read, their_write) = os.pipe(), os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [sys.executable, "-c", _LAUNCH, str(their_read), str(their_write), program, *_OPTIONS]
        process = subprocess.Popen(
            [*command, *options, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(their_read, their_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(their_read)
        os.close(their_write)
        pipe = _Pipe(our_read, our_write)
        try:
            yield Page(pipe)
            pipe.call("Browser.close")
        finally:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(our_read)
            os.close(our_write)
