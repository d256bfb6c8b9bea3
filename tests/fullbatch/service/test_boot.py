"""Units of a checkout installed, looked at and taken away, with a `systemctl` of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core.check_result import CheckResult, ok
from fullbatch.core.errors import HostError, StateError, UsageError
from fullbatch.planning.plan import Plan
from fullbatch.runtime.compose import boot as docker_boot
from fullbatch.runtime.compose.runtime import ComposeRuntime
from fullbatch.runtime.process.runtime import ProcessRuntime
from fullbatch.service import boot, systemd
from fullbatch.service.systemd import Systemd

SYSTEMCTL = """
echo "$*" >> '{log}'
case "$*" in
is-system-running) echo running ;;
*is-enabled*) cat '{log}.enabled' ;;
*is-active*) echo inactive ;;
esac
"""


@pytest.fixture
def manager(tmp_path: Path, programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> Systemd:
    programs("systemctl", SYSTEMCTL.replace("cat ", "/bin/cat ").format(log=tmp_path / "log"))
    (tmp_path / "log.enabled").write_text("enabled\n")
    made = Systemd(False, tmp_path / "units")
    monkeypatch.setattr(systemd, "of", lambda user: Systemd(user, tmp_path / ("none" if user else "units")))
    return made


@pytest.fixture
def plan(plan_of: Callable[[str], Plan]) -> Plan:
    return plan_of("cpu-tiny")


def test_installed_and_taken_away(manager: Systemd, plan: Plan, tmp_path: Path) -> None:
    unit = boot.unit_of(tmp_path, plan, user=False)
    path = boot.install(unit, manager)
    assert path.read_text() == unit.text()
    assert (tmp_path / "log").read_text().splitlines()[-2:] == ["daemon-reload", f"enable {unit.name}"]
    (found,) = boot.installed(tmp_path, plan, manager)
    assert (found.name, found.enabled, found.active, found.stale) == (unit.name, "enabled", "inactive", False)
    assert boot.installed(tmp_path / "other", plan, manager) == [], "another clone's is not ours"
    with pytest.raises(StateError, match="nothing of this checkout is installed"):
        boot.uninstall(tmp_path, "another-profile", manager)
    assert boot.uninstall(tmp_path, None, manager) == [unit.name]
    assert f"disable --now {unit.name}" in (tmp_path / "log").read_text() and not path.exists()
    with pytest.raises(StateError):
        boot.uninstall(tmp_path, None, manager)


def test_mistakes_are_one_line(
    tmp_path: Path, manager: Systemd, plan: Plan, programs: Callable[[str, str], None]
) -> None:
    with pytest.raises(UsageError, match="a unit cannot name it"):
        boot.unit_of(tmp_path / "a\nb", plan, user=False)
    programs("systemctl", "echo offline")
    with pytest.raises(HostError, match="no systemd runs here"):
        boot.install(boot.unit_of(tmp_path, plan, user=False), manager)
    assert not manager.folder.exists()


def test_what_doctor_says_of_processes(manager: Systemd, plan: Plan, tmp_path: Path) -> None:
    runtime = ProcessRuntime()
    found = boot.verdict(tmp_path, plan, runtime)
    assert found.severity == "ok" and "at boot: fullbatch service install cpu-tiny" in found.finding
    path = boot.install(boot.unit_of(tmp_path, plan, user=False), manager)
    assert boot.verdict(tmp_path, plan, runtime) == ok("boot", f"{path.name} is enabled and inactive")
    (tmp_path / "log.enabled").write_text("disabled\n")
    found = boot.verdict(tmp_path, plan, runtime)
    assert found.severity == "warn" and found.fix == "fullbatch service install cpu-tiny --system"
    path.write_text("[Unit]\n")
    assert "is of another version, profile or Python" in boot.verdict(tmp_path, plan, runtime).finding


def test_what_doctor_says_of_containers(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(docker_boot, "not_restarted", lambda: [])
    said: dict[str, CheckResult] = {}
    for state in ("enabled", "disabled", ""):
        programs("systemctl", f"echo {state}")
        said[state] = boot.verdict(tmp_path, plan, ComposeRuntime())
    assert [one.severity for one in said.values()] == ["ok", "warn", "ok"]
    assert "which starts at boot" in said["enabled"].finding and "not known here" in said[""].finding
    assert said["disabled"].fix == "sudo systemctl enable docker"
    (tmp_path / "programs/systemctl").unlink()
    assert docker_boot.unit_state() == ""
    assert docker_boot.verdict("enabled", ["gateway"]).finding == "Docker does not start again: gateway"


def test_who_asks() -> None:
    assert boot.default_user() in (True, False)
