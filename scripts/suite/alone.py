"""A second look at what failed: alone, when nothing else runs any more.

The steps share a machine that is busier than any that people serve from, so a test can fail there for want of a core
within its time. What is really broken fails alone as well. What passes alone is told by name with its first failure,
and does not fail the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from scripts.suite.runner import Run
from scripts.suite.steps import Step

# With more failures than this something is broken, and a second look would only take time.
MOST = 20
# How pytest ends when tests failed, and nothing worse.
_TESTS_FAILED = 1
# tests/conftest.py's words; a second look would not see what was skipped.
_REFUSED_SKIP = "in CI a skip is a failure"

Go = Callable[[Step], Run]


def look_again(runs: Sequence[Run], root: Path, go: Go) -> None:
    """Run the failed tests of each step once more, one step after the other; sets `Run.alone` where that was done."""
    for run in runs:
        if worth_it(run, root):
            run.alone = go(replace(run.step, name=f"{run.step.name}-alone", command=run.step.again, after=()))


def worth_it(run: Run, root: Path) -> bool:
    if run.code != _TESTS_FAILED or not run.step.again or _REFUSED_SKIP in run.log.read_text(errors="replace"):
        return False
    return 0 < sum(_failed(root / cache) for cache in run.step.caches) <= MOST


def _failed(cache: Path) -> int:
    """How many tests pytest remembers as failed in this cache."""
    path = cache / "v" / "cache" / "lastfailed"
    return len(json.loads(path.read_text())) if path.exists() else 0
