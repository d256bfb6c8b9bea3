"""Each cell brings its figures; nothing here says how fast."""

from __future__ import annotations

from bench.gateway.cells import Bench, Size
from bench.gateway.processes import LoadedServer, free_port
from bench.gateway.programs import Mock, Programs

TINY = Size(closed_s=0.2, single_s=0.1, connections=2, streams=4, turns=1, ramp_s=0.05, repeat_s=0)


def test_all_cells_of_direct(programs: Programs, mock: Mock) -> None:
    cells = Bench(programs, mock, TINY).cells(LoadedServer("direct", mock.port))
    assert set(cells) == {"c50", "c1", "paced", "step"}
    assert cells["c50"]["rps"] > 0
    assert cells["c50"]["cpu_ms"] == 0
    for name in ("paced", "step"):
        assert (cells[name]["delivered"], cells[name]["failed"]) == (1.0, 0)
    assert all(0 <= cell["foreign"] <= 1 for cell in cells.values())


def test_a_gateway_that_has_gone_has_no_cells(programs: Programs, mock: Mock) -> None:
    assert Bench(programs, mock, TINY).cells(LoadedServer("gone", free_port())) == {}
