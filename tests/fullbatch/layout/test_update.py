"""An update keeps what is a person's, backs up what it replaces, and may be interrupted."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fullbatch.layout import laying, listing, manifest, place, update

OLD = {
    "compose.yaml": "old",
    "gateway/app.py": "old",
    "gateway/gone.py": "old",
    "profiles/cpu.yaml": "old",
    "profiles/unwanted.yaml": "old",
    "profiles/dropped.yaml": "old",
    "rendered/unwanted/gateway.yaml": "old",
    "prometheus/alertmanager.yaml": "old",
}
NEW = {name: "new" for name in OLD if name not in ("gateway/gone.py", "profiles/dropped.yaml")} | {
    "gateway/added.py": "new",
    "profiles/mine.yaml": "new",
    "profiles/fresh.yaml": "new",
}
Shipped = Callable[[Mapping[str, str]], None]


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shipped:
    """A version's files in the place of this checkout's."""

    def ship(files: Mapping[str, str]) -> None:
        home = tmp_path / f"wheel-{len(list(tmp_path.iterdir()))}"
        for name, text in files.items():
            manifest.put(home / name, text.encode())
        monkeypatch.setattr(listing, "sources", lambda _home: {name: home / name for name in sorted(files)})

    return ship


@pytest.fixture
def house(tmp_path: Path, ship: Shipped) -> Path:
    """Laid out by 0.1.0, lived in, and 0.2.0 is there."""
    folder = tmp_path / "house"
    ship(OLD)
    laying.lay(folder, "0.1.0")
    for name, text in (("profiles/mine.yaml", "mine"), (".env", "PROFILE=mine"), ("gateway/app.py", "patched")):
        (folder / name).write_text(text)
    (folder / "prometheus/alertmanager.yaml").write_text("to my pager")
    (folder / "profiles/unwanted.yaml").unlink()
    ship(NEW)
    return folder


def texts(folder: Path) -> dict[str, str]:
    kept = (path for path in folder.rglob("*") if path.is_file() and ".fullbatch" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in kept}


def test_what_is_a_persons_stays_and_the_rest_is_new(house: Path) -> None:
    change = update.planned(house, "0.2.0")
    assert change.kept == ("profiles/mine.yaml", "prometheus/alertmanager.yaml", "profiles/dropped.yaml")
    assert change.lost == ("gateway/app.py",)
    update.carry_out(house, change, "0.2.0")
    assert texts(house) == {
        ".env": "PROFILE=mine",
        "compose.yaml": "new",
        "gateway/added.py": "new",
        "gateway/app.py": "new",
        "profiles/cpu.yaml": "new",
        "profiles/dropped.yaml": "old",
        "profiles/fresh.yaml": "new",
        "profiles/mine.yaml": "mine",
        "prometheus/alertmanager.yaml": "to my pager",
        "rendered/unwanted/gateway.yaml": "old",
    }
    assert place.version(house) == "0.2.0"


def test_what_it_replaces_is_in_the_backup(house: Path) -> None:
    backup = update.carry_out(house, update.planned(house, "0.2.0"), "0.2.0")
    assert backup is not None and backup.stat().st_mode & 0o077 == 0
    with tarfile.open(backup) as archive:
        held = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}  # type: ignore[union-attr]
    assert held == {
        "compose.yaml": "old",
        "gateway/app.py": "patched",
        "gateway/gone.py": "old",
        "profiles/cpu.yaml": "old",
    }


def test_a_second_one_has_nothing_to_do(house: Path) -> None:
    update.carry_out(house, update.planned(house, "0.2.0"), "0.2.0")
    again = update.planned(house, "0.2.0")
    assert (again.added, again.changed, again.removed) == ((), (), ())
    assert update.carry_out(house, again, "0.2.0") is None


def test_one_that_was_killed_goes_on(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = manifest.put
    done: list[Path] = []

    def dies(path: Path, content: bytes) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(path)
        put(path, content)

    monkeypatch.setattr(manifest, "put", dies)
    with pytest.raises(KeyboardInterrupt):
        update.carry_out(house, update.planned(house, "0.2.0"), "0.2.0")
    monkeypatch.setattr(manifest, "put", put)
    assert place.version(house) == "0.1.0"
    update.carry_out(house, update.planned(house, "0.2.0"), "0.2.0")
    assert texts(house)["gateway/app.py"] == "new" and "gateway/gone.py" not in texts(house)
    assert texts(house)["profiles/mine.yaml"] == "mine"


def test_what_cannot_be_updated_is_refused(house: Path, tmp_path: Path) -> None:
    with pytest.raises(laying.CannotLay, match=r"is of fullbatch 0\.1\.0, and this is 0\.0\.9"):
        update.planned(house, "0.0.9")
    with pytest.raises(laying.CannotLay, match="was not laid out"):
        update.planned(tmp_path, "0.2.0")
    (tmp_path / ".git").mkdir()
    with pytest.raises(laying.CannotLay, match="git pull"):
        update.planned(tmp_path, "0.2.0")
