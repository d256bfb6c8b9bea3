"""``python -m gateway.usage --store FILE``: reports tokens by key, model or day. Exit codes: 0 done, 2 refused."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import json
import re
import sqlite3
import sys
import time
from contextlib import closing
from datetime import date
from pathlib import Path

from common import streams
from gateway.keys import outbox, server_file, spill
from gateway.keys.ledger import GROUPS, SEPARATOR, UsageLine, day_of
from gateway.keys.opening import remote
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoreError

BAD_USE = 2
BUSY_S = 5.0
_FIELDS = tuple(field.name for field in dataclasses.fields(UsageLine))[1:]
_HEADS = ("REQUESTS", "PROMPT", "CACHED", "COMPLETION", "ESTIMATED")


def main(argv: list[str] | None = None) -> int:
    streams.open_missing()
    options = _parser().parse_args(argv)
    by = options.by.split(",")
    if not options.store.exists():
        sys.stderr.write(f"usage: {options.store}: no such file; give `store` of gateway.yaml\n")
        return BAD_USE
    try:
        lines = _reported(options.store, by, options.since, options.until)
    except (StoreError, sqlite3.Error) as error:
        sys.stderr.write(f"usage: {error}\n")
        return BAD_USE
    sys.stdout.write(
        _as_json(by, lines) if options.json else _as_csv(by, lines) if options.csv else _as_text(by, lines)
    )
    return 0


def _reported(path: Path, by: list[str], since: str, until: str) -> list[UsageLine]:
    with closing(KeyStore(path, BUSY_S)) as local:
        _add_spilled(local)
        server = server_file.read(server_file.beside(path))
        if server is None:
            return local.report(by, since, until)
        with closing(remote(server)) as there:
            outbox.forward(local.connection, there, [])
            return there.report(by, since, until)


def _add_spilled(store: KeyStore) -> None:
    """A report is of all that was used, also where the gateway could not write it when it stopped."""
    try:
        _, foreign = spill.add_all(store.connection, store.path)
    except (sqlite3.Error, OSError) as error:
        sys.stderr.write(f"usage: not all is in the report: what an earlier run left cannot be added ({error})\n")
    else:
        for path in foreign:
            sys.stderr.write(f"usage: {path}: is not what a gateway keeps when it stops; it is left as it is\n")


def _row(by: list[str], line: UsageLine) -> dict[str, str | int]:
    numbers = {name: getattr(line, name) for name in _FIELDS}
    return dict(zip(by, line.name.split(SEPARATOR), strict=True)) | numbers


def _as_json(by: list[str], lines: list[UsageLine]) -> str:
    return json.dumps([_row(by, line) for line in lines], indent=2) + "\n"


def _as_csv(by: list[str], lines: list[UsageLine]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*by, *_FIELDS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(by, line) for line in lines)
    return text.getvalue()


def _as_text(by: list[str], lines: list[UsageLine]) -> str:
    rows: list[tuple[str, ...]] = [(*(name.upper() for name in by), *_HEADS)]
    rows += [tuple(map(str, _row(by, line).values())) for line in lines]
    if len(lines) > 1:
        totals = (str(sum(getattr(line, name) for line in lines)) for name in _FIELDS)
        rows.append(("total", *([""] * (len(by) - 1)), *totals))
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    text = ""
    for row in rows:
        cells = [f"{cell:{'<' if index < len(by) else '>'}{widths[index]}}" for index, cell in enumerate(row)]
        text += "  ".join(cells).rstrip() + "\n"
    if not lines:
        return "nothing was used in that time\n"
    return text + (
        "PROMPT, CACHED (a part of it) and COMPLETION are tokens. ESTIMATED: of so many REQUESTS the engine gave no\n"
        "count, as their client left before the end; the gateway counted what had passed. They are in the sums.\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fullbatch usage",
        description="Show how many tokens were used, by key, model or day (UTC).",
        epilog="Without fullbatch: python -m gateway.usage --store FILE, FILE being `store` of gateway.yaml.",
    )
    # Not shown: it belongs to the module's own call, and `fullbatch usage` gives it.
    parser.add_argument("--store", type=Path, required=True, metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument(
        "--by",
        type=_groups,
        default="key",
        metavar="WHAT",
        help="group by key, model, day, or several: day,key (default: key)",
    )
    parser.add_argument("--since", type=_day, default="0001-01-01", metavar="DAY", help="first day: 2026-11-23, or 7d")
    parser.add_argument("--until", type=_day, default="9999-12-31", metavar="DAY", help="last day, included")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON, for other programs")
    how.add_argument("--csv", action="store_true", help="print CSV, for a spreadsheet")
    return parser


def _groups(text: str) -> str:
    names = text.split(",")
    if not set(names) <= set(GROUPS) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"'{text}': write {', '.join(GROUPS)}, or several separated by commas")
    return text


def _day(text: str) -> str:
    if found := re.fullmatch(r"(\d{1,5})d", text):
        return day_of(time.time() - int(found[1]) * 86_400)
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': no such day; write one such as 2026-11-23") from None
    raise argparse.ArgumentTypeError(f"'{text}': write a day such as 2026-11-23, or 7d for the last seven days")


if __name__ == "__main__":
    sys.exit(main())
