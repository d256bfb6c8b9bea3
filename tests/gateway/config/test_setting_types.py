"""The limits of requests as gateway.yaml gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.loader import SettingsError, load
from tests.gateway.harness import write_config


def read(folder: Path, **settings: Any) -> Any:
    return load(write_config(folder, ["http://127.0.0.1:1"], **settings))


def test_they_are_read(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        limits={"requests": {"compile_s": 5, "max_tools": 10, "clamp_max_tokens": True}},
        cors={"origins": ["https://chat.example"]},
        aliases={"gpt-4o": "tiny"},
        prefix_sharing="key",
    )
    limits = settings.limits.requests
    assert (limits.compile_s, limits.max_tools, limits.clamp_max_tokens) == (5, 10, True)
    assert settings.cors.origins == ("https://chat.example",)
    assert (settings.aliases, settings.prefix_sharing) == ({"gpt-4o": "tiny"}, "key")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"limits": {"requests": {"max_tols": 1}}}, "limits.requests.max_tols"),
        ({"limits": {"requests": {"compile_s": 0}}}, "limits.requests.compile_s"),
        ({"limits": {"requests": {"max_tools": "many"}}}, "limits.requests.max_tools"),
        ({"limits": {"requests": {"clamp_max_tokens": 1}}}, "limits.requests.clamp_max_tokens"),
        ({"limits": {"max_body_bytes_in_flight": 5}}, "max_body_bytes_in_flight is 5"),
        ({"cors": {"origins": ["chat.example"]}}, "'chat.example' is not an origin"),
        ({"cors": {"origins": "https://chat.example"}}, "cors.origins"),
        ({"aliases": {"a": "b"}}, "'a' stands for 'b', which no engine serves"),
        ({"prefix_sharing": "some"}, "prefix_sharing"),
    ],
)
def test_p37_what_is_wrong_is_one_line(tmp_path: Path, settings: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, **settings)
    assert len(refused.value.lines) == 1 and line in refused.value.lines[0]
