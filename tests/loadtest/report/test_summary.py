"""summary.json, which the gateway's page reads."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from gateway.pages import load_report
from loadtest.report import summary

RESULTS = Path(__file__).parents[3] / "docs" / "results"


@pytest.mark.parametrize("name", sorted(str(path.relative_to(RESULTS)) for path in RESULTS.glob("**/report.json.xz")))
def test_the_gateways_page_reads_what_a_load_test_writes(name: str, tmp_path: Path) -> None:
    content = json.loads(lzma.decompress((RESULTS / name).read_bytes()))
    (tmp_path / "run").mkdir()
    path = summary.write(content, tmp_path / "run")
    assert path.stat().st_size < load_report.MAX_SUMMARY_BYTES
    found = load_report.last(tmp_path)
    assert found is not None
    assert (found["started_at"], found["verdict"]) == (content["started_at"], content["verdict"]["headline"])
    stages = found["stages"]
    assert isinstance(stages, list)
    assert sum(stage["requests"] for stage in stages) == sum(one["client"]["requests"] for one in content["stages"])
