"""Containers that Docker starts again; tests/fullbatch/service/test_boot.py has what doctor says of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fullbatch.runtime.compose import boot, deployment


def test_only_what_runs_and_would_not_come_back_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def container(name: str, policy: str, status: str = "running") -> SimpleNamespace:
        return SimpleNamespace(name=name, status=status, attrs={"HostConfig": {"RestartPolicy": {"Name": policy}}})

    there = [container("a", "unless-stopped"), container("b", "no"), container("c", "always")]
    monkeypatch.setattr(deployment, "containers", lambda: [*there, container("secrets", "no", "exited")])
    assert boot.not_restarted() == ["b"]
    assert boot.verdict("enabled", ["b"]).finding == "Docker does not start again: b"
