"""Sizes leave out bytecode and what only installs."""

from __future__ import annotations

from pathlib import Path

from bench.gateway import disk


def test_an_environment_is_its_packages_without_installers_and_bytecode(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, size in (("one/a.py", 1000), ("one/__pycache__/a.pyc", 500), ("pip/a.py", 2000), ("single.py", 10),
                       ("setuptools-80.dist-info/RECORD", 7)):  # fmt: skip
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(b"x" * size)
    assert disk.environment_mb(tmp_path) * 1e6 == 1010
    assert disk.folder_mb(site / "one") * 1e6 == 1000


def test_a_lock_names_its_packages(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "annotated-types==0.8.0 \\\n    --hash=sha256:00\nuvloop==0.23.0 ; sys_platform != 'win32' \\\n"
        "async-timeout==5.0.1 ; python_full_version < '3.11.3' \\\n"
    )
    assert disk.locked(lock) == ["annotated-types", "uvloop"]


def test_installed_packages_have_a_size() -> None:
    assert 1 < disk.packages_mb(["uvloop"]) < 100
    assert disk.packages_mb(["uvloop", "orjson"]) > disk.packages_mb(["uvloop"])
