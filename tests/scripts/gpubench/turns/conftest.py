from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scripts.gpubench.run import BenchOptions
from scripts.gpubench.turns import run
from tests.fullbatch.checkout import Checkout
from tests.fullbatch.conftest import checkout as checkout
from tests.scripts.gpubench.turns import machine


@pytest.fixture
def there(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A checkout on a machine whose card and vLLM are fakes."""
    machine.card(checkout, "--itl-ms=0.1", "--ttft-ms=1")
    monkeypatch.setenv("PATH", str(checkout.bin))
    monkeypatch.setenv("PYTHONPATH", str(checkout.root))
    return checkout


@pytest.fixture
def measured(there: Checkout, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[dict[str, Any], BenchOptions]]:
    """Runs one part of the cell: what it has written, and where."""

    def measure(part: str) -> tuple[dict[str, Any], BenchOptions]:
        said: list[str] = []
        options = machine.options(there, said)
        one = run.RunningTurns(machine.matrix(), machine.cell(), options)
        monkeypatch.setattr(one, "_parts", {part: one._parts[part]})
        one.run()
        found = run.read(options.out / "sleep", part)
        assert found["status"] == "done", (said, found)
        return found, options

    return measure
