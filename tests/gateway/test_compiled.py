"""The compiled form of the gateway is built from the checkout, is what runs, and serves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.gateway.harness import KEY, ROOT, START_S, Engine, bearer, chat, wait_until, write_config

URL = "/v1/chat/completions"
SCRIPT = ROOT / "scripts/compile-gateway"
# Where each module comes from that a request goes through; imported as the compiled gateway itself imports them.
WHERE = (
    "import sys, gateway.app; print(*(m.__file__ for n, m in sorted(sys.modules.items()) if n.startswith('gateway.')))"
)
INTERPRETED = {
    "adapt", "app", "asking", "bookkeeper", "errors", "keyfile", "keystore", "metrics_port", "openapi", "pages",
    "poller", "reload", "reports", "resolver", "routing", "schema", "scrape", "settings", "settings_file", "spill",
    "state", "vitals", "yamlfile",
}  # fmt: skip


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"MYPYC_OPT_LEVEL": "0"}


@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_compiled_gateway_serves(start_engine: Callable[..., Engine], tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    subprocess.run([SCRIPT, folder], check=True, capture_output=True, env=environment())
    found = subprocess.run(
        [sys.executable, "-c", WHERE], cwd=folder, env=environment(), check=True, capture_output=True, text=True
    )
    paths = [Path(name) for name in found.stdout.split()]
    assert all(path.is_relative_to(folder) for path in paths)
    assert {path.stem for path in paths if path.suffix == ".py"} <= INTERPRETED | {"__init__"}
    assert sum(path.suffix == ".so" for path in paths) >= 28

    engine = start_engine()
    config = write_config(tmp_path, [engine.url])
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "--config", config],
            cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=err,
        )  # fmt: skip
    try:
        wait_until(lambda: "listening on" in (tmp_path / "err").read_text(), START_S, "up")
        url = (tmp_path / "err").read_text().partition("listening on ")[2].split(" ")[0]
        with httpx.Client(base_url=url, headers=bearer(KEY)) as client:
            wait_until(lambda: client.get("/health").status_code == 200, START_S, "an engine up")
            whole = client.post(URL, json=chat(max_tokens=5))
            assert whole.status_code == 200 and whole.json()["usage"]["completion_tokens"] == 5
            assert client.post(URL, json=chat(True, max_tokens=5)).text.endswith("data: [DONE]\n\n")
            assert client.post(URL, json=chat(n=129)).status_code == 400
            assert client.post(URL, json=chat(), headers=bearer("no")).status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
