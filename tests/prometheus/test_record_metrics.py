"""scripts/record-metrics against a small server: what it writes, prints and refuses."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prometheus.exposition import ENGINE, GATEWAY, NODE
from tests.prometheus.live import targets

SCRIPT = Path(__file__).parents[2] / "scripts" / "record-metrics"
PAGE = """# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0"} 12.0
# TYPE vllm:generation_tokens_created gauge
vllm:generation_tokens_created{engine="0"} 1.79e+09
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a b, {c}"} 3.0
"""


def record(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page"
    path.write_text(PAGE)
    return path


@pytest.fixture
def url(page: Path) -> Iterator[str]:
    with targets({"/metrics": (page,)}) as address:
        yield f"http://{address}/metrics"


def test_names_labels_types_and_values_stay_and_moments_become_zero(url: str, tmp_path: Path) -> None:
    run = record(url, tmp_path / "out")
    assert run.returncode == 0, run.stderr
    written = (tmp_path / "out").read_text().splitlines()
    assert 'vllm:num_requests_running{engine="0",model_name="a b, {c}"} 3.0' in written
    assert 'vllm:generation_tokens_created{engine="0"} 0' in written
    assert "# TYPE vllm:generation_tokens_total counter" in written


def test_what_changed_against_the_old_recording_is_printed(url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text('# TYPE vllm:gone gauge\nvllm:gone{engine="0"} 1\nvllm:num_requests_running{engine="0"} 1\n')
    printed = record(url, out).stdout.splitlines()
    assert "- series vllm:gone{engine}" in printed
    assert "- type vllm:gone gauge" in printed
    assert "- series vllm:num_requests_running{engine}" in printed
    assert "+ series vllm:num_requests_running{engine,model_name}" in printed
    assert record(url, out).stdout == f"{out}: 6 names and types, 0 new, 0 gone\n"


def test_an_engine_that_has_not_worked_yet_is_refused(page: Path, url: str, tmp_path: Path) -> None:
    page.write_text(PAGE.replace("12.0", "0.0"))
    with targets({"/metrics": (page,)}) as address:
        run = record(f"http://{address}/metrics", tmp_path / "out")
    assert run.returncode == 1
    assert "has generated no token yet" in run.stderr
    assert not (tmp_path / "out").exists()
    assert record(url, tmp_path / "out").returncode == 0


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/metrics", "127.0.0.1:8000", "nonsense"])
def test_an_address_that_cannot_be_read_is_one_line(address: str, tmp_path: Path) -> None:
    run = record(address, tmp_path / "out")
    assert run.returncode == 1
    assert run.stderr.startswith(f"scripts/record-metrics: {address}: ")
    assert len(run.stderr.splitlines()) == 1


def test_two_arguments_are_wanted() -> None:
    run = record()
    assert (run.returncode, run.stderr) == (
        1,
        "scripts/record-metrics: write URL FILE, such as http://127.0.0.1:8000/metrics tests/fixtures/x.txt\n",
    )


@pytest.mark.parametrize("path", [ENGINE, GATEWAY, NODE], ids=lambda path: path.stem)
def test_committed_recordings_hold_no_moment_in_time(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if "_created" in line.split(" ")[0] and not line.endswith(" 0")] == []
