"""launcher.json: what is read, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher.config import ConfigError, EngineAddress, Memory, load

GOOD = {"name": "a", "command": ["vllm", "serve"], "listen": {"host": "127.0.0.1", "port": 8000}}
OTHER = {"name": "b", "command": ["vllm", "serve"], "listen": {"uds": "/run/b.sock"}}


def written(folder: Path, content: Any) -> Path:
    file = folder / "launcher.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def config(**more: Any) -> dict[str, Any]:
    return {"card": "card0", "socket": "/run/fullbatch/card0.sock", "models": [GOOD, OTHER]} | more


def test_everything_is_read(tmp_path: Path) -> None:
    full = GOOD | {"env": {"A": "1"}, "sleep": True, "start_timeout_s": 10, "stop_timeout_s": 5}
    settings = load(
        written(tmp_path, config(models=[full, OTHER], memory={"command": ["nvidia-smi"], "asleep_mib": 1500}))
    )
    a, b = settings.models
    assert (a.env, a.sleep, a.start_timeout_s, a.stop_timeout_s) == ((("A", "1"),), True, 10, 5)
    assert (a.listen, b.listen) == (EngineAddress("127.0.0.1", 8000), EngineAddress(uds="/run/b.sock"))
    assert (b.sleep, b.start_timeout_s, b.stop_timeout_s) == (False, 900, 30)
    assert settings.memory == Memory(("nvidia-smi",), 1500)
    assert settings.folder == Path("/run/fullbatch/card0.d")
    assert load(written(tmp_path, config(folder="/var/lib/x"))).folder == Path("/var/lib/x")


BAD = {
    "no JSON": ("{", "is not JSON"),
    "a list": ([], "the file is not an object that says anything; write card, socket"),
    "empty": ({}, "the file is not an object that says anything; write card"),
    "unknown key": (config(colour=1), "colour is not known; there are card, socket, folder, models, memory"),
    "card": (config(card="a b"), "card is 'a b'; write letters"),
    "no card": (config(card=None), "card is missing; write a text"),
    "relative socket": (config(socket="x.sock"), "socket is 'x.sock'; write an absolute path"),
    "long socket": (config(socket="/" + "x" * 200), "write an absolute path of at most 107 bytes"),
    "folder": (config(folder="x"), "folder is 'x'; write an absolute path"),
    "no models": (config(models=[]), "models is []; write a list of at least one model"),
    "model": (config(models=["a"]), "models[0] is not an object that says anything; write name"),
    "name": (config(models=[GOOD | {"name": "a/b"}]), "models[0].name is 'a/b'; write letters"),
    "command": (config(models=[GOOD | {"command": "vllm serve"}]), 'models[0].command is "vllm serve"; write a list'),
    "env": (config(models=[GOOD | {"env": {"A": 1}}]), "models[0].env: 'A' is no variable with a text"),
    "env list": (config(models=[GOOD | {"env": []}]), "models[0].env is []; write an object of texts"),
    "port": (
        config(models=[GOOD | {"listen": {"host": "x", "port": 0}}]),
        "models[0].listen.port is 0; write a number",
    ),
    "both": (config(models=[GOOD | {"listen": {"uds": "/x", "port": 1}}]), "has uds and more"),
    "sleep": (config(models=[GOOD | {"sleep": "yes"}]), 'models[0].sleep is "yes"; write true or false'),
    "time": (config(models=[GOOD | {"start_timeout_s": True}]), "models[0].start_timeout_s is true; write a number"),
    "twice": (config(models=[GOOD, OTHER | {"name": "a"}]), "models: two are called 'a'"),
    "one port": (config(models=[GOOD, GOOD | {"name": "b"}]), "models: two listen at 127.0.0.1:8000"),
    "memory": (config(memory={"command": [], "asleep_mib": 1}), "memory.command is []; write a list of words"),
    "mib": (config(memory={"command": ["x"], "asleep_mib": -1}), "memory.asleep_mib is -1; write a number over 0"),
}


@pytest.mark.parametrize(("content", "told"), BAD.values(), ids=list(BAD))
def test_a_mistake_is_told_in_one_line(tmp_path: Path, content: Any, told: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert len(refused.value.lines) == 1
    assert refused.value.lines[0].startswith(f"{file}: ")
    assert told in refused.value.lines[0]


def test_all_mistakes_are_told_and_no_secret(tmp_path: Path) -> None:
    bad = GOOD | {"env": {"HF_TOKEN=": "hf_secret"}, "sleep": 1}
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, config(card="", models=[bad])))
    assert len(refused.value.lines) == 3
    assert "hf_secret" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.json")
