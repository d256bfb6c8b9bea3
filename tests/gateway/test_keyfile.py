"""Secrets made once, and shown only to who asks."""

from __future__ import annotations

from pathlib import Path

from gateway.config.loader import read_api_keys
from tests.gateway.harness import (
    run,
)


def _key(folder: Path) -> str:
    return (folder / "api_keys").read_text().split()[0]


def test_p40_a_key_file_is_made_once_and_kept(tmp_path: Path) -> None:
    run("gateway.keyfile", str(tmp_path / "new"), "--also", "grafana_password")
    line = (tmp_path / "new" / "api_keys").read_text()
    assert line.startswith("fb-") and line.endswith(" first\n") and len(_key(tmp_path / "new")) == 35
    assert (tmp_path / "new" / "api_keys").stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "new" / "grafana_password").read_text().strip()) == 32
    second = run("gateway.keyfile", str(tmp_path / "new"))
    assert "kept" in second.stdout
    assert (tmp_path / "new" / "api_keys").read_text() == line


def test_p40_a_client_has_a_key_of_its_own_that_the_gateway_knows(tmp_path: Path) -> None:
    (tmp_path / "locust").mkdir()
    words = [str(tmp_path), "--client", "locust=locust/api_keys"]
    assert run("gateway.keyfile", *words).returncode == 0
    assert run("gateway.keyfile", *words).returncode == 0
    own = (tmp_path / "locust" / "api_keys").read_text()
    assert own.endswith(" locust\n") and _key(tmp_path / "locust") != _key(tmp_path)
    assert (tmp_path / "api_keys").read_text().splitlines()[1:] == own.splitlines()


def test_p210_a_trusted_client_is_marked_in_the_gateways_file_alone(tmp_path: Path) -> None:
    words = [str(tmp_path), "--trusted-client", "web=own", "--also", "one", "--also", "two"]
    assert [run("gateway.keyfile", *words).returncode for _ in range(2)] == [0, 0]
    own = (tmp_path / "own").read_text().strip()
    assert own.endswith(" web")
    assert (tmp_path / "api_keys").read_text().splitlines()[1:] == [f"{own} trusted"]
    assert read_api_keys(tmp_path / "api_keys")[1] == f"{own} trusted".encode()
    assert run("gateway.keyfile", str(tmp_path), "--show", "--name", "web").stdout.strip() == own.split()[0]
    assert len({(tmp_path / name).read_text() for name in ("one", "two")}) == 2


def test_p40_a_key_file_of_before_names_keeps_its_key_and_gets_the_clients(tmp_path: Path) -> None:
    (tmp_path / "api_keys").write_text("fb-old-old-old-old")
    assert run("gateway.keyfile", str(tmp_path), "--client", "locust=own").returncode == 0
    old, new = (tmp_path / "api_keys").read_text().splitlines()
    assert (old, f"{new}\n") == ("fb-old-old-old-old", (tmp_path / "own").read_text())


def test_p170_no_secret_is_printed_but_by_show(tmp_path: Path) -> None:
    made = run("gateway.keyfile", str(tmp_path), "--also", "password", "--client", "locust=own")
    again = run("gateway.keyfile", str(tmp_path), "--also", "password", "--client", "locust=own")
    secrets = [_key(tmp_path), (tmp_path / "own").read_text().split()[0], (tmp_path / "password").read_text().strip()]
    assert not [one for one in secrets if one in made.stdout + made.stderr + again.stdout + again.stderr]
    shown = run("gateway.keyfile", str(tmp_path), "--show")
    assert [line.split() for line in shown.stdout.splitlines()] == [["first", secrets[0]], ["locust", secrets[1]]]
    assert run("gateway.keyfile", str(tmp_path), "--show", "--name", "locust").stdout == f"{secrets[1]}\n"


def test_p170_what_cannot_be_shown_is_said_in_a_line(tmp_path: Path) -> None:
    none = run("gateway.keyfile", str(tmp_path), "--show")
    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path}/api_keys: No such file" in none.stderr
    run("gateway.keyfile", str(tmp_path))
    other = run("gateway.keyfile", str(tmp_path), "--show", "--name", "bob")
    assert (other.returncode, other.stderr) == (1, f"{tmp_path}/api_keys: no key is called 'bob'; there are: first\n")
