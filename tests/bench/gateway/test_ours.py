"""Our gateway is measured with a configuration that it takes."""

from __future__ import annotations

from pathlib import Path

from bench.gateway.ours import write_config
from bench.gateway.request import KEY, MODEL
from gateway.config.loader import load, read_api_keys


def test_the_configuration_is_valid_and_everything_is_on(tmp_path: Path) -> None:
    settings = load(write_config(tmp_path, 1234, 5678))
    assert settings.listen.port == 1234
    assert (settings.engines[0].port, settings.engines[0].models) == (5678, (MODEL,))
    assert settings.log.access
    assert read_api_keys(settings.api_keys_file) == (KEY.encode(),)
