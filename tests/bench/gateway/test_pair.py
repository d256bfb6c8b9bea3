"""Two gateways behind HAProxy are started, loaded and reported on; how fast they are is for a quiet machine."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.gateway import pair, pair_config, pair_load
from bench.gateway.cells import Bench, Size
from bench.gateway.peers import which
from bench.gateway.programs import Mock, Programs
from bench.gateway.results import DIRECT, Results


@pytest.mark.skipif(not Path(which("haproxy")).exists(), reason="no haproxy (Debian: apt-get install haproxy)")
def test_a_pair_behind_haproxy_answers_shares_and_is_counted(tmp_path: Path, programs: Programs, mock: Mock) -> None:
    results = Results("here")
    size = Size(closed_s=0.5, single_s=0.2, connections=8, repeat_s=0)
    with ExitStack() as stack:
        share, server = pair.valkey(tmp_path, stack)
        place = pair_config.PairPlace(tmp_path, [sys.executable], mock.port, share)
        targets = pair.speed(place, server, stack)
        before = [[process.cpu_times().user for process in target.tree()] for target in targets]
        pair.measure_speed(results, targets, Bench(programs, mock, size), 1, ("c50", "c1"))
        after = [[process.cpu_times().user for process in target.tree()] for target in targets]
        assert [len(processes) for processes in after] == [0, 1, 2]
        for was, now in zip(before, after, strict=True):
            assert all(b > a for a, b in zip(was, now, strict=True)), "each gateway of a pair had its requests"
        fair = pair.sharing(place, 1, stack)
        jain = pair_load.shares(fair, 4.0)
        limit = pair_load.limit(fair, 0, 3.0)
    (cells,) = results.rounds
    assert set(cells) == {DIRECT, pair.ONE, pair.PAIR}
    assert not any(cell.get("failed", 0) for each in cells.values() for cell in each.values())
    assert cells[DIRECT]["c50"]["cpu_ms"] == 0 < cells[pair.PAIR]["c50"]["cpu_ms"]
    assert 0.25 < jain <= 1.0
    assert 0.5 < limit < 1.6  # without sharing it would be near 2
    said = pair.report(pair.PairMeasured(results, [jain], [limit]))
    assert "requests/s on two cores' CPU time" in said
    assert f"{limit:.3f}" in said


def test_what_is_over_its_limit_is_called_missed() -> None:
    def cells(cpu: float, p50: float) -> dict[str, dict[str, float]]:
        quiet = {"foreign": 0.0}
        return {"c50": {"cpu_ms": cpu, "rps": 1.0, "failed": 0.0} | quiet, "c1": {"p50_ms": p50} | quiet}

    rounds = [{DIRECT: cells(0.0, 0.1), pair.ONE: cells(0.04, 0.2), pair.PAIR: cells(0.05, 0.22)}]
    said = pair.report(pair.PairMeasured(Results("here", rounds), [0.99, 0.94], [1.02, 0.96]))
    assert "| 0.100 | 0.120 | 1.20 x, **missed** |" in said
    assert "| 2 | 1 | 1.60 | **missed** |" in said
    assert "| 0.9400 | **missed** |" in said
    assert "| 0.960 | met |" in said


def test_without_haproxy_it_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "which", lambda name: f"/nowhere/{name}")
    assert pair.main(["--quick", "--interpreted"]) == pair.MISSING
    assert "apt-get install haproxy" in capsys.readouterr().err
