"""Which public images have a stand-in."""

from __future__ import annotations

from scripts.offline import images, standins
from tests.e2e.docker_stack import ROOT

COMPOSE_IMAGES = {
    "prom/prometheus:v3.5.3", "vllm/vllm-openai-cpu:v0.32.0-x86_64", "caddy:2.11.7", "openwebui/open-webui:v0.12.4",
}  # fmt: skip


def test_every_stand_in_has_its_dockerfile_and_stands_on_the_base() -> None:
    for image in standins.STAND_INS:
        text = (images.DOCKERFILES / image.dockerfile).read_text()
        assert f"FROM {standins.BASE}\n" in text, image.name
        assert set(image.inputs) <= set(image.contexts)


def test_compose_uses_the_very_names_of_the_stand_ins() -> None:
    written = (ROOT / "compose.yaml").read_text() + (ROOT / "rendered/cpu-tiny/compose.yaml").read_text()
    for name in COMPOSE_IMAGES:
        assert images.chosen(name).name == name
        assert name in written
    for dockerfile in ("gateway/Dockerfile", "loadtest/Dockerfile"):
        assert "python:3.11-slim-bookworm" in (ROOT / dockerfile).read_text()
