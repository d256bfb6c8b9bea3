"""``python -m gateway.store``: what it says, and that no command line needs a password."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import store
from tests.gateway.harness import ROOT, keys, run
from tests.gateway.keys.postgreses import PASSWORD, Postgres


def test_p243_moved_asked_and_brought_back(tmp_path: Path, postgres: Postgres) -> None:
    path = tmp_path / "store"
    keys(path, "create", "alice")
    assert "on this box alone" in run("gateway.store", "--store", str(path), "status").stdout
    given = json.dumps({"url": postgres.database() + "\n", "ca": None})
    words = [sys.executable, "-m", "gateway.store", "--store", str(path), "to-postgres", "--stdin", "--json"]
    moved = subprocess.run(words, input=given, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(moved.stdout)["keys"] == 1
    assert PASSWORD not in moved.stdout + moved.stderr
    said = json.loads(run("gateway.store", "--store", str(path), "status", "--json").stdout)
    assert (said["state"], said["keys"], said["waiting_requests"]) == ("up", 1, 0)
    back = run("gateway.store", "--store", str(path), "to-sqlite")
    assert "on this box again" in back.stdout, back.stderr


def test_p243_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "url").write_text("postgresql://u:hunter2@db.example/db")
    words = ["--store", str(tmp_path / "store"), "join", "--url-file"]
    assert store.main([*words, str(tmp_path / "url")]) == store.BAD_USE
    assert store.main([*words, str(tmp_path / "nowhere")]) == store.BAD_USE
    said = capsys.readouterr().err
    assert "--url-file: db.example is another machine" in said
    assert "hunter2" not in said
    assert said.count("\n") == 2
