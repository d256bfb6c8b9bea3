"""`loadtest record`: an anonymous trace of the gateway's own log."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from loadtest.cli.values import since
from loadtest.core.errors import UsageProblem
from loadtest.runner import defaults
from loadtest.workload import recording

_STDIN = "-"


def options(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument(
        "--log", action="append", default=[], metavar="FILE",
        help="the gateway's log, oldest first; may be repeated; - is the input (default: what runs here as processes)",
    )  # fmt: skip
    parser.add_argument("--since", type=since, metavar="TIME", help="only the last 90m, 12h or 7d (default: all)")
    parser.add_argument(
        "--out", type=Path, default=Path("trace.jsonl"), metavar="FILE", help="where to (default: trace.jsonl)"
    )


def run(args: argparse.Namespace) -> int:
    """UsageProblem, in one line, for a log that cannot be read or has no answered request, or a file that is there."""
    names = args.log or defaults.access_logs(defaults.environment())
    if not names:
        raise UsageProblem(
            "record: give --log FILE; beside Docker Compose: docker compose logs --no-log-prefix gateway | "
            "fullbatch loadtest record --log -"
        )
    begin = time.time() - args.since if args.since else 0.0
    try:
        with args.out.open("x", encoding="utf-8") as out:
            found = recording.record(_opened(names), out, begin)
    except FileExistsError:
        raise UsageProblem(f"--out {args.out}: is there already; remove it, or give another") from None
    except OSError as error:
        raise UsageProblem(f"{error.filename or args.out}: {error.strerror or error}") from error
    if not found.requests:
        args.out.unlink()
        raise UsageProblem(f"record: no answered request in {', '.join(names)}{' since then' if args.since else ''}")
    what = f"{found.requests:,} requests in {found.seconds / 3600:.1f} h"
    sys.stdout.write(f"{args.out}: {what}; {found.left_out:,} other lines left out\n")
    return 0


def _opened(names: list[str]) -> Iterator[BinaryIO]:
    for name in names:
        if name == _STDIN:
            yield sys.stdin.buffer
            continue
        with contextlib.closing(Path(name).open("rb")) as log:
            yield log
