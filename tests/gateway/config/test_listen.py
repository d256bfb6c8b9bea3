"""Where the gateway listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.listen import is_loopback
from gateway.config.loader import SettingsError, load
from tests.gateway.harness import run, write_config

ENGINE = ["http://127.0.0.1:1"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.local"])
def test_p211_plain_http_beyond_loopback_has_to_be_meant(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(write_config(tmp_path, ENGINE, listen={"host": host}))
    (line,) = caught.value.lines
    assert f"listen: {host} is reached by other machines, in plain HTTP" in line
    assert "TLS" in line and "plain_http: true" in line
    assert load(write_config(tmp_path, ENGINE, listen={"host": host, "plain_http": True})).listen.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_p211_loopback_needs_no_word(tmp_path: Path, host: str) -> None:
    assert is_loopback(host)
    assert load(write_config(tmp_path, ENGINE, listen={"host": host})).listen.plain_http is False


def test_p211_the_gateway_does_not_start_then(tmp_path: Path) -> None:
    refused = run("gateway", "--config", str(write_config(tmp_path, ENGINE, listen={"host": "0.0.0.0"})))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "plain_http: true" in refused.stderr
