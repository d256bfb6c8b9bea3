"""Debian packages and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.offline import debian
from scripts.offline.process import OfflineError


def test_a_mirror_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLBATCH_DEBIAN_MIRROR", "http://mirror.example/debian/")
    assert debian.mirror() == "http://mirror.example/debian/"


APT = """#!/bin/sh
case $1 in
  indextargets) {targets} ;;
  update) cat "$APT_CONFIG" > {folder}/config; cp {folder}/work/*/sources.list {folder}/sources 2>/dev/null || true ;;
  download) shift; for word in "$@"; do case $word in -*|*=*) ;; *) touch "$word"_1.0_amd64.deb ;; esac; done ;;
esac
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """An `apt-get` and a `dpkg` that do what ours asks of them, without a network."""

    def make(targets: str) -> Path:
        (tmp_path / "bin").mkdir()
        (tmp_path / "work").mkdir()
        for name, text in (
            ("apt-get", APT.format(targets=targets, folder=tmp_path)),
            ("dpkg", '#!/bin/sh\ntouch "$3/$(basename "$2" .deb)"\n'),
        ):
            (tmp_path / "bin" / name).write_text(text)
            (tmp_path / "bin" / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
        monkeypatch.delenv("FULLBATCH_DEBIAN_MIRROR", raising=False)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("echo 'main Debian-Security http://s/'; echo 'main Debian http://deb/'", "http://deb/"),
        ("echo 'contrib Debian http://c/'; echo 'main  http://first/'", "http://first/"),
    ],
)
def test_the_mirror_is_the_one_that_apt_uses(apt: Callable[[str], Path], targets: str, expected: str) -> None:
    apt(targets)
    assert debian.mirror() == expected


def test_an_apt_that_knows_no_mirror_is_told_what_to_set(apt: Callable[[str], Path]) -> None:
    apt("echo 'main Other http://security/'")
    with pytest.raises(OfflineError, match="set FULLBATCH_DEBIAN_MIRROR"):
        debian.mirror()


def test_packages_of_another_suite_leave_the_systems_lists_alone(
    apt: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = apt("echo 'main Debian http://deb/'")
    monkeypatch.setattr(debian, "KEYRING", folder / "keyring")
    with pytest.raises(OfflineError, match="install the package debian-archive-keyring"):
        debian.unpack(["a"], "sid", folder / "work" / "files")
    (folder / "keyring").touch()
    found = debian.unpack(["one", "two"], "sid", folder / "work" / "files")
    assert found == ["one_1.0_amd64.deb", "two_1.0_amd64.deb"]
    assert sorted(path.name for path in (folder / "work" / "files").iterdir()) == ["one_1.0_amd64", "two_1.0_amd64"]
    assert (folder / "sources").read_text() == f"deb [signed-by={folder}/keyring] http://deb/ sid main\n"
    config = (folder / "config").read_text()
    assert f'Dir::State::Lists "{folder}/work/' in config and "/etc/apt" not in config
    assert not [path for path in (folder / "work").iterdir() if path.name != "files"], "what apt kept is gone"


def test_a_release_file_names_the_distribution() -> None:
    assert debian.distribution() == Path("/etc/os-release").read_text().partition("\nID=")[2].split()[0].strip('"')
