"""Secrets made once."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.harness import (
    run,
)


def test_p40_a_key_file_is_made_once_and_kept(tmp_path: Path) -> None:
    first = run("gateway.keyfile", str(tmp_path / "new"), "--also", "grafana_password")
    key = (tmp_path / "new" / "api_keys").read_text().strip()
    assert key.startswith("fb-") and len(key) == 35
    assert f"\n{key}\n" in first.stdout
    assert (tmp_path / "new" / "api_keys").stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "new" / "grafana_password").read_text().strip()) == 32
    second = run("gateway.keyfile", str(tmp_path / "new"))
    assert key not in second.stdout and "kept" in second.stdout
    assert (tmp_path / "new" / "api_keys").read_text().strip() == key
