"""`fullbatch compare`: the same load on several profiles or servers in one run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from fullbatch.core.errors import UsageError
from fullbatch.lifecycle import deployment
from fullbatch.measure import launcher
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import Ports, Say

# Ports of one side's engines, so that the next side's do not touch them.
_ENGINE_PORTS = 20


@dataclass(frozen=True)
class ComparisonRequest:
    """How to start profiles, words for the load test, and where the report goes (None: reports/ and the time)."""

    options: deployment.Options
    load: tuple[str, ...] = ()
    out: Path | None = None


def run(root: Path, plans: Mapping[str, Plan], sides: Sequence[str], request: ComparisonRequest, say: Say) -> int:
    """The load test's exit code. `plans`: of the sides that are profiles. Whatever happens, all of them are stopped.

    All sides are up during the whole run, so that stages can take turns; an idle engine takes memory, not time.
    """
    names = [side.partition("=")[0] for side in sides]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice or len(sides) < 2:
        raise UsageError(
            f"two sides are called '{twice}'; give each another name, such as {twice}-2=URL"
            if twice
            else "compare: name two or more sides, such as cpu-tiny other=http://HOST:PORT"
        )
    out = request.out or root / "reports" / time.strftime("%Y-%m-%d_%H-%M-%S")
    words = ["compare", "--out", str(out), "--max-lag-ms", str(launcher.MAX_LAG_MS), *request.load]
    # Looked at here, before an engine is started for nothing.
    addresses = [side if side not in plans else f"{_side_name(side)}=http://127.0.0.1:1" for side in sides]
    refused = launcher.loadtest([*words, "--plan", *addresses], root, "fullbatch")
    if refused:
        return refused
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        told = [_started(root, plans[side], request, stack, (number, out, say)) if side in plans else side
                for number, side in enumerate(sides)]  # fmt: skip
        code = launcher.loadtest([*words, *told], root, "fullbatch")
    return code


def _side_name(profile: str) -> str:
    """A side's name has no dots; profiles do."""
    return profile.replace(".", "-")


def _started(root: Path, plan: Plan, request: ComparisonRequest, stack: ExitStack, place: tuple[int, Path, Say]) -> str:
    """Brings a profile up and says it in the load test's words. Its end is the stack's."""
    number, out, say = place
    first = request.options.ports
    engine = None if first.engine is None else first.engine + number * _ENGINE_PORTS
    options = replace(request.options, ports=Ports(first.gateway + number, engine))
    running = registry.measuring().deployment(root, plan, options.ports)
    say(f"side {plan.name}")
    seconds = deployment.up(running, plan, options, say)
    stack.callback(running.stop, say)
    say(f"the first token came back through the gateway after {seconds:.0f} s")
    meta = out / f"meta-{_side_name(plan.name)}.json"
    launcher.write_meta(meta, plan, running, seconds)
    words = [f"{_side_name(plan.name)}={running.gateway_url}", f"model={plan.engines[0].served_name}"]
    words += [f"key-file={running.api_keys_file}", f"meta={meta}"]
    words += [f"metrics={url}/metrics" for url in running.engine_urls()]
    words += [f"pid={pid}" for pid in running.engine_pids()]
    return ",".join(words)
