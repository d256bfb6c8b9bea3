"""A model by its repository's name: described by the hub once, then from a file, also without a network."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from fullbatch.catalog import Model, chat_template, config_json, quantised
from fullbatch.catalog.measured import Measured
from fullbatch.core.errors import UsageError
from fullbatch.hub import client

# As the hub allows: ORG/NAME.
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_MAIN = "main"
# What repositories keep for other programs.
_OTHERS = frozenset({"original", "onnx", "openvino", "coreml", "metal", "gguf", "tflite"})
_KEPT = ("config.json", "hf_quant_config.json")
# Beside those: the text itself, whichever file it stands in; descriptions of before have none.
_TEMPLATE = "chat template"


def find(name: str, revision: str | None, cache: Path) -> Model:
    """The model in repository `name`, whose commit is pinned from then on. `cache`: where descriptions are kept.

    Raises:
        UsageError: there is no such model, or none that the engine loads.
        HostError: the hub does not answer, and it was not described before.
    """
    path = cache / f"{name.replace('/', '--')}@{(revision or _MAIN).replace('/', '--')}.json"
    found = _read(path)
    if found is None:
        found = _described(name, revision or _MAIN)
        keep(path, found)
    return _model(name, found)


def _described(name: str, revision: str) -> dict[str, Any]:
    """Everything that a plan needs of a repository."""
    said = client.described(name, revision)
    commit = str(said.get("sha") or revision)
    files = {
        str(one["rfilename"]): one.get("size") or 0
        for one in said["siblings"]
        if isinstance(one, dict) and "rfilename" in one
    }
    texts = {}
    if "config.json" not in files:
        raise UsageError(
            f"{name} has no config.json{_instead(files)}; name a repository with safetensors and config.json"
        )
    for one in _KEPT:
        if one in files:
            texts[one] = client.file(name, commit, one).decode("utf-8", "replace")
    config_json.decode(texts["config.json"].encode(), Path(name) / "config.json")
    template = chat_template.find(files, lambda one: client.file(name, commit, one).decode("utf-8", "replace"))
    if template is not None:
        texts[_TEMPLATE] = template
    return {"name": name, "commit": commit, "gated": bool(said.get("gated")), "files": files, "texts": texts}


def _model(name: str, found: dict[str, Any]) -> Model:
    file = Path(name) / "config.json"
    data = config_json.decode(found["texts"]["config.json"].encode(), file)
    quantised.beside(data, found["texts"].get("hf_quant_config.json"))
    files = {str(path): int(size) for path, size in found["files"].items()}
    weights = _weights(files)
    if not weights:
        raise UsageError(f"{name} has no weights that vLLM loads{_instead(files)}; name a repository with safetensors")
    model = config_json.parse(data, file, Measured(sum(weights.values()) / 2**30))
    notes = model.notes
    if not any(path.endswith(".safetensors") for path in weights):
        notes += ("its weights are pickled (.bin), which can run code while they are loaded; safetensors cannot",)
    return dataclasses.replace(
        model, base=name, revision=str(found["commit"]), gated=bool(found["gated"]), notes=notes,
        source=f"{client.shown()}/{name}, commit {found['commit']}", chat_template=found["texts"].get(_TEMPLATE),
    )  # fmt: skip


def _weights(files: dict[str, int]) -> dict[str, int]:
    """Of the kinds of weights in a repository the one that an engine loads, with bytes."""
    ours = {path: size for path, size in files.items() if PurePosixPath(path).parts[0] not in _OTHERS}
    safe = {path: size for path, size in ours.items() if path.endswith(".safetensors") and "/" not in path}
    plain = {path: size for path, size in safe.items() if not path.startswith("consolidated")}
    pickled = {path: size for path, size in ours.items() if re.fullmatch(r"pytorch_model.*\.bin", path)}
    return plain or safe or pickled


def _instead(files: dict[str, int]) -> str:
    """What a repository holds in place of what is looked for."""
    for suffix, said in ((".gguf", "GGUF, which is llama.cpp's"), (".onnx", "ONNX"), (".pth", "Meta's own .pth files")):
        if any(path.endswith(suffix) for path in files):
            return f": it holds {said}"
    return " (it is empty)" if not files else ""


def _read(path: Path) -> dict[str, Any] | None:
    """A description that was kept; None where there is none, or not a whole one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found["texts"]["config.json"], found["commit"], found["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(found)


def keep(path: Path, found: dict[str, Any]) -> None:
    """Kept for the next time; where that cannot be written the hub is asked again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(found), encoding="utf-8")
        scratch.replace(path)
    except OSError:
        return
