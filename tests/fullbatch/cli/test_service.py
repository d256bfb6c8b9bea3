"""`fullbatch service` as a person types it, where there is no systemd."""

from __future__ import annotations

from tests.fullbatch.checkout import Checkout
from tests.fullbatch.cli.words import one_line


def test_without_systemd_the_unit_can_be_seen(checkout: Checkout) -> None:
    seen = checkout.run("service", "install", "cpu-tiny", "--dry-run", "--system")
    assert seen.returncode == 0, seen.stderr
    assert f"WorkingDirectory={checkout.root}\n" in seen.stdout and "up cpu-tiny --runtime process" in seen.stdout
    assert "no systemd runs here" in one_line(checkout.run("service", "install", "cpu-tiny", "--system"), 4)
    status = checkout.run("service", "status", "cpu-tiny", "--system")
    assert status.returncode == 6 and "nothing of this checkout starts at boot" in status.stdout


def test_mistakes_are_one_line(checkout: Checkout) -> None:
    assert "nothing of this checkout is installed" in one_line(checkout.run("service", "uninstall", "--system"), 6)
    several = "h100x8x2-llama3.1-405b"
    assert "several machines" in one_line(checkout.run("service", "install", several, "--system"), 2)
