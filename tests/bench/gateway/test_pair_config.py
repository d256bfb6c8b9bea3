"""What the pair is started with comes from the shipped configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.gateway import pair_config
from bench.gateway.programs import BenchError


def test_the_shipped_backend_is_behind_each_port(tmp_path: Path) -> None:
    text = pair_config.haproxy(tmp_path / "h.cfg", {"a": 1001, "b": 1002}, {"a": [1], "b": [2, 3]}).read_text()
    assert text.count("retry-on conn-failure 503") == 2
    assert "bind 127.0.0.1:1002\n  default_backend behind-b" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("  server ")] == [
        "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3",
    ]  # fmt: skip
    assert "gateway-1" not in text


def test_gateways_of_a_group_share_and_one_alone_does_not(tmp_path: Path) -> None:
    place = pair_config.PairPlace(tmp_path, ["python3"], 8000, "valkey://127.0.0.1:1")
    alone, first = pair_config.gateway(place, "alone"), pair_config.gateway(place, "first", group="g")
    settings = [yaml.safe_load((each.folder / "gateway.yaml").read_text()) for each in (alone, first)]
    assert "share" not in settings[0]
    assert (settings[1]["share"], settings[1]["deployment"]) == ("valkey://127.0.0.1:1", "g")


def test_a_refused_key_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="not allowed|write a name"):
        pair_config.made_keys(tmp_path / "store", {"other": ()})
