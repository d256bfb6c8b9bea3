"""A profile may name any repository of the hub, or a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullbatch.core.errors import HostError, UsageError
from fullbatch.planning import plan, profile, sources
from fullbatch.planning.feasible import CannotWork
from tests.fullbatch.catalog.test_config_json import LLAMA
from tests.fullbatch.hub.conftest import TUNE, hub
from tests.fullbatch.hub.local import COMMIT

__all__ = ["hub"]


def _profile(root: Path, model: str, rest: str = "") -> profile.Profile:
    (root / "profiles").mkdir(exist_ok=True)
    text = f"description: d\nmodel: {model}\nhardware: {{gpu: rtx4090}}\nusers: 4\n{rest}"
    (root / "profiles/mine.yaml").write_text(text, encoding="utf-8")
    return profile.load(root, "mine")


def _folder(root: Path, **changes: object) -> Path:
    folder = root / "tuned"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA | changes), encoding="utf-8")
    return folder


@pytest.mark.usefixtures("hub")
def test_a_repository_is_served_at_the_commit_that_was_planned(tmp_path: Path) -> None:
    engine = plan.make("mine", _profile(tmp_path, TUNE)).engines[0]
    assert (engine.model, engine.served_name, engine.revision) == (TUNE, TUNE, COMMIT)
    assert engine.checkpoint_gib == 15.0
    assert engine.needs_weights
    assert (tmp_path / sources.CACHE).is_dir()


@pytest.mark.usefixtures("hub")
def test_a_branch_may_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="profiles/mine.yaml: model: .* has no revision 'v2'"):
        _profile(tmp_path, TUNE, "revision: v2\n")


def test_a_folder_is_served_from_where_it_is(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    engine = plan.make("mine", _profile(tmp_path, str(folder))).engines[0]
    assert (engine.model, engine.folder, engine.needs_weights) == (str(folder), str(folder), False)
    assert engine.command("/models/x", "0.0.0.0", 1)[0] == str(folder)


def test_a_folder_is_named_by_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="profiles/mine.yaml: model: './tuned': write the whole path"):
        _profile(tmp_path, "./tuned")


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="profiles/mine.yaml: model: /none/config.json: No such file"):
        _profile(tmp_path, "/none")


def test_code_of_a_repository_runs_only_where_it_is_asked_for_by_name(tmp_path: Path) -> None:
    folder = _folder(tmp_path, architectures=["OwnForCausalLM"], model_type="own", auto_map={"AutoConfig": "x.Own"})
    with pytest.raises(CannotWork, match="trust it write engine.args.trust-remote-code: true"):
        plan.make("mine", _profile(tmp_path, str(folder)))
    made = plan.make("mine", _profile(tmp_path, str(folder), "engine: {args: {trust-remote-code: true}}\n"))
    assert ("trust-remote-code", True) in [(flag.name, flag.value) for flag in made.engines[0].flags]


def test_a_model_that_makes_vectors_is_started_so(tmp_path: Path) -> None:
    folder = _folder(tmp_path, architectures=["Qwen2ForRewardModel"], model_type="qwen2")
    flags = {flag.name: flag.value for flag in plan.make("mine", _profile(tmp_path, str(folder))).engines[0].flags}
    assert flags["runner"] == "pooling"


@pytest.mark.usefixtures("hub")
def test_a_name_that_nobody_has_is_refused_as_before(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'llama' is no known model"):
        _profile(tmp_path, "llama")


def test_a_slip_in_a_name_of_the_catalog_is_told_where_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HostError, match=r"did you mean Qwen/Qwen3-8B\?"):
        _profile(tmp_path, "Qwen/Qwen3-8X")


def test_an_encoder_is_planned_though_it_keeps_nothing() -> None:
    data = {"description": "d", "model": "BAAI/bge-m3", "hardware": {"gpu": "rtx4090"}, "context": 8192}
    made = plan.make("x", profile.parse(data, "x"))
    assert any("keeps nothing of a request" in one for one in made.assumptions)
    assert {flag.name: flag.value for flag in made.engines[0].flags}["runner"] == "pooling"
