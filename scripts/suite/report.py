"""What is told at the end: what failed with its own words, what was skipped, what took how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scripts.suite.runner import Run

# Where pytest begins to tell what failed; what comes before is a dot for each test.
_FAILURES = ("= ERRORS =", "= FAILURES =")
_LAST_LINES = 200


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
