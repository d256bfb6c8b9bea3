"""What a folder to run from holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from fullbatch.layout import listing

ROOT = Path(__file__).resolve().parents[3]


def test_every_file_that_compose_mounts_or_builds_from_is_in_it() -> None:
    held = set(listing.sources(ROOT))
    stack = yaml.safe_load((ROOT / "compose.yaml").read_text())
    for service in stack["services"].values():
        build = service.get("build")
        assert not build or build["dockerfile"] in held
        for mount in service.get("volumes", ()):
            if isinstance(mount, dict) and mount["type"] == "bind" and mount["source"] != "/":
                source = re.sub(r"\$\{PROFILE:-([^}]*)\}", r"\1", mount["source"])
                assert any(name == source or name.startswith(f"{source}/") for name in held), source


def test_every_file_that_the_images_copy_is_in_it() -> None:
    held = set(listing.sources(ROOT))
    for dockerfile in ("gateway/Dockerfile", "loadtest/Dockerfile"):
        for line in (ROOT / dockerfile).read_text().splitlines():
            words = line.split()
            if words[:1] != ["COPY"] or words[1].startswith("--from"):
                continue
            for source in words[1:-1]:
                assert any(name == source or name.startswith(source.rstrip("/") + "/") for name in held), source


def test_what_python_and_a_wheel_leave_behind_is_not(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.fullbatch]\nfolder = ["a", "b.txt"]\n')
    for name in ("a/__pycache__/x.py", "a/y.pyc", "a/deep/z.py", "b.txt", "common/c.py", "fullbatch/cli/d.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert list(listing.sources(tmp_path)) == ["a/deep/z.py", "b.txt", "common/c.py", "fullbatch/cli/d.py"]
    (tmp_path / "fullbatch" / listing.DATA).mkdir()
    (tmp_path / "fullbatch" / listing.DATA / "e.txt").write_text("")
    assert list(listing.sources(tmp_path)) == ["common/c.py", "e.txt", "fullbatch/cli/d.py"]


def test_a_pattern_that_fits_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.fullbatch]\nfolder = ["gone"]\n')
    with pytest.raises(FileNotFoundError, match="gone"):
        listing.beside_the_packages(tmp_path)
