"""What is told at the end: what failed with its own words, what was skipped, what took how long."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from scripts.suite.runner import Run

# Where pytest begins to tell what failed; what comes before is a dot for each test.
_FAILURES = ("= ERRORS =", "= FAILURES =")
_LAST_LINES = 200
# Of a step in the summary, at most.
_NAMED = 20
# pytest's own words for what broke it, whoever's fault it was; the frames between them are told above.
_BROKE = re.compile(r"INTERNALERROR> +(?:E +)?(\S*(?:Error|Exception|Failed|Interrupted|Warning|Exit)\b.*)")


def counts(run: Run) -> bool:
    """Whether it makes the whole run fail."""
    return run.failed and not run.step.prepares and not passed_alone(run)


def passed_alone(run: Run) -> bool:
    """Whether all that failed in it passed when it was run again without anything beside it."""
    return run.alone is not None and run.alone.code == 0


def lines(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if run.failed:
            how = "; what failed passed when it ran alone" if passed_alone(run) else ""
            yield f"\n===== {run.step.name} ended with {run.code}{how} ====="
            yield from words(run)
            if run.alone is not None and run.alone.failed:
                yield f"\n===== and alone, with {run.alone.code} ====="
                yield from words(run.alone)
    skipped = [line for run in runs if not run.failed for line in skips(run)]
    if skipped:
        yield "\n===== skipped, not passed ====="
        yield from skipped
    yield "\n===== minutes, and minutes of a core ====="
    for run in sorted(runs, key=lambda run: run.began):
        yield f"{run.seconds / 60:5.1f} {run.cpu_seconds / 60:5.1f}  {run.step.name}"
    # Last, as what reads logs of a machine often shows their end only.
    if broken := [run for run in runs if counts(run)]:
        yield "\n===== what made it fail ====="
        for run in broken:
            yield from why(run)


def why(run: Run) -> Iterator[str]:
    """A few lines: the tests that failed, in the second look where there was one, and what broke pytest itself."""
    told = (run.alone or run).log.read_text(errors="replace").splitlines()
    named = [line for line in told if line.startswith(("FAILED ", "ERROR "))]
    broke = dict.fromkeys(match[1] for line in told if (match := _BROKE.match(line)))
    found = [*named, *(f"pytest itself: {what}" for what in broke)]
    yield from (f"{run.step.name}: {line[:300]}" for line in found[:_NAMED])
    if not found:
        yield f"{run.step.name}: ended with {run.code}; its last words are above"


def words(run: Run) -> list[str]:
    """Its output from the first failure on; of another program the last lines."""
    said = run.log.read_text(errors="replace").splitlines()
    starts = [number for number, line in enumerate(said) if any(mark in line for mark in _FAILURES)]
    return said[starts[0] :] if starts else said[-_LAST_LINES:]


def skips(run: Run) -> list[str]:
    """The lines that tests/conftest.py writes about what was skipped."""
    said = run.log.read_text(errors="replace").splitlines()
    starts = [number for number, line in enumerate(said) if "= skipped, not passed =" in line]
    found = []
    for number in starts:
        for line in said[number + 1 :]:
            if line.startswith("="):
                break
            found.append(line)
    return found
