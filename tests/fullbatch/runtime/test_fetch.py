"""What of a repository is fetched, when the hub is not asked, and what is said when it does not answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fullbatch.runtime import fetch
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.hub.local import LocalHub, serving

SMALL = ["README.md", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
LLAMA = [*SMALL, *SHARDS, "original/consolidated.00.pth", "original/params.json", "original/tokenizer.model"]
ENGINE = REPOSITORY / ".fullbatch" / "engine" / "bin" / "python"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (LLAMA, [*SMALL, *SHARDS]),
        ([*SMALL, *SHARDS, "consolidated.safetensors", "params.json"], [*SMALL, *SHARDS, "params.json"]),
        (["params.json", "tekken.json", "consolidated.safetensors"], None),
        ([*SMALL, "consolidated-00001-of-00002.safetensors", "consolidated.safetensors.index.json"], None),
        ([*SMALL, "model.safetensors", "pytorch_model.bin", "onnx/model.onnx"], [*SMALL, "model.safetensors"]),
        ([*SMALL, "pytorch_model.bin", "flax_model.msgpack", "tf_model.h5"], [*SMALL, "pytorch_model.bin"]),
        ([*SMALL, "model.safetensors", "metal/model.bin", "original/model.safetensors"], [*SMALL, "model.safetensors"]),
        ([*SMALL, "a.gguf", "model.safetensors"], [*SMALL, "model.safetensors"]),
        ([*SMALL, "model.safetensors", "2_Dense/model.safetensors", "1_Pooling/config.json"], None),
        (["a-q4.gguf", "README.md"], None),
        (["config.json", "original/consolidated.00.pth"], None),
        ([], None),
    ],
)
def test_what_is_fetched(files: list[str], wanted: list[str] | None) -> None:
    """None: all of it, since nothing is there twice."""
    assert fetch.chosen(files) == (files if wanted is None else wanted)


def _snapshot(cache: Path, files: dict[str, str], *, reference: str = "main") -> Path:
    folder = cache / "models--org--name"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / reference).write_text("abc", encoding="utf-8")
    for name, text in files.items():
        (folder / "snapshots" / "abc" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "snapshots" / "abc" / name).write_text(text, encoding="utf-8")
    return folder


INDEX = json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}})
WHOLE = {"config.json": "{}", "tokenizer.json": "{}", SHARDS[0]: "", SHARDS[1]: "", SHARDS[2]: INDEX}


@pytest.mark.parametrize("missing", [None, *WHOLE])
def test_what_is_there_whole_is_not_asked_for(tmp_path: Path, missing: str | None) -> None:
    folder = _snapshot(tmp_path, {name: text for name, text in WHOLE.items() if name != missing})
    found = fetch.present(tmp_path, "org/name", None)
    # Without its index any weights will do: nothing names what else there should be.
    assert found == (folder / "snapshots" / "abc" if missing in (None, SHARDS[2]) else None)


def test_what_drafts_for_another_model_needs_no_tokenizer(tmp_path: Path) -> None:
    folder = _snapshot(tmp_path, {"config.json": "{}", "model.safetensors": ""})
    assert fetch.present(tmp_path, "org/name", None) is None
    assert fetch.present(tmp_path, "org/name", None, fetch.is_draft) == folder / "snapshots" / "abc"


def test_a_download_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    folder = _snapshot(tmp_path, WHOLE)
    (folder / "blobs").mkdir()
    (folder / "blobs" / "0123.incomplete").touch()
    assert fetch.present(tmp_path, "org/name", None) is None


def test_a_revision_is_found_by_its_name_or_its_commit(tmp_path: Path) -> None:
    folder = _snapshot(tmp_path, WHOLE, reference="v1")
    for revision, there in (("v1", True), ("abc", True), ("other", False), (None, False)):
        assert (fetch.present(tmp_path, "org/name", revision) == folder / "snapshots" / "abc") == there
    assert fetch.present(tmp_path / "nowhere", "org/name", None) is None


def test_of_an_adapter_two_files_are_fetched() -> None:
    listed = ["README.md", "adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "tokenizer.json"]
    assert fetch.adapter_files(listed) == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize("missing", [None, *fetch.ADAPTER_FILES])
def test_an_adapter_that_is_there_whole_is_not_asked_for(tmp_path: Path, missing: str | None) -> None:
    folder = _snapshot(tmp_path, {name: "" for name in fetch.ADAPTER_FILES if name != missing})
    found = fetch.present(tmp_path, "org/name", "abc", fetch.is_adapter)
    assert found == (None if missing else folder / "snapshots" / "abc")


def test_a_python_without_the_library_leaves_it_to_the_engine() -> None:
    done = subprocess.run([sys.executable, "-S", "-P", fetch.__file__, "org/name"], capture_output=True, check=False)
    assert done.returncode == fetch.NO_LIBRARY


@contextmanager
def _hub(status: int, body: bytes = b"[]", headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """A hub that answers everything in this way, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def _run(home: Path, endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint}
    environment.pop("HF_HUB_OFFLINE", None)
    command = [str(ENGINE), "-P", fetch.__file__, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("GatedRepo", "org/name is gated: accept the licence on its page, then set HF_TOKEN=hf_..."),
        ("RepoNotFound", "has no org/name for you: look at the name, or set HF_TOKEN=hf_..."),
        ("RevisionNotFound", "org/name has no revision 'v9' at http://127.0.0.1:"),
    ],
)
def test_what_the_hub_refuses_is_one_line(tmp_path: Path, code: str, said: str) -> None:
    with _hub(403 if code == "GatedRepo" else 404, b"{}", {"X-Error-Code": code}) as (url, _):
        done = _run(tmp_path, url, "org/name", "--revision", "v9")
    assert done.returncode == fetch.MISSING
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.engine
def test_without_a_network_what_is_there_is_served_and_what_is_not_is_named(tmp_path: Path) -> None:
    _snapshot(tmp_path / "hub", WHOLE)
    there = _run(tmp_path, "http://127.0.0.1:9", "org/name")
    assert (there.returncode, "the hub is not asked" in there.stderr) == (fetch.THERE, True)
    missing = _run(tmp_path, "http://127.0.0.1:9", "org/other")
    assert missing.returncode == fetch.MISSING
    last = missing.stderr.splitlines()[-1]
    assert last.startswith("fetch: http://127.0.0.1:9 does not give org/other: ") and "Connection refused" in last
    assert "HF_ENDPOINT" in last and "HTTPS_PROXY" in last and "Traceback" not in missing.stderr


