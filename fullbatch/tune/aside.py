"""What serves on this machine while a race runs: never touched, unless that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fullbatch.core.errors import StateError
from fullbatch.lifecycle import deployment
from fullbatch.planning import advice, profile
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import Ports, RunningDeployment, Say

# Of the name that all arms of a race run under.
SUFFIX = ".tune"


@contextmanager
def aside(root: Path, here: bool, timeout: float, say: Say) -> Iterator[None]:
    """StateError where something serves; with `here` it is stopped, and started again whatever happens."""
    serving = list(registry.running(root))
    if race := next((one.profile for one in serving if one.profile.endswith(SUFFIX)), None):
        what = "another race, or what one has left that was killed"
        raise StateError(f"{race} runs: {what}; stop it: fullbatch down {race}")
    if serving and not here:
        names = ", ".join(f"{one.profile} at {one.gateway_url}" for one in serving)
        raise StateError(
            f"{names} serves here, and would slow the race down and be slowed down; race with --here at a time when "
            "nobody needs it: it is stopped, and started again after"
        )
    # Planned before anything is stopped: a profile that is broken or gone could not be started again.
    again = [_as_it_ran(root, one, timeout) for one in serving]
    stopped: list[tuple[deployment.Options, Plan]] = []
    try:
        for one, how in zip(serving, again, strict=True):
            say(f"stopping {one.profile} for the race")
            stopped.append(how)
            one.stop(say)
        yield
    finally:
        for options, plan in stopped:
            say(f"starting {plan.name} again")
            deployment.up(deployment.choose(root, plan, options), plan, options, say)


def _as_it_ran(root: Path, one: RunningDeployment, timeout: float) -> tuple[deployment.Options, Plan]:
    ports = Ports(int(one.gateway_url.rpartition(":")[2]))
    return deployment.Options(one.runtime, ports, timeout), advice.plan(one.profile, profile.load(root, one.profile))
