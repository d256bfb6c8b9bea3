"""How long each file of tests takes: kept in tests/durations.txt, written by `scripts/record-durations`."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests" / "durations.txt"
HEAD = """\
# Seconds that each file of tests took, set-up included, with others beside it, in the last run that was recorded:
# scripts/record-durations after scripts/test. Files that take longest are started first.
"""


def of(reports: Sequence[Path]) -> dict[str, float]:
    """File below the root -> seconds, from JUnit reports of pytest."""
    found: dict[str, float] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            # A module as tests.gateway.test_app; this suite has no classes of tests.
            name = case.attrib["classname"].replace(".", "/") + ".py"
            found[name] = found.get(name, 0.0) + float(case.attrib["time"])
    return found


def text(seconds: dict[str, float]) -> str:
    slowest_first = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))
    return HEAD + "".join(f"{took:7.1f} {name}\n" for name, took in slowest_first)


def read(path: Path = FILE) -> dict[str, float]:
    """What was recorded; nothing where nothing was."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: float(took) for took, name in (line.split() for line in lines if not line.startswith("#"))}


def record(reports: Sequence[Path], file: Path = FILE) -> None:
    """Writes the file that `read` reads."""
    file.write_text(text(of(reports)))
