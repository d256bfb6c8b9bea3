"""`locust -f loadtest/locustfile.py`, headless: the same users on Locust's own shape."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.loadtest.programs import ROOT


def locust(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """From another folder, with the code where an image has it: on PYTHONPATH."""
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py"), "--headless", *arguments]
    chosen = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=directory, env=chosen, capture_output=True, text=True, timeout=90, check=False)


def test_the_shape_climbs_and_every_answer_is_good(engine: tuple[str, int], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("fb-key\n")
    environment = {"FULLBATCH_HOST": engine[0], "FULLBATCH_MODEL": "tiny", "FULLBATCH_KEY_FILE": str(tmp_path / "key")}
    done = locust(tmp_path, "--stage-seconds", "2", "--max-tokens", "8", "--csv", "out", **environment)
    assert done.returncode == 0, done.stderr
    for users in (1, 5, 10, 50):
        assert f'{{"Chat": {users}}}' in done.stderr
    head, first = (tmp_path / "out_stats.csv").read_text().splitlines()[:2]
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert (row["Type"], row["Name"], row["Failure Count"]) == ("stream", "/v1/chat/completions", "0")
    assert int(row["Request Count"]) > 60
    assert float(row["Average Response Time"]) >= 110
    assert float(row["Average Content Size"]) == 8
    assert urllib.request.urlopen(f"{engine[0]}/health", timeout=5).status == 200


def test_a_file_of_conversations_is_asked(engine: tuple[str, int], tmp_path: Path) -> None:
    said = [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "x" * 20}]
    (tmp_path / "talks.jsonl").write_text(json.dumps({"conversations": said}))
    environment = {"FULLBATCH_HOST": engine[0], "FULLBATCH_MODEL": "tiny"}
    words = ["--stage-seconds", "2", "--steps", "2", "--csv", "out"]
    done = locust(tmp_path, *words, "--dataset", "talks.jsonl", **environment)
    assert done.returncode == 0, done.stderr
    head, first = (tmp_path / "out_stats.csv").read_text().splitlines()[:2]
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert (row["Failure Count"], float(row["Average Content Size"])) == ("0", 5) and int(row["Request Count"]) > 4
    done = locust(tmp_path, *words, "--dataset", "nowhere.jsonl", **environment)
    assert "nowhere.jsonl: no such file" in done.stderr and "Traceback" not in done.stderr


def test_without_a_host_it_says_what_to_give(tmp_path: Path) -> None:
    done = locust(tmp_path, "--stage-seconds", "1", FULLBATCH_HOST="")
    assert "no host; give --host or FULLBATCH_HOST" in done.stderr
    assert "Traceback" not in done.stderr
