from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from fullbatch.core.errors import UsageError
from fullbatch.planning import deployments, profile
from fullbatch.rendering import files, schema
from tests.fullbatch.checkout import REPOSITORY


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("profiles", "templates", "rendered"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    return tmp_path


def test_what_is_committed_is_current() -> None:
    """Golden: a change of profile, plan or template shows in the diff of rendered/."""
    assert files.stale(REPOSITORY, profile.names(REPOSITORY)) == []
    assert files.orphans(REPOSITORY) == []


def test_each_profile_has_its_files_and_one_for_each_further_machine_or_launcher() -> None:
    found = {path.parent.name: {one.name for one in path.parent.iterdir()} for path in REPOSITORY.glob("rendered/*/*")}
    common = {"compose.yaml", "gateway.yaml", "prometheus.yaml", "Caddyfile"}
    plans = {name: deployments.planned(REPOSITORY, name) for name in profile.names(REPOSITORY)}
    nodes = {name: {f"node-{n}.yaml" for n in range(1, plan.engines[0].nodes)} for name, plan in plans.items()}
    turns = {name: {f"launcher-{card}.json" for card in plan.turning} for name, plan in plans.items()}
    assert found == {name: common | nodes[name] | turns[name] for name in plans}


def test_a_changed_profile_is_stale_until_it_is_written(root: Path) -> None:
    path = root / "profiles" / "cpu.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("users: 10", "users: 30"), encoding="utf-8")
    stale = files.stale(root, ["cpu", "cpu-tiny"])
    assert stale == [Path("rendered/cpu/compose.yaml"), Path("rendered/cpu/gateway.yaml")]
    assert files.write(root, ["cpu", "cpu-tiny"]) == stale
    assert files.stale(root, profile.names(root)) == []


def test_a_missing_and_an_edited_file_are_stale(root: Path) -> None:
    (root / "rendered/cpu/gateway.yaml").unlink()
    (root / "rendered/cpu/compose.yaml").write_text("services: {}\n", encoding="utf-8")
    (root / "profiles/schema.json").write_text("{}\n", encoding="utf-8")
    assert set(files.stale(root, ["cpu"])) == {
        Path("rendered/cpu/gateway.yaml"),
        Path("rendered/cpu/compose.yaml"),
        Path("profiles/schema.json"),
    }


def test_a_new_profile_gets_a_folder(root: Path) -> None:
    shutil.copy(root / "profiles/cpu.yaml", root / "profiles/mine.yaml")
    assert len(files.write(root, profile.names(root))) == 4
    assert (root / "rendered/mine/compose.yaml").exists()


def test_an_orphan_is_named(root: Path) -> None:
    (root / "profiles/cpu.yaml").unlink()
    assert files.orphans(root) == [Path("rendered/cpu")]


def test_one_bad_profile_and_nothing_is_written(root: Path) -> None:
    """`aaa` is fine and comes first: it must not be written when a later one is refused."""
    shutil.copy(root / "profiles/cpu.yaml", root / "profiles/aaa.yaml")
    (root / "profiles/bad.yaml").write_text("model: nope\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"profiles/bad\.yaml"):
        files.write(root, ["aaa", "bad"])
    assert not (root / "rendered/aaa").exists()


def test_writing_twice_changes_nothing(root: Path) -> None:
    path = root / "rendered/cpu/compose.yaml"
    before = path.stat().st_mtime_ns
    assert files.write(root, profile.names(root)) == []
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("name", profile.names(REPOSITORY))
def test_the_schema_takes_every_shipped_profile(name: str) -> None:
    known = json.loads(schema.text())
    jsonschema.Draft202012Validator.check_schema(known)
    text = (REPOSITORY / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    jsonschema.validate(yaml.safe_load(text), known)


def test_the_schema_refuses_what_the_program_refuses() -> None:
    data = yaml.safe_load((REPOSITORY / "profiles/cpu.yaml").read_text(encoding="utf-8")) | {"contxt": 1}
    with pytest.raises(jsonschema.ValidationError, match="contxt"):
        jsonschema.validate(data, json.loads(schema.text()))
