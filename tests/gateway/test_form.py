"""These tests run on two forms of the gateway, and on the one that they say: scripts/test-compiled runs the second."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.harness import ROOT, compiled_modules

COMPILED = os.environ.get("GATEWAY_FORM", "") == "compiled"
FOLDER = ROOT / ".fullbatch" / "compiled" if COMPILED else ROOT
SUFFIX = ".so" if COMPILED else ".py"


def test_the_form_is_one_that_there_is() -> None:
    assert os.environ.get("GATEWAY_FORM", "") in ("", "compiled")


@pytest.mark.parametrize("name", compiled_modules())
def test_the_tests_import_this_form(name: str) -> None:
    path = Path(str(importlib.import_module(f"gateway.{name}").__file__))
    assert path.suffix == SUFFIX
    assert path.is_relative_to(FOLDER / "gateway")


def test_a_gateway_that_a_test_starts_has_this_form() -> None:
    """As the harness starts it: the same folder, the same environment."""
    script = "import sys, gateway.app; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('gateway')))"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [Path(name).relative_to(FOLDER / "gateway") for name in found.stdout.split()]
    these = {str(path).partition(".")[0].replace("/", ".") for path in paths if path.suffix == SUFFIX}
    assert set(compiled_modules()) <= these
