from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fullbatch.catalog.test_config_json import LLAMA
from tests.fullbatch.hub.local import LocalHub, serving

GIB = 2**30
CONFIG = json.dumps(LLAMA)
TUNE = "acme/tune-8b"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    files: dict[str, str | int] = {
        "config.json": CONFIG, "model-00001-of-00002.safetensors": 9 * GIB, "model-00002-of-00002.safetensors": 6 * GIB,
        "original/consolidated.00.pth": 15 * GIB, "consolidated.safetensors": 15 * GIB, "tune.gguf": 4 * GIB,
    }  # fmt: skip
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(LocalHub({TUNE: files})) as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        yield found
