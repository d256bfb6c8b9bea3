"""``python fetch.py [MODEL] [--revision R] [--also DRAFT] [--adapter REPOSITORY@COMMIT …]``: a model's files from the
hub, and of them only what the engine reads; likewise of what drafts for it, and of LoRA adapters.

The engine's own Python runs it, in the one-shot `model` of Compose and before the engine starts as a process. What is
there already is not asked for again, so a start needs no network. Where the hub is, the token, proxies and certificates
are taken from the environment by Hugging Face's library (HF_ENDPOINT, HF_TOKEN, HTTPS_PROXY, SSL_CERT_FILE).

Exit codes: 0 the files are there; 1 they are not, a line says why; 3 this Python has no huggingface_hub.
"""

from __future__ import annotations

import argparse
import errno
import glob
import json
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

THERE, MISSING, NO_LIBRARY = 0, 1, 3
TRIES, FIRST_PAUSE_S = 5, 5.0
TELL_EVERY_S = 10.0
GIB, MIB = 2**30, 2**20
# What repositories keep for other programs beside what an engine reads.
OTHERS_FOLDERS = frozenset({"original", "onnx", "openvino", "coreml", "metal", "gguf", "tflite"})
OTHERS_SUFFIXES = frozenset({".onnx", ".msgpack", ".h5", ".ot", ".tflite", ".mlmodel", ".onnx_data"})
# Kinds of weights, the first that there is counts: a repository often has the same ones in several.
KINDS = ("safetensors", "consolidated", "bin", "pth", "gguf")
_INDEXES = {"safetensors": "model.safetensors.index.json", "bin": "pytorch_model.bin.index.json"}
# All that an engine reads of a LoRA adapter.
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
Whole = Callable[[Path], bool]
Pick = Callable[[Iterable[str]], list[str]]
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json")


def kind(name: str) -> str | None:
    """Which kind of weights a file is; None for what is no weights, such as a configuration."""
    path = PurePosixPath(name)
    if path.suffix == ".safetensors":
        return "consolidated" if path.name.startswith("consolidated") else "safetensors"
    return {".bin": "bin", ".pth": "pth", ".pt": "pth", ".gguf": "gguf"}.get(path.suffix)


def chosen(files: Iterable[str]) -> list[str]:
    """What of a repository's files an engine needs: one kind of weights, and all that is small."""
    listed = list(files)
    ours = [name for name in listed if not _is_others(name)]
    kinds = {kind(name) for name in ours}
    wanted = next((one for one in KINDS if one in kinds), None)
    if wanted is None:  # its only weights are where other programs look for theirs
        return listed
    return [name for name in ours if kind(name) in (None, wanted)]


def adapter_files(files: Iterable[str]) -> list[str]:
    """Likewise of an adapter's."""
    return [name for name in files if name in ADAPTER_FILES]


def is_whole(snapshot: Path, speaks: bool = True) -> bool:
    """Whether a snapshot can be served as it is: configuration, tokenizer, and each file that an index names.

    `speaks`: False for what drafts for another model, with that one's tokenizer.
    """
    if not any((snapshot / name).exists() for name in ("config.json", "params.json")):
        return False
    if speaks and not any((snapshot / name).exists() for name in _TOKENIZERS):
        return False
    for index in [snapshot / name for name in _INDEXES.values() if (snapshot / name).exists()]:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if all((snapshot / name).exists() for name in named):
            return True
    indexed = {which for which, name in _INDEXES.items() if (snapshot / name).exists()}
    return any(kind(path.name) not in (None, *indexed) for path in snapshot.iterdir())


def is_draft(snapshot: Path) -> bool:
    """Whether a snapshot is whole but for a tokenizer."""
    return is_whole(snapshot, speaks=False)


def is_adapter(snapshot: Path) -> bool:
    """Whether a snapshot is a whole adapter: the cache names a file only once all of it is there."""
    return all((snapshot / name).exists() for name in ADAPTER_FILES)


def present(cache: Path, model: str, revision: str | None, whole: Whole = is_whole) -> Path | None:
    """The snapshot of `model` in Hugging Face's cache, where it is whole; None where the hub has to be asked."""
    folder = cache / f"models--{model.replace('/', '--')}"
    try:
        if any((folder / "blobs").glob("*.incomplete")):
            return None
        reference = folder / "refs" / (revision or "main")
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
        snapshot = folder / "snapshots" / commit if commit else None
        return snapshot if snapshot and whole(snapshot) else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def progress(model: str, have: int, total: int, per_s: float) -> str:
    """How far a download is, in a line. `total`: bytes of all that is wanted, 0 where the hub does not say."""
    told = f"{model}: {have / GIB:.1f} of {total / GIB:.1f} GiB" if total else f"{model}: {have / GIB:.1f} GiB"
    if per_s <= 0:
        return f"{told}, nothing in the last {TELL_EVERY_S:.0f} s"
    left = max(0.0, total - have) / per_s
    ends = f", about {left / 60:.0f} min left" if left > 90 else f", about {left:.0f} s left" if total else ""
    return f"{told}, {per_s / MIB:.0f} MiB/s{ends}"


def no_room(model: str, cache: Path, missing: int) -> str | None:
    """Why a download of `missing` bytes cannot end well; None where the disk has room for it."""
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if missing <= free:
        return None
    return (
        f"{model} needs {missing / GIB:.1f} GiB more, and {there} has {free / GIB:.1f} GiB left: make room there, "
        "or name another disk by HF_HOME"
    )


