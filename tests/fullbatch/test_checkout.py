"""Throw-away checkouts share their files, and still no test sees what another one has done to them."""

from __future__ import annotations

from pathlib import Path

from tests.fullbatch.checkout import REPOSITORY, Checkout


def _made(folder: Path) -> Checkout:
    folder.mkdir()
    return Checkout(folder)


def test_what_is_written_in_one_is_in_no_other(tmp_path: Path) -> None:
    one, other = _made(tmp_path / "one"), _made(tmp_path / "other")
    names = ("gateway/__main__.py", "rendered/cpu/compose.yaml", "profiles/cpu.yaml")
    for name in names:
        one.write(name, "changed")
    with (one.root / "fullbatch/catalog/calibration.yaml").open("a") as kept:
        kept.write("more")
    (one.root / "templates/gateway.yaml.j2").unlink()
    assert Checkout.spoiled() == []
    for name in (*names, "fullbatch/catalog/calibration.yaml", "templates/gateway.yaml.j2"):
        assert (other.root / name).read_text() == (REPOSITORY / name).read_text(), name


def test_a_shared_file_that_is_written_to_in_place_is_found_and_made_anew(tmp_path: Path) -> None:
    (_made(tmp_path / "one").root / "gateway/__main__.py").write_text("changed")
    assert Checkout.spoiled() == ["gateway/__main__.py"]
    text = (_made(tmp_path / "other").root / "gateway/__main__.py").read_text()
    assert text == (REPOSITORY / "gateway/__main__.py").read_text() != "changed"
    assert Checkout.spoiled() == []
