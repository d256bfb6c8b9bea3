"""The simulation's errors against real engines stay what docs/decisions/0036-simulation.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import simulation
from bench.simulation import ErrorRow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "decisions" / "0036-simulation.md"


@pytest.fixture(scope="module")
def rows() -> list[ErrorRow]:
    return list(simulation.rows())


def test_its_errors_are_within_what_the_page_says(rows: list[ErrorRow]) -> None:
    found = simulation.errors(rows)
    assert found["output_tokens_per_s"][1] <= 0.05
    assert found["itl_p50_ms"][0] <= 0.05 and found["ttft_p95_ms"][0] <= 0.05
    assert found["ttft_p50_ms"][0] <= 0.15 and found["itl_p95_ms"][0] <= 0.20


def test_preemption_begins_where_it_did(rows: list[ErrorRow]) -> None:
    """Measured: 22 % of 512 + 512 alone, 2 % and less through the gateway, next to none elsewhere."""
    full = {(row.load, row.users): row.preempted for row in rows if "512 + 512" in row.load}
    assert full["H200, 512 + 512", 50] == full["H200, 512 + 512", 100] == pytest.approx(0.22)
    assert full["H200, 512 + 512, gateway", 50] == pytest.approx(0.02)
    assert all(row.preempted < 0.01 for row in rows if "512 + 512" not in row.load)


def test_the_page_has_this_table(rows: list[ErrorRow], capsys: pytest.CaptureFixture[str]) -> None:
    simulation.main()
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == len(rows) + 4
    lost = [line for line in table if line not in PAGE.read_text()]
    assert lost == [], "python -m bench.simulation writes it"