def _on_disk(folder: Path) -> int:
    """Bytes that its files take, half ones as far as they are."""
    found = 0
    for path in folder.glob("*"):
        try:
            about = path.stat()
        except OSError:  # moved to its place in this moment
            continue
        found += min(about.st_size, about.st_blocks * 512)
    return found


@contextmanager
def _progress_told(model: str, blobs: Path, total: int) -> Iterator[None]:
    """A line every ten seconds while the block runs: also where nobody has a terminal, as in `docker compose logs`."""
    over = threading.Event()

    def tell() -> None:
        before = _on_disk(blobs)
        while not over.wait(TELL_EVERY_S):
            have = _on_disk(blobs)
            _say(progress(model, have, total, (have - before) / TELL_EVERY_S))
            before = have

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _is_others(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix in OTHERS_SUFFIXES or (len(path.parts) > 1 and path.parts[0] in OTHERS_FOLDERS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="fetch.py", description="Fetch what an engine needs of a model, once.")
    parser.add_argument("model", nargs="?")
    parser.add_argument("--revision", help="commit or branch (default: main)")
    parser.add_argument("--also", metavar="MODEL", help="what drafts for it, fetched too")
    parser.add_argument("--adapter", action="append", default=[], metavar="REPOSITORY@COMMIT")
    options = parser.parse_args()
    try:
        from huggingface_hub import constants
    except ImportError:
        return NO_LIBRARY
    cache = Path(constants.HF_HUB_CACHE)
    wanted: list[tuple[str, str | None, Whole, Pick]] = []
    if options.model:
        wanted.append((options.model, options.revision, is_whole, chosen))
    if options.also:
        wanted.append((options.also, None, is_draft, chosen))
    for one in options.adapter:
        name, _, commit = one.rpartition("@")
        wanted.append((name, commit, is_adapter, adapter_files))
    for name, revision, whole, pick in wanted:
        there = present(cache, name, revision, whole)
        if there is not None:
            _say(f"{name} is at {there}; the hub is not asked")
        elif _fetch((name, revision, pick), constants.ENDPOINT, cache) != THERE:
            return MISSING
    return THERE


def _fetch(what: tuple[str, str | None, Pick], endpoint: str, cache: Path) -> int:
    from huggingface_hub import errors
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    model, revision, pick = what
    endpoint = re.sub(r"//.*@", "//", endpoint)  # as it is told: without user and password
    broken: tuple[type[Exception], ...] = (
        OSError,
        getattr(errors, "HTTPError", OSError),
    )  # of the library's HTTP client
    wanted: dict[str, int] = {}
    why = ""
    for number in range(TRIES):
        if number:
            pause = FIRST_PAUSE_S * 2 ** (number - 1)
            _say(f"{why}; again in {pause:.0f} s ({number} of {TRIES - 1})")
            time.sleep(pause)
        try:
            wanted = wanted or _wanted(model, revision, pick)
            return _download(model, revision, cache, wanted)
        except GatedRepoError:
            return _missing(f"{model} is gated: accept the licence on its page, then set HF_TOKEN=hf_...")
        except RevisionNotFoundError:
            return _missing(f"{model} has no revision '{revision}' at {endpoint}")
        except RepositoryNotFoundError:
            return _missing(f"{endpoint} has no {model} for you: look at the name, or set HF_TOKEN=hf_...")
        except broken as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EACCES, errno.EROFS):
                return _missing(f"{model} cannot be written: {error}")
            why = _in_a_line(error)
            if not wanted:  # the library itself has asked five times
                break
    return _missing(
        f"{endpoint} does not give {model}: {why}; a mirror is named by HF_ENDPOINT, a proxy by HTTPS_PROXY, "
        "and without a network see docs/air-gapped.md"
    )


def _wanted(model: str, revision: str | None, pick: Pick) -> dict[str, int]:
    """What is to be fetched, and of how many bytes each is (0 where the hub does not say)."""
    from huggingface_hub import HfApi

    listed = HfApi().model_info(model, revision=revision, files_metadata=True).siblings or []
    sizes = {one.rfilename: one.size or 0 for one in listed}
    return {name: sizes[name] for name in pick(sizes)}


def _download(model: str, revision: str | None, cache: Path, wanted: dict[str, int]) -> int:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    blobs, total = cache / f"models--{model.replace('/', '--')}" / "blobs", sum(wanted.values())
    have = _on_disk(blobs)
    if why := no_room(model, cache, total - have):
        return _missing(why)
    kept = f", {have / GIB:.1f} of them are here" if have > GIB / 20 else ""
    _say(f"{model}: {len(wanted)} files, {total / GIB:.1f} GiB{kept}" if total else f"{model}: {len(wanted)} files")
    disable_progress_bars()  # they are for a terminal, and say nothing of the whole
    with _progress_told(model, blobs, total):
        where = snapshot_download(model, revision=revision, allow_patterns=[glob.escape(name) for name in wanted])
    _say(f"{model} is at {where}")
    return THERE


def _in_a_line(error: Any) -> str:
    """What went wrong at the bottom: the library's own words are about itself."""
    cause = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__
    said = " ".join(str(cause).split()) or type(cause).__name__
    return said[:200]


def _missing(why: str) -> int:
    _say(why)
    return MISSING


def _say(text: str) -> None:
    sys.stderr.write(f"fetch: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
