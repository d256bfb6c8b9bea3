"""`fullbatch up --foreground`, as a unit of systemd's runs it: it stays as long as what it has started."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.fullbatch.checkout import Checkout, read_until, rest
from tests.fullbatch.runtime.process.started import Words, pid_of, state_file


@pytest.mark.parametrize("ends", ["engine dies", "asked by systemd", "fullbatch down"])
def test_how_it_ends(checkout: Checkout, words: Words, ends: str) -> None:
    checkout.engine()
    with checkout.started(*words.up(), "--foreground") as up:
        read_until(up, "is up: the first token")
        time.sleep(0.5)
        assert up.poll() is None, "it stays"
        if ends == "engine dies":
            os.kill(pid_of(checkout, "engine"), signal.SIGKILL)
        elif ends == "asked by systemd":
            up.send_signal(signal.SIGTERM)
        else:
            assert checkout.run("down").returncode == 0
        said = rest(up)
    code = {"engine dies": 5, "asked by systemd": 130, "fullbatch down": 0}[ends]
    assert up.returncode == code, said
    assert ("has ended" in said) == (ends == "engine dies")
    assert checkout.processes() == [] and not state_file(checkout).exists()
