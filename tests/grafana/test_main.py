"""`python -m grafana`: what it writes, and that the committed files are what it writes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def grafana(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "grafana", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_committed_dashboards_are_current() -> None:
    run = grafana("--check")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_written_files_pass_their_own_check(tmp_path: Path) -> None:
    assert grafana("--out", tmp_path).returncode == 0
    assert (tmp_path / "overview.json").exists()
    assert grafana("--out", tmp_path, "--check").returncode == 0


def test_an_edited_file_is_stale_and_check_leaves_it_alone(tmp_path: Path) -> None:
    grafana("--out", tmp_path)
    edited = tmp_path / "overview.json"
    edited.write_text(edited.read_text() + " ")
    run = grafana("--out", tmp_path, "--check")
    assert run.returncode == 1
    assert run.stderr == f"{edited}: stale; run python -m grafana and commit the result\n"
    assert edited.read_text().endswith(" ")


def test_a_missing_file_and_a_left_over_file_are_stale(tmp_path: Path) -> None:
    left_over = tmp_path / "gone.json"
    left_over.write_text("{}")
    run = grafana("--out", tmp_path, "--check")
    assert run.returncode == 1
    assert [Path(line.split(":")[0]).name for line in run.stderr.splitlines()] == [
        "batch-and-kv-cache.json",
        "gateway.json",
        "gone.json",
        "hardware.json",
        "overview.json",
        "where-time-goes.json",
    ]
    grafana("--out", tmp_path)
    assert not left_over.exists()
