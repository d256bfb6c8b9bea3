"""Turns in gateway.yaml: what is taken, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.loader import load
from tests.gateway.config.test_settings import refused
from tests.gateway.harness import write_config

TURN = {"card": "card0", "launcher": "/run/fullbatch/card0.sock", "name": "big"}
NUMBERS = {"max_num_seqs": 4, "max_num_batched_tokens": 2048, "max_model_len": 4096, "kv_cache_tokens": 65536}


def engine(name: str, turn: dict[str, Any] | None, *models: str) -> dict[str, Any]:
    found = {"name": name, "url": f"http://{name}:8000", "models": list(models or (name,)), **NUMBERS}
    return found if turn is None else found | {"turn": turn}


def test_defaults_and_all_of_it(tmp_path: Path) -> None:
    full = TURN | {"name": "b", "sleep": True, "cost": 7.6, "wake_guess_s": 2, "cold_guess_s": 55}
    residency = {"patience_s": 5, "residency_factor": 2, "drain_s": 9, "load_timeout_s": 100, "switches_per_hour": 3}
    engines = [engine("a", TURN), engine("b", full), engine("c", None)]
    settings = load(write_config(tmp_path, [], engines=engines, residency=residency | {"keep_alive_whole": True}))
    a, b, c = (one.turn for one in settings.engines)
    assert a is not None and (a.sleep, a.cost, a.wake_guess_s, a.cold_guess_s) == (False, 1.0, 5, 60)
    assert b is not None and (b.sleep, b.cost, b.wake_guess_s, b.cold_guess_s) == (True, 7.6, 2, 55)
    assert c is None
    assert settings.residency.keep_alive_whole and settings.residency.switches_per_hour == 3
    plain = load(write_config(tmp_path, ["http://x:1"])).residency
    assert (plain.patience_s, plain.residency_factor, plain.drain_s, plain.load_timeout_s) == (20, 4, 60, 300)


BAD_TURNS = [
    ({"name": "a/b"}, "engines[0].turn.name: "),
    ({"launcher": "card0.sock"}, "engines[0].turn.launcher: write the socket's absolute path"),
    ({"launcher": "/" + "x" * 200}, "engines[0].turn.launcher: write the socket's absolute path"),
    ({"cost": 0}, "engines[0].turn.cost: 0 should be greater than 0"),
    ({"sleep": "yes"}, "engines[0].turn.sleep: "),
    ({"speed": 1}, "engines[0].turn.speed: no such setting"),
    ({"card": ""}, "engines[0].turn.card: "),
]


@pytest.mark.parametrize(("change", "told"), BAD_TURNS)
def test_p37_a_bad_turn_is_one_line(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    (line,) = refused(tmp_path, engines=[engine("a", TURN | change)])
    assert line.startswith(told)


BAD_PAIRS = [
    (engine("b", TURN | {"name": "b", "launcher": "/x.sock"}), "card 'card0' has two launchers"),
    (engine("b", TURN | {"name": "b", "card": "card1"}), "is the launcher of two cards"),
    (engine("b", TURN), "two turns on card 'card0' are called 'big'"),
    (engine("b", None, "a"), "'a' and 'b' serve 'a', and one of them takes turns"),
    (engine("b", TURN | {"name": "b"}, "a"), "'a' and 'b' serve 'a', and one of them takes turns"),
]


@pytest.mark.parametrize(("second", "told"), BAD_PAIRS)
def test_p37_turns_that_do_not_go_together_are_one_line(tmp_path: Path, second: dict[str, Any], told: str) -> None:
    (line,) = refused(tmp_path, engines=[engine("a", TURN), second])
    assert told in line


@pytest.mark.parametrize(
    ("residency", "told"),
    [
        ({"patience_s": -1}, "residency.patience_s: -1 "),
        ({"switches_per_hour": 0}, "residency.switches_per_hour: 0 "),
        ({"load_timeout_s": 0}, "residency.load_timeout_s: 0 "),
        ({"patience": 1}, "residency.patience: no such setting"),
    ],
)
def test_p37_bad_residency_is_one_line(tmp_path: Path, residency: dict[str, Any], told: str) -> None:
    (line,) = refused(tmp_path, residency=residency)
    assert line.startswith(told)
