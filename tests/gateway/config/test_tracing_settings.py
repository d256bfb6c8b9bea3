"""`tracing` in gateway.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import loader
from gateway.config.loader import SettingsError
from tests.gateway.harness import write_config


def test_an_address_alone_is_enough(tmp_path: Path) -> None:
    tracing = loader.load(write_config(tmp_path, ["http://e:1"], tracing="http://collector:4318")).tracing
    assert tracing is not None and (tracing.url, tracing.sample) == ("http://collector:4318", 1.0)
    assert loader.load(write_config(tmp_path, ["http://e:1"])).tracing is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("http://user:pw@collector:4318", "is no server's address"),
        ("http://collector:4318/v1/traces", "is no server's address"),
        ({"url": "http://collector:4318", "sample": 2.0}, "tracing.sample"),
        ({"sample": 1.0}, "tracing.url"),
    ],
)
def test_anything_else_is_one_line(tmp_path: Path, said: object, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        loader.load(write_config(tmp_path, ["http://e:1"], tracing=said))
    assert "pw" not in str(caught.value)
