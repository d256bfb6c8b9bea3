from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.planning.plan import make
from fullbatch.rendering import exports, files
from fullbatch.runtime import registry
from fullbatch.runtime.base import ExportWishes
from tests.fullbatch.checkout import REPOSITORY

SWARM = registry.target("swarm")


def test_one_example_of_each_target_is_shipped_and_current() -> None:
    assert set(exports.SHIPPED) == {one.name for one in registry.TARGETS}
    made = exports.examples(REPOSITORY)
    assert {path.parts[1] for path in made} == set(exports.SHIPPED)
    assert [path for path, text in made.items() if (REPOSITORY / path).read_text(encoding="utf-8") != text] == []
    assert exports.orphans(REPOSITORY) == []


def test_an_edited_example_and_one_too_many_are_found(tmp_path: Path) -> None:
    for name in ("profiles", "templates", "rendered", "examples", "prometheus", "grafana", "fullbatch/runtime"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/profiles.md").write_text((REPOSITORY / "docs/profiles.md").read_text("utf-8"), "utf-8")
    stack, stranger = tmp_path / "examples/swarm/stack.yaml", tmp_path / "examples/swarm/old.yaml"
    stack.write_text(stack.read_text("utf-8").replace("stop-first", "start-first"), "utf-8")
    stranger.write_text("", "utf-8")
    names = profile.names(tmp_path)
    assert files.stale(tmp_path, names) == [Path("examples/swarm/stack.yaml")]
    assert files.orphans(tmp_path) == [Path("examples/swarm/old.yaml")]
    assert files.write(tmp_path, names) == [Path("examples/swarm/stack.yaml")]


def test_what_a_target_refuses_is_told_of_the_profile() -> None:
    name = "h100x8x2-llama3.1-405b"
    plan = make(name, profile.load(REPOSITORY, name))
    with pytest.raises(UsageError, match=rf"^profiles/{name}\.yaml: hardware\.nodes: "):
        exports.wanted(REPOSITORY, SWARM, plan, ExportWishes())


def test_nothing_is_written_beside_what_is_of_something_else(tmp_path: Path) -> None:
    made = {"stack.yaml": "a\n", "files/b": "b\n"}
    assert exports.write(tmp_path / "out", made) == 2
    assert exports.write(tmp_path / "out", made) == 0
    assert exports.write(tmp_path / "out", made | {"stack.yaml": "c\n"}) == 1
    with pytest.raises(UsageError, match=r"files/b is not of this export"):
        exports.write(tmp_path / "out", {"stack.yaml": "a\n"})
