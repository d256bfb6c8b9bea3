"""`fullbatch service`: starting at boot."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fullbatch.core.check_result import CheckResult
from fullbatch.core.errors import UsageError
from fullbatch.planning import advice, profile
from fullbatch.planning.plan import Plan
from fullbatch.runtime import dotenv, registry
from fullbatch.service import boot, systemd
from fullbatch.service.systemd import Systemd

OK, WARNED, NOTHING = 0, 1, 6


def options(command: argparse.ArgumentParser) -> None:
    """Its actions."""
    actions = command.add_subparsers(dest="action", required=True, metavar="install|uninstall|status")
    install = actions.add_parser(
        "install",
        help="let a profile start at boot",
        description="Let a profile start at boot. Plain processes get a unit of systemd's, which also starts them "
        "again when one dies. Containers need none: Docker starts them again; then this only says whether it will.",
    )
    install.add_argument("--dry-run", action="store_true", help="print the unit, and write nothing")
    remove = actions.add_parser("uninstall", help="stop and remove the units of this checkout")
    show = actions.add_parser("status", help="show what starts at boot; exit code 6 if nothing does")
    for one in (install, remove, show):
        one.add_argument("profile", nargs="?", help="which profile (default: the one of .env; uninstall: all)")
        whose = one.add_mutually_exclusive_group()
        whose.add_argument("--user", action="store_true", help="your own systemd (default unless you are root)")
        whose.add_argument("--system", action="store_true", help="the machine's systemd, which needs root")
    for one in (install, show):
        one.add_argument(
            "--runtime", choices=("auto", *registry.names()), default="auto",
            help=f"how it runs; auto (default): {registry.AUTO_IN_WORDS}",
        )  # fmt: skip


def run(root: Path, args: argparse.Namespace) -> int:
    """One of them; its exit code."""
    user = args.user or (not args.system and boot.default_user())
    manager = systemd.of(user)
    if args.action == "uninstall":
        for name in boot.uninstall(root, args.profile, manager):
            _say(f"{name}: stopped and removed")
        return OK
    name = args.profile or dotenv.profile(root)
    plan = advice.plan(name, profile.load(root, name))
    own = registry.choose(args.runtime).starts_at_boot(root)
    if own is not None:
        return _told(own)
    return _status(root, plan, manager) if args.action == "status" else _install(root, plan, manager, args.dry_run)


def _install(root: Path, plan: Plan, manager: Systemd, dry_run: bool) -> int:
    if plan.engines[0].nodes > 1:
        raise UsageError(f"profiles/{plan.name}.yaml is for several machines, which run it in Docker")
    unit = boot.unit_of(root, plan, user=manager.user)
    if dry_run:
        sys.stdout.write(unit.text())
        return OK
    path = boot.install(unit, manager)
    systemctl = "systemctl --user" if manager.user else "systemctl"
    _say(f"{path}: {plan.name} starts at boot")
    _say(f"now, instead of what `fullbatch up` has started: fullbatch down; {systemctl} start {unit.name}")
    if manager.user:
        _say("before anybody logs in: sudo loginctl enable-linger $USER")
    return OK


def _status(root: Path, plan: Plan, manager: Systemd) -> int:
    found = boot.installed(root, plan, manager)
    for one in found:
        stale = f"; stale, write it anew: fullbatch service install {plan.name}" if one.stale else ""
        _say(f"{one.name}: {one.enabled}, {one.active}{stale}")
    if not found:
        _say(f"nothing of this checkout starts at boot; fullbatch service install {plan.name}")
        return NOTHING
    return WARNED if any(one.stale or one.enabled != "enabled" for one in found) else OK


def _told(own: CheckResult) -> int:
    _say(own.finding + (f"; fix: {own.fix}" if own.fix else ""))
    return OK if own.severity == "ok" else WARNED


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
