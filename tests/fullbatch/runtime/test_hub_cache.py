from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fullbatch.runtime import hub_cache
from tests.fullbatch import cached_hub

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A model in two revisions that share its tokenizer, and another in one."""
    cached_hub.add(
        tmp_path, "org/two", OLD, {"tokenizer.json": b"t" * 10, "model.safetensors": b"w" * 1000}, branch=None
    )
    cached_hub.add(tmp_path, "org/two", NEW, {"tokenizer.json": b"t" * 10, "model.safetensors": b"v" * 2000})
    cached_hub.add(tmp_path, "org/one", OLD, {"config.json": b"{}"})
    return tmp_path


def test_what_lies_there(cache: Path) -> None:
    one, old, new = hub_cache.scan(cache)
    assert (one.name, one.branches, one.size) == ("org/one", ("main",), 2)
    assert (old.name, old.revision, old.branches) == ("org/two", OLD, ())
    assert (old.size, old.own) == (1010, 1000), "the tokenizer would stay, the other revision has it too"
    assert (new.size, new.own, new.branches) == (2010, 2000, ("main",))
    assert hub_cache.scan(cache / "absent") == []


def test_it_was_used_when_a_file_was_last_read(cache: Path) -> None:
    for blob in (cache / "models--org--one" / "blobs").iterdir():
        os.utime(blob, (5000.0, 1000.0))
    assert hub_cache.scan(cache)[0].used == 5000.0


def test_one_of_two_revisions_goes_alone(cache: Path) -> None:
    assert hub_cache.remove(cache, [("org/two", OLD)]) == 1000
    _, left = hub_cache.scan(cache)
    assert (left.revision, left.size) == (NEW, 2010)
    assert (cache / "models--org--two" / "snapshots" / NEW / "tokenizer.json").read_bytes() == b"t" * 10


def test_a_branch_goes_with_its_revision(cache: Path) -> None:
    hub_cache.remove(cache, [("org/two", NEW)])
    assert not (cache / "models--org--two" / "refs" / "main").exists()


def test_with_its_last_revision_all_of_a_model_goes(cache: Path) -> None:
    (cache / ".locks" / "models--org--two").mkdir(parents=True)
    freed = hub_cache.remove(cache, [("org/two", OLD), ("org/two", NEW)])
    assert freed == 1000 + 2010 + len(NEW)
    assert not (cache / "models--org--two").exists() and not (cache / ".locks" / "models--org--two").exists()
    assert [one.name for one in hub_cache.scan(cache)] == ["org/one"]


def test_a_download_that_was_given_up_holds_room_and_one_that_goes_on_is_in_use(cache: Path) -> None:
    blobs = cache / "models--org--three" / "blobs"
    blobs.mkdir(parents=True)
    part = blobs / "x.incomplete"
    part.write_bytes(b"p" * 300)
    unfinished = hub_cache.scan(cache)[1]
    assert (unfinished.name, unfinished.revision, unfinished.own, unfinished.fetching) == ("org/three", "", 300, True)
    os.utime(part, (time.time() - 7200, time.time() - 7200))
    assert not hub_cache.scan(cache)[1].fetching
    assert hub_cache.remove(cache, [("org/three", "")]) == 300


@pytest.mark.parametrize("name", ["org/none", "../../etc", "org/one/../two"])
def test_only_what_is_listed_can_be_removed(cache: Path, name: str) -> None:
    before = sorted(cache.rglob("*"))
    with pytest.raises(KeyError):
        hub_cache.remove(cache, [(name, OLD)])
    assert sorted(cache.rglob("*")) == before


def test_nothing_outside_the_cache_is_touched(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mine.safetensors"
    elsewhere.write_bytes(b"x")
    (cache / "models--org--two" / "snapshots" / OLD / "extra.safetensors").symlink_to(elsewhere)
    hub_cache.remove(cache, [("org/two", OLD)])
    assert elsewhere.exists()


def test_as_a_program_it_needs_nothing_of_ours(cache: Path) -> None:
    def run(*words: str) -> object:
        command = [sys.executable, "-I", "-S", str(hub_cache.__file__), str(cache), *words]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)

    listed = run()
    assert isinstance(listed, list) and [one["name"] for one in listed] == ["org/one", "org/two", "org/two"]
    assert run("--remove", f"org/two@{OLD}") == {"freed": 1000}
