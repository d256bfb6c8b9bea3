"""Debian sid's llama.cpp under .fullbatch/llama: its packages are unpacked, nothing is installed.

They bring their own C library, so the program runs on older systems too: through that library's own loader.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.offline import debian
from scripts.offline.process import OfflineError

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".fullbatch" / "llama"
MODEL = PLACE / "tiny.gguf"
PACKAGES = (
    "llama.cpp-tools", "libllama0", "libggml0", "libc6", "libgcc-s1", "libgomp1", "libstdc++6", "libssl3t64",
    "libzstd1", "zlib1g",
)  # fmt: skip


def install() -> None:
    """Unpacks it, unless that was done. OfflineError when it cannot be had or does not run here."""
    done = PLACE / ".unpacked"
    if not done.exists():
        if not debian.has_apt():
            raise OfflineError("apt-get and dpkg not found: llama.cpp can be unpacked on Debian and its kin only")
        debian.unpack(PACKAGES, "sid", PLACE / "files")
        done.touch()
    version()


def version() -> str:
    """What the program says of itself, in one line."""
    done = subprocess.run(
        command(["--version"]), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode:
        raise OfflineError(f"llama-server does not run here: {lines[-1] if lines else done.returncode}")
    return next((line for line in lines if "version" in line), "unknown")


def command(arguments: Sequence[str]) -> list[str]:
    """llama-server with these arguments."""
    libraries = _libraries()
    path = f"{libraries}:{libraries}/llama"
    loader = str(next(libraries.glob("ld-linux-*.so.*"), libraries / "ld-linux"))
    return [loader, "--library-path", path, str(PLACE / "files/usr/bin/llama-server"), *arguments]


def environment() -> dict[str, str]:
    """Where the back ends for this processor are: the program looks for them beside itself, and that is the loader."""
    return {**os.environ, "GGML_BACKEND_PATH": str(_backend())}


def _libraries() -> Path:
    found = sorted((PLACE / "files/usr/lib").glob("*-linux-gnu"))
    if not found:
        raise OfflineError(f"{PLACE}: nothing is unpacked there; run scripts/llama-server install")
    return found[0]


def _backend() -> Path:
    """The newest that this processor has all instructions for."""
    flags = _processor_flags()
    wanted: tuple[tuple[str, set[str]], ...] = (
        ("zen4", {"avx512_bf16", "avx512vl", "avx512_vnni"}),
        ("icelake", {"avx512f", "avx512vl", "avx512_vnni", "avx512_vbmi"}),
        ("skylakex", {"avx512f", "avx512vl", "avx512bw"}),
        ("haswell", {"avx2", "fma", "f16c", "bmi2"}),
        ("sandybridge", {"avx"}),
        ("x64", set()),
    )
    folder = _libraries() / "ggml" / "backends0"
    for name, needs in wanted:
        path = folder / f"libggml-cpu-{name}.so"
        if needs <= flags and path.exists():
            return path
    return next(folder.glob("libggml-cpu*.so"), folder / "libggml-cpu.so")


def _processor_flags() -> set[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()
