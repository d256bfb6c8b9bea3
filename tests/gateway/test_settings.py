"""Refusing to start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.harness import (
    run,
    write_config,
)

BAD_CONFIGS: list[tuple[dict[str, dict[str, Any]], str]] = [
    ({"limits": {"max_body_byte": 1}}, "limits.max_body_byte: no such setting (did you mean max_body_bytes?)"),
    ({"listen": {"port": 70000}}, "listen.port: 70000 should be less than or equal to 65535"),
    ({"limits": {"max_in_flight": 0}}, "limits.max_in_flight: 0 should be greater than 0"),
    ({"frobnicate": {}}, "frobnicate: no such setting; there are listen, api_keys_file"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_CONFIGS)
def test_p37_a_bad_setting_is_one_line_and_exit_2(
    tmp_path: Path, settings: dict[str, dict[str, Any]], message: str
) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"], **settings)
    result = run("gateway", "--config", str(config))
    assert result.returncode == 2
    assert result.stderr.startswith(f"{config}: {message}")
    assert result.stderr.count("\n") == 1


def test_p37_a_bad_engine_url_says_what_to_write(tmp_path: Path) -> None:
    result = run("gateway", "--config", str(write_config(tmp_path, ["engine:8000", "http://engine/v1"])))
    lines = result.stderr.splitlines()
    assert lines[0].endswith("engines[0].url: 'engine:8000' has no scheme; write http://engine:8000")
    assert "engines[1].url: 'http://engine/v1' has more than host and port" in lines[1]
    assert len(lines) == 2
