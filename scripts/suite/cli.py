"""`scripts/test` without words, and `scripts/record-durations`: the only module here that prints and exits."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.suite import alone, durations, report
from scripts.suite.runner import Runner
from scripts.suite.steps import STEPS

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".fullbatch" / "suite"


def main(words: Sequence[str]) -> int:
    return _record() if list(words) == ["record-durations"] else _test()


def _record() -> int:
    reports = sorted(LOGS.glob("*.xml"))
    if not reports:
        print("scripts/record-durations: no report in .fullbatch/suite; run scripts/test first", file=sys.stderr)
        return 2
    durations.record(reports, durations.FILE)
    print(f"{durations.FILE.relative_to(ROOT)}: from {', '.join(report.stem for report in reports)}")
    return 0


def _test() -> int:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"test: {(time.monotonic() - began) / 60:5.1f} min  {line}", flush=True)

    # Asked to end by whoever started us: as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runner = Runner(ROOT, LOGS, os.environ, say)
    say(f"{len(STEPS)} steps, side by side where they can be; their words are in {LOGS.relative_to(ROOT)}/")
    try:
        runs = runner.go(STEPS)
        alone.look_again(runs, ROOT, runner.one)
    except KeyboardInterrupt:
        say("interrupted; everything that was running has been ended")
        return 130
    print("\n".join(report.lines(runs)), flush=True)
    say("all good" if not any(report.counts(run) for run in runs) else "FAILED")
    return 1 if any(report.counts(run) for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
