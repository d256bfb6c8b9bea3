"""Time that ends, and programs that do not start."""

from __future__ import annotations

import pytest

from fullbatch.core.errors import EngineError
from scripts.gpubench.turns import plans
from scripts.gpubench.turns.launched import Clock, LaunchedCard, LoneEngine, OutOfTime, used_mib
from tests.fullbatch.checkout import Checkout
from tests.ports import free_port
from tests.scripts.gpubench.turns import machine


def test_a_wait_ends_with_the_time_there_is() -> None:
    with pytest.raises(OutOfTime):
        Clock.in_seconds(0.05).until(lambda: False)
    Clock.in_seconds(0.05).patiently(lambda: False)
    Clock.in_seconds(5).until(lambda: True)


def test_what_the_driver_does_not_say_is_not_known(there: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.card(there, used_mib=1234)
    assert used_mib() == 1234
    monkeypatch.setenv("PATH", str(there.root))
    assert used_mib() is None


def test_an_engine_that_ends_has_settled_and_says_why(there: Checkout) -> None:
    there.program("bin/vllm", "#!/bin/sh\necho 'ValueError: no memory'\nexit 3\n")
    options = machine.options(there, [])
    plan = plans.together(machine.cell(), machine.matrix(), options.here)
    engine = LoneEngine(there.root, plan.engines[0], free_port(), there.root / "engine.log")
    Clock.in_seconds(30).until(engine.settled)
    engine.stop()
    assert engine.seconds is None and engine.words() == ["ValueError: no memory"]


def test_a_launcher_that_does_not_come_up_is_told_with_its_words(there: Checkout) -> None:
    options = machine.options(there, [])
    plan = plans.in_turns(machine.cell(), machine.matrix(), options.here)
    there.write("launcher/__main__.py", "raise SystemExit('no launcher today')\n")
    with pytest.raises(EngineError, match="no launcher today"):
        LaunchedCard(there.root, plan, free_port())
