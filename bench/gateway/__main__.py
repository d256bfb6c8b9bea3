"""``python -m bench.gateway``: our gateway beside others, interleaved in one run, as ratios to direct.

The gateway under test has the first core; the mock engine and the load, two C programs compiled at the start, share the
second. Prints Markdown. Exit codes: 0 measured, 2 wrong arguments, 4 something that is needed is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil

from bench.gateway import report
from bench.gateway.cells import MAX_FOREIGN, QUICK, Bench, Size
from bench.gateway.peers import ALL, CANDIDATES, Peer, PeerPlace
from bench.gateway.processes import LoadedServer, free_port, started
from bench.gateway.programs import BenchError, Programs
from bench.gateway.results import DIRECT, Results, Round

MISSING = 4
ROUNDS = 3


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        results = pooled(options.pool) if options.pool else run(options)
    except (BenchError, OSError, ValueError) as error:
        sys.stderr.write(f"bench.gateway: {error}\n")
        return MISSING
    if options.json:
        options.json.write_text(json.dumps(dataclasses.asdict(results), indent=1) + "\n")
    show(results)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options; `peers` is what to measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=(__doc__ or "").split("\n")[0])
    names = [peer.name for peer in ALL]
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds over all gateways ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="one short round: a look, not a result")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured")
    parser.add_argument(
        "--pool", type=Path, nargs="+", metavar="FILE", help="measure nothing: the tables of such files"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(names)}")
    which.add_argument("--candidates", action="store_true", help="only ours and what else it could have been built on")
    options = parser.parse_args(arguments)
    chosen = CANDIDATES if options.candidates else options.only.split(",") if options.only else names
    unknown = [name for name in chosen if name not in names]
    if unknown:
        parser.error(f"no gateway '{unknown[0]}'; there are {', '.join(names)}")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    options.peers = [peer for peer in ALL if peer.name in chosen]
    return options


def pooled(files: list[Path]) -> Results:
    """The results of earlier runs as one.

    Raises:
        OSError, ValueError: a file cannot be read, or is not what --json wrote.
    """
    results: Results | None = None
    for file in files:
        try:
            found = Results(**json.loads(file.read_text()))
        except (TypeError, json.JSONDecodeError):
            raise ValueError(f"{file}: not what --json writes") from None
        if results is None:
            results = found
        else:
            results.add(found)
    assert results is not None
    return results


def run(options: argparse.Namespace) -> Results:
    """Start everything, measure it in rounds, stop it.

    Raises:
        BenchError: no compiler, or a mock that does not run.
    """
    results = Results(machine())
    rounds = 1 if options.quick else options.rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # nginx's worker is another user
        programs = Programs(folder)
        mock = stack.enter_context(programs.mock())
        targets = [LoadedServer(DIRECT, mock.port)]
        for peer in options.peers:
            targets += start(peer, PeerPlace(make(folder / peer.name), free_port(), mock.port), results, stack)
        begin = random.randrange(len(targets))  # pooled runs of one round each must not all begin with the same
        order = targets[begin:] + targets[:begin]
        bench = Bench(programs, mock, QUICK if options.quick else Size())
        for number in range(rounds):
            measured: Round = {}
            bench.begin_round()
            for target in rotated(order, number):
                say(f"round {number + 1}/{rounds}: {target.name}")
                measured[target.name] = bench.cells(target)
            results.rounds.append(measured)
        for target in targets[1:]:
            results.once[target.name][0]["rss_peak_mb"] = target.peak_mb()
    return results


def start(peer: Peer, place: PeerPlace, results: Results, stack: ExitStack) -> list[LoadedServer]:
    """One gateway; none if it is absent or does not come up, which the results then say."""
    if peer.absent:
        results.absent[peer.name] = peer.absent
        return []
    say(f"starting {peer.name}")
    try:
        command = peer.command(place)
        target, start_s = stack.enter_context(started(peer.name, command, place.port, place.folder / "log"))
    except BenchError as error:
        if peer.name == "ours":
            raise
        results.absent[peer.name] = str(error)
        return []
    results.once[peer.name] = [{"start_s": start_s, "rss_idle_mb": target.rss_mb(), "disk_mb": peer.disk_mb(place)}]
    return [target]


def rotated(targets: list[LoadedServer], number: int) -> list[LoadedServer]:
    """Another one first in each round, so that none always follows the same."""
    shift = number * max(1, len(targets) // ROUNDS) % len(targets)
    return targets[shift:] + targets[:shift]


def machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{psutil.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def show(results: Results) -> None:
    out = sys.stdout.write
    out(f"{results.machine}; {len(results.rounds)} interleaved rounds, medians; `~`: no round in which others had ")
    out(f"under {MAX_FOREIGN:.0%} of the machine\n\n")
    out(report.table(results))
    out("\n")
    out(report.targets(results))


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
