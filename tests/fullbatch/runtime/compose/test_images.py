"""Images and the variables that name them, as the Compose files of this checkout have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.runtime.compose import images
from tests.fullbatch.checkout import REPOSITORY


def test_every_image_has_a_variable() -> None:
    found = {one.name: one for one in images.settings(REPOSITORY, "cpu-tiny")}
    assert {"gateway", "engine", "locust", "prometheus", "grafana", "alertmanager"} <= found.keys()
    assert (found["gateway"].variable, found["gateway"].default) == (images.GATEWAY_IMAGE, images.GATEWAY_DEFAULT)
    assert set(found["gateway"].services) == {"gateway", "secrets"} and found["gateway"].built
    assert set(found["engine"].services) == {"engine", "model"} and not found["engine"].built
    assert set(found["locust"].services) == {"locust", "locust-worker"} and found["locust"].built
    text = (REPOSITORY / "compose.yaml").read_text() + (REPOSITORY / "rendered/cpu-tiny/compose.yaml").read_text()
    assert all("${" in line for line in text.splitlines() if line.strip().startswith("image:"))


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(images.GATEWAY_IMAGE, raising=False)
    gateway = next(one for one in images.settings(REPOSITORY, "cpu-tiny") if one.name == "gateway")
    assert gateway.reference(tmp_path) == images.gateway(tmp_path) == "fullbatch/gateway:local"
    (tmp_path / ".env").write_text(f"{images.GATEWAY_IMAGE}=fullbatch/gateway:0.2.0\n")
    assert gateway.reference(tmp_path) == images.gateway(tmp_path) == "fullbatch/gateway:0.2.0"
    monkeypatch.setenv(images.GATEWAY_IMAGE, "fullbatch/gateway:0.3.0")
    assert gateway.reference(tmp_path) == "fullbatch/gateway:0.3.0"
