from __future__ import annotations

import json
from pathlib import Path

from fullbatch.runtime.launcher_file import Launched
from fullbatch.runtime.process import launching
from tests.fullbatch.several_profiles import EMBEDDING, LLAMA, QWEN, on_demand, planned


def test_the_launchers_file_lies_beside_the_logs_and_its_command_names_it(tmp_path: Path) -> None:
    plan = planned(on_demand(QWEN), on_demand(LLAMA))
    socket = launching.socket_paths(plan, "/s")["card0"]
    assert socket == "/s/launcher-card0.sock"
    launched = [Launched(engine, ["vllm"], {"uds": "/s/x"}, {}) for engine in plan.engines]
    words = launching.command(tmp_path, plan, "card0", socket, launched)
    assert words[1:] == ["-m", "launcher", str(tmp_path / "launcher-card0.json")]
    found = json.loads((tmp_path / "launcher-card0.json").read_text(encoding="utf-8"))
    assert found["folder"] == str(tmp_path / "launcher-card0")
    assert found["memory"]["command"][-2:] == ["-i", "0"], "of this machine's cards only its own"


def test_beside_an_engine_that_is_always_there_the_card_is_never_empty(tmp_path: Path) -> None:
    plan = planned(on_demand(QWEN), on_demand(LLAMA), {"model": EMBEDDING}, hardware={"gpu": "l40s"})
    launching.command(tmp_path, plan, "card0", "/s", [])
    assert "memory" not in json.loads((tmp_path / "launcher-card0.json").read_text(encoding="utf-8"))


def test_where_an_engine_listens_in_the_launchers_words() -> None:
    assert launching.listen("unix:/s/engine-a.sock") == {"uds": "/s/engine-a.sock"}
    assert launching.listen("http://127.0.0.1:8100") == {"host": "127.0.0.1", "port": 8100}
