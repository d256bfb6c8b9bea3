"""gateway.yaml and the key file as they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.loader import SettingsError, load, read_api_keys
from tests.gateway.harness import (
    run,
    write_config,
)


def test_relative_paths_are_taken_from_the_folder_of_gateway_yaml(tmp_path: Path) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"], api_keys_file="secrets/keys", store="state/store")
    settings = load(config)
    assert settings.api_keys_file == tmp_path / "secrets" / "keys"
    assert settings.store == tmp_path / "state" / "store"
    assert load(write_config(tmp_path, ["http://127.0.0.1:1"])).store is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the API key file cannot be read (no such file or directory); make one with: python -m gateway.keyfile"),
        ("# nothing\n", "holds no API key"),
        ("changeme\n", "line 1: this key is not usable"),
        ("short\n", "line 1: this key is not usable"),
        ("long-enough-\x00\x07\n", "line 1: this key is not usable"),
        ("long-enough-k\u00e9y\n", "line 1: this key is not usable"),
    ],
)
def test_p37_without_a_real_key_it_does_not_start(tmp_path: Path, content: str | None, message: str) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"])
    keys = tmp_path / "api_keys"
    keys.unlink() if content is None else keys.write_text(content)
    result = run("gateway", "--config", str(config))
    assert result.returncode == 2
    assert f"{keys}: " in result.stderr and message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("content", ["", "listen: [", "just words", "- a\n- b\n"])
def test_p37_a_file_that_is_no_config_is_one_line(tmp_path: Path, content: str) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(content)
    result = run("gateway", "--config", str(config))
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(f"{config}: ")


def test_p171_a_key_file_with_names(tmp_path: Path) -> None:
    path = tmp_path / "api_keys"
    path.write_text("# ours\nlong-enough-key-1   first\n\nlong-enough-key-2\n\tlong-enough-key-3\tlocust\n")
    assert read_api_keys(path) == (b"long-enough-key-1 first", b"long-enough-key-2", b"long-enough-key-3 locust")


@pytest.mark.parametrize("names", ["a b", "a trusted b", "{x}", "other", "first"])
def test_p171_a_name_that_is_none_or_there_twice_is_one_line(tmp_path: Path, names: str) -> None:
    (tmp_path / "api_keys").write_text(f"long-enough-key-1 first\nlong-enough-key-2 {names}\n")
    with pytest.raises(SettingsError) as caught:
        read_api_keys(tmp_path / "api_keys")
    (said,) = caught.value.lines
    assert said.startswith(f"{tmp_path}/api_keys: line 2: what stands after the key cannot be its name; write KEY NAME")
    assert "long-enough" not in said


def test_p171_a_second_key_in_a_line_is_not_printed(tmp_path: Path) -> None:
    secret = "fb-9f8e7d6c5b4a/39281706=="
    config = write_config(tmp_path, ["http://127.0.0.1:1"])
    (tmp_path / "api_keys").write_text(f"fb-0123456789abcdef {secret}\n")
    result = run("gateway", "--config", str(config))
    assert result.returncode == 2 and "api_keys: line 1: what stands after the key cannot be its name" in result.stderr
    assert secret not in result.stderr and "0123456789abcdef" not in result.stderr


@pytest.mark.parametrize("keys", ["/dev/zero", "/", "/proc/self/mem"])
def test_p37_a_key_file_of_another_kind_is_one_line(tmp_path: Path, keys: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_api_keys(Path(keys))
    (line,) = error.value.lines
    assert line.startswith(f"{keys}: ") and line.isprintable()
    result = run("gateway", "--config", str(write_config(tmp_path, ["http://127.0.0.1:1"], api_keys_file=keys)))
    assert (result.returncode, result.stderr) == (2, f"{line}\n")


def test_p164_a_key_twice_in_gateway_yaml_is_refused_with_both_lines(tmp_path: Path) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"])
    lines = config.read_text().splitlines()
    lines.append("deployment: other")
    config.write_text("\n".join(lines))
    first = next(number for number, line in enumerate(lines, 1) if line.startswith("deployment"))
    result = run("gateway", "--config", str(config))
    what = f"not valid YAML: the key 'deployment' is given twice, first in line {first}; keep one"
    assert (result.returncode, result.stderr) == (2, f"{config}: line {len(lines)}, column 1: {what}\n")