@pytest.mark.parametrize(
    ("have", "total", "per_s", "told"),
    [
        (3 * fetch.GIB, 15 * fetch.GIB, 100 * fetch.MIB, "org/name: 3.0 of 15.0 GiB, 100 MiB/s, about 2 min left"),
        (14 * fetch.GIB, 15 * fetch.GIB, 100 * fetch.MIB, "org/name: 14.0 of 15.0 GiB, 100 MiB/s, about 10 s left"),
        (3 * fetch.GIB, 0, 100 * fetch.MIB, "org/name: 3.0 GiB, 100 MiB/s"),
        (16 * fetch.GIB, 15 * fetch.GIB, fetch.MIB, "org/name: 16.0 of 15.0 GiB, 1 MiB/s, about 0 s left"),
        (3 * fetch.GIB, 15 * fetch.GIB, 0, "org/name: 3.0 of 15.0 GiB, nothing in the last 10 s"),
    ],
)
def test_how_far_a_download_is(have: int, total: int, per_s: float, told: str) -> None:
    assert fetch.progress("org/name", have, total, per_s) == told


def test_what_does_not_fit_is_said_before_it_is_begun(tmp_path: Path) -> None:
    assert fetch.no_room("org/name", tmp_path / "not/yet/there", 1) is None
    said = fetch.no_room("org/name", tmp_path / "not/yet/there", 10**18)
    assert said and f"org/name needs 931322574.6 GiB more, and {tmp_path} has " in said and "HF_HOME" in said


WEIGHTS = 3_000_000
REPOSITORY_FILES: dict[str, str | int] = {
    "config.json": "{}", "tokenizer.json": "{}", "model.safetensors": "w" * WEIGHTS, "original/consolidated.00.pth": 7,
}  # fmt: skip


@pytest.mark.engine
def test_a_repository_comes_whole_and_once(tmp_path: Path) -> None:
    with serving(LocalHub({"org/name": REPOSITORY_FILES})) as hub:
        first, asked = _run(tmp_path, hub.url, "org/name"), [path for path, _ in hub.asked]
        again = _run(tmp_path, hub.url, "org/name")
    assert first.returncode == fetch.THERE, first.stderr
    assert first.stderr.splitlines()[0] == "fetch: org/name: 3 files, 0.0 GiB"
    [snapshot] = (tmp_path / "hub" / "models--org--name" / "snapshots").iterdir()
    assert {path.name for path in snapshot.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert not any("original" in path for path in asked)
    assert again.returncode == fetch.THERE and len(hub.asked) == len(asked), "what is there is not asked for"


@pytest.mark.engine
def test_a_repository_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    files = REPOSITORY_FILES | {"model.safetensors": 10**15}
    with serving(LocalHub({"org/name": files})) as hub:
        done = _run(tmp_path, hub.url, "org/name")
    assert done.returncode == fetch.MISSING and "org/name needs 931322.6 GiB more" in done.stderr
    assert "Traceback" not in done.stderr and not any("resolve" in path for path, _ in hub.asked)


@pytest.mark.engine
def test_an_adapter_is_fetched_beside_the_model_or_alone(tmp_path: Path) -> None:
    _snapshot(tmp_path / "hub", dict.fromkeys(fetch.ADAPTER_FILES, ""))
    there = _run(tmp_path, "http://127.0.0.1:9", "--adapter=org/name@abc")
    assert (there.returncode, "org/name is at" in there.stderr) == (fetch.THERE, True)
    missing = _run(tmp_path, "http://127.0.0.1:9", "--adapter=org/name@abc", "--adapter=org/law@def")
    assert missing.returncode == fetch.MISSING
    assert "does not give org/law" in missing.stderr.splitlines()[-1] and "Traceback" not in missing.stderr


@pytest.mark.engine
def test_the_mirror_is_asked(tmp_path: Path) -> None:
    with _hub(404, b"{}", {"X-Error-Code": "RepoNotFound"}) as (url, asked):
        _run(tmp_path, url, "org/name")
    assert asked and any("org/name" in one for one in asked)
