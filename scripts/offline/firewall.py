"""What dockerd leaves in the packet filter when it ends: rules, chains, and FORWARD on DROP, which stops the traffic
of others' virtual machines and containers. Taken out again, unless somebody else has changed the rules since."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from scripts.offline.process import OfflineError, Say, output

TOOLS = ("iptables", "ip6tables")
# dockerd's chains, its first bridge, and the bridges of Compose's networks.
_DOCKERS = re.compile(r"DOCKER|\bdocker0\b|\bbr-[0-9a-f]{12}\b")
_BUILT_IN = re.compile(r"^:(\S+) (?:ACCEPT|DROP) ", re.MULTILINE)


def remember(folder: Path, env: Mapping[str, str]) -> None:
    """Keeps the rules as they are, for `restore`; none where there is no packet filter.

    ``env``: with a PATH to the tools.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        file = folder / f"{tool}.rules"
        file.unlink(missing_ok=True)
        try:
            file.write_text(output([f"{tool}-save"], env=env) + "\n")
        except OfflineError:
            continue


def restore(folder: Path, env: Mapping[str, str], say: Say) -> None:
    """Puts back what `remember` has kept, once."""
    for tool in TOOLS:
        file = folder / f"{tool}.rules"
        if not file.exists():
            continue
        before = file.read_text()
        try:
            now = output([f"{tool}-save"], env=env)
            if others(now) == others(before) and not _DOCKERS.search(before):
                file.write_text(as_it_was(before, now))
                output([f"{tool}-restore", str(file)], env=env)
            else:
                say(f"docker: its rules stay in {tool}: others' have changed since, or are another engine's")
        except OfflineError as error:
            say(f"docker: its rules stay in {tool}: {error}")
        file.unlink()


def others(rules: str) -> list[str]:
    """The rules that are not dockerd's, each with its table."""
    return [f"{table} {line}" for table, line in _lines(rules) if line.startswith("-A") and not _DOCKERS.search(line)]


def as_it_was(before: str, now: str) -> str:
    """What the -restore program needs: a table that was not there before is emptied."""
    had = {table for table, _ in _lines(before)}
    emptied = []
    for table in dict.fromkeys(table for table, _ in _lines(now)):
        if table not in had:
            chains = [line for where, line in _lines(now) if where == table and _BUILT_IN.match(line)]
            policies = [_BUILT_IN.sub(r":\1 ACCEPT ", line) for line in chains]
            emptied += [f"*{table}", *policies, "COMMIT"]
    return "\n".join([before.rstrip("\n"), *emptied]) + "\n"


def _lines(rules: str) -> list[tuple[str, str]]:
    """Chains and rules, each with its table."""
    found, table = [], ""
    for line in rules.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith((":", "-A")):
            found.append((table, line))
    return found
