"""Programs are started, waited for, measured and ended."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.gateway.processes import Foreign, LoadedServer, free_port, serves, started
from bench.gateway.programs import BenchError, Mock


def test_one_that_does_not_come_up_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such setting')"]
    with pytest.raises(BenchError, match="it did not come up: no such setting"):
        with started("it", command, free_port(), tmp_path / "log"):
            pass


def test_it_serves_when_a_completion_comes_back(mock: Mock) -> None:
    assert serves(mock.port)
    assert not serves(free_port())


def test_a_target_has_the_cpu_and_memory_of_its_tree_and_direct_has_none(mock: Mock) -> None:
    me = LoadedServer("me", mock.port, psutil.Process())
    before, ends = me.cpu_s(), time.process_time() + 0.05
    while time.process_time() < ends:
        pass
    assert me.cpu_s() > before
    assert me.peak_mb() >= me.rss_mb() > 5
    assert mock.process in me.tree()
    assert LoadedServer("direct", mock.port).cpu_s() == 0


def test_the_bench_itself_is_not_foreign() -> None:
    foreign = Foreign([])
    ends = time.process_time() + 0.2
    while time.process_time() < ends:
        pass
    own = time.process_time()
    assert 0 <= foreign.share() <= 1
    assert own > 0
