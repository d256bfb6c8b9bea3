"""Refusing to start."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.loader import SettingsError, load
from gateway.config.settings import Settings
from tests.gateway.harness import (
    run,
    write_config,
)

BAD_CONFIGS: list[tuple[dict[str, dict[str, Any]], str]] = [
    ({"limits": {"max_body_byte": 1}}, "limits.max_body_byte: no such setting (did you mean max_body_bytes?)"),
    ({"listen": {"port": 70000}}, "listen.port: 70000 should be less than or equal to 65535"),
    ({"limits": {"max_in_flight": 0}}, "limits.max_in_flight: 0 should be greater than 0"),
    ({"frobnicate": {}}, "frobnicate: no such setting; there are listen, metrics_listen"),
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


def refused(folder: Path, urls: list[str] | None = None, **settings: Any) -> list[str]:
    with pytest.raises(SettingsError) as error:
        load(write_config(folder, urls or ["http://127.0.0.1:1"], **settings))
    return [line.partition("gateway.yaml: ")[2] for line in error.value.lines]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limits": {"max_in_flight": True}}, "limits.max_in_flight: True should be a valid integer"),
        ({"limits": {"max_in_flight": "231"}}, "limits.max_in_flight: '231' should be a valid integer"),
        ({"limits": {"max_in_flight": 231.0}}, "limits.max_in_flight: 231.0 should be a valid integer"),
        ({"limits": {"max_in_flight": 10**30}}, f"limits.max_in_flight: {10**30} should be less than or equal to"),
        ({"limits": {"keep_alive_s": "75"}}, "limits.keep_alive_s: '75' should be a valid number"),
        ({"limits": {"keep_alive_s": False}}, "limits.keep_alive_s: False should be a valid number"),
        ({"limits": {"keep_alive_s": float("nan")}}, "limits.keep_alive_s: nan should be a finite number"),
        ({"limits": {"keep_alive_s": -1}}, "limits.keep_alive_s: -1 should be greater than 0"),
        ({"routing": {"retry_floor_per_s": float("inf")}}, "routing.retry_floor_per_s: inf should be a finite number"),
        ({"routing": {"affinity": "yes"}}, "routing.affinity: 'yes' should be a valid boolean"),
        ({"routing": {"affinity": 1}}, "routing.affinity: 1 should be a valid boolean"),
        ({"log": []}, "log: a list should be a mapping"),
        ({"deployment": 7}, "deployment: 7 should be a text; put it in quotes"),
        ({"deployment": date(2026, 11, 30)}, "deployment: 2026-11-30 should be a text; put it in quotes"),
        ({"deployment": "a\nb"}, "deployment: has characters that cannot be printed; write plain text"),
        ({"deployment": "\ud800"}, "deployment: '\\ud800' should be a text without halves of characters"),
        ({"engine": {"models": "tiny"}}, "engines[0].models: a text should be a list"),
        ({"engine": {"models": [1]}}, "engines[0].models[0]: 1 should be a text; put it in quotes"),
        ({"engine": {"max_num_seqs": None}}, "engines[0].max_num_seqs: None should be a valid integer"),
        ({"store": {"a": 1}}, "store: a mapping is not a valid path"),
        ({1: 2}, "1: "),
        ({"metrics_listen": {"hots": "x"}}, "metrics_listen.hots: no such setting (did you mean host?)"),
        ({"engine": {"modells": ["x"]}}, "engines[0].modells: no such setting (did you mean models?)"),
        (
            {"listen": {"port": 8080}, "metrics_listen": {"port": 8080}},
            "metrics_listen: 8080 is the port of listen; give another one",
        ),
    ],
)
def test_p164_nothing_is_coerced(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    (line,) = refused(tmp_path, **{str(name): value for name, value in settings.items()})
    assert line.startswith(message)


def test_p164_whole_numbers_are_numbers(tmp_path: Path) -> None:
    assert load(write_config(tmp_path, ["http://127.0.0.1:1"], limits={"keep_alive_s": 75})).limits.keep_alive_s == 75


@pytest.mark.parametrize(
    "url",
    [
        "http://u:SECRETPW@x:1",
        "http://SECRETPW@x:1",
        "http://u:SECRETPW@x",
        "https://u:SECRETPW@x:1",
        "u:SECRETPW@x:1",
        "http://u:SECRET/PW@x:1",
        "http://u:SECRET@PW@x:1",
        "http://u:SECRET?PW@x:1/",
        "http://u:SECRET#PW@x:1/",
        "http://u:SECRET://PW@x:1/",
        "http://u:SECRETPW@[::1",
        "http://u:SECRETPW@x\u2100:1",
        "http://x:1/?key=SECRETPW",
        "http://x:1?SECRETPW",
        "http://x:1#SECRETPW",
        "u:SECRETPW@a://b",
    ],
)
def test_p164_no_message_shows_a_password(tmp_path: Path, url: str) -> None:
    (line,) = refused(tmp_path, [url])
    assert line.startswith("engines[0].url: '")
    assert "SECRET" not in line and "PW" not in line
    assert line.isprintable()


@pytest.mark.parametrize("where", ["api_keys_file", "store", "deployment", "listen", "engines", "limits", "log"])
def test_p164_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, where: str) -> None:
    for value in ({"a": "SECRET"}, ["SECRET"], [["SECRET"]], {"a": {"b": "SECRET"}}):
        config = write_config(tmp_path, ["http://127.0.0.1:1"])
        content = yaml.safe_load(config.read_text()) | {where: value}
        config.write_text(yaml.safe_dump(content))
        with pytest.raises(SettingsError) as error:
            load(config)
        assert not any("SECRET" in line for line in error.value.lines)


def test_p37_very_many_faults_are_not_told_one_by_one(tmp_path: Path) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"])
    content = yaml.safe_load(config.read_text()) | {"engines": [{}] * 2000}
    config.write_text(yaml.dump(content, Dumper=yaml.SafeDumper))
    with pytest.raises(SettingsError) as error:
        load(config)
    assert len(error.value.lines) == 21
    assert error.value.lines[-1].endswith("and 13980 faults more")


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"socket": "/run/x/metrics.sock"}, ""),
        ({"socket": "/run/x/metrics.sock", "port": 9091}, "metrics_listen: give either socket, or host and port"),
        ({"socket": "metrics.sock"}, "metrics_listen: socket: write an absolute path of at most 107 bytes"),
        ({"socket": ""}, "metrics_listen: socket: write an absolute path of at most 107 bytes"),
        ({"socket": "/" + 107 * "x"}, "metrics_listen: socket: write an absolute path of at most 107 bytes"),
        ({"port": 8080}, "metrics_listen: 8080 is the port of listen; give another one"),
    ],
)
def test_p165_where_the_other_listener_may_be(tmp_path: Path, metrics: dict[str, Any], said: str) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:9"])
    content = yaml.safe_load(config.read_text()) | {"listen": {"port": 8080}, "metrics_listen": metrics}
    config.write_text(yaml.safe_dump(content))
    if not said:
        load(config)
        return
    with pytest.raises(SettingsError) as error:
        load(config)
    assert len(error.value.lines) == 1 and said in error.value.lines[0]


@pytest.mark.parametrize("url", ["https://llm.example", "http://192.168.1.5:8080", "http://[fd00::1]:8080"])
def test_p192_an_address_of_clients(tmp_path: Path, url: str) -> None:
    assert load(write_config(tmp_path, ["http://127.0.0.1:9"], public_urls=[url])).public_urls == (url,)


@pytest.mark.parametrize(
    "url",
    [
        "llm.example", "ftp://llm.example", "https://llm.example/", "https://llm.example/v1", "https://LLM.example",
        "https://", "https://me:secret@llm.example", "http://box:0", "http://box:99999", "http://[x", "http://box?a=secret",
        "http://box#secret",
    ],
)  # fmt: skip
def test_p192_p164_any_other_is_refused_in_one_line_without_a_password(tmp_path: Path, url: str) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:9"], public_urls=[url])
    with pytest.raises(SettingsError) as error:
        load(config)
    (line,) = error.value.lines
    assert "public_urls[0]: " in line and "write https://HOST or http://HOST:PORT" in line
    assert "secret" not in line


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=10,
)
SECTIONS = sorted(Settings.model_fields)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(section=st.sampled_from(SECTIONS), inner=st.none() | st.text(max_size=10), value=ANYTHING)
def test_p37_whatever_is_written_is_settings_or_lines(
    tmp_path: Path, section: str, inner: str | None, value: Any
) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"], "fuzz.yaml")
    content = yaml.safe_load(config.read_text())
    fields = getattr(Settings.model_fields[section].annotation, "model_fields", {})
    names = sorted(fields) or [inner or "x"]
    if inner is None:
        content[section] = value
    else:
        content[section] = {names[len(inner) % len(names)]: value, inner: value}
    try:
        config.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
        load(config)
    except SettingsError as error:
        assert error.lines
        assert all(line.isprintable() and len(line) < 1000 for line in error.lines)


@pytest.mark.parametrize(
    "written",
    [
        {"cors": {"origins": ["\x85"]}},
        {"cors": {"origins": ["x" * 5000]}},
        {"aliases": {"a\x85": "tiny"}},
        {"engines": [{"name": "e", "url": "http://\x85", "models": ["tiny"]}]},
    ],
)
def test_p37_what_a_message_quotes_can_be_printed(tmp_path: Path, written: dict[str, Any]) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"], "odd.yaml")
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | written), encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load(config)
    assert all(line.isprintable() and len(line) < 1000 for line in refused.value.lines)
