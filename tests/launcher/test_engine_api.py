from __future__ import annotations

from pathlib import Path

import pytest

from launcher.config import EngineAddress
from launcher.engine_api import EngineApi, Unanswered
from tests.gateway.harness import Engine
from tests.ports import free_port


def test_an_engine_is_asked_over_its_port(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    try:
        api = EngineApi(EngineAddress("127.0.0.1", int(engine.url.rpartition(":")[2])), "")
        assert api.healthy()
        assert api.work() == 0
        with pytest.raises(Unanswered, match="/is_sleeping answers 404"):
            api.asleep()
        with pytest.raises(Unanswered, match="/sleep answers 4"):
            api.sleep()
        engine.turn(fault="unhealthy")
        assert not api.healthy()
    finally:
        engine.stop()


@pytest.mark.parametrize("listen", [EngineAddress("127.0.0.1", free_port()), EngineAddress(uds="/nowhere/x.sock")])
def test_nobody_there(listen: EngineAddress) -> None:
    api = EngineApi(listen, "")
    assert not api.healthy()
    for ask in (api.work, api.asleep, api.wake, api.sleep):
        with pytest.raises(Unanswered):
            ask()
