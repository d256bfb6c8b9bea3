"""Checks whether a run lies inside what the self check covered. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.analysis.selfcheck_result import SelfCheck
from loadtest.report.document import StageReport


def doubts(selfcheck: SelfCheck | None, stages: Sequence[StageReport], processes: int = 1) -> list[str]:
    """Why the whole run is not to be believed, by a self check; empty when it is, or when there was no check."""
    if selfcheck is None:
        return []
    users, rate = selfcheck.users, selfcheck.tokens_per_s
    found = [f"the self check failed: {problem}" for problem in selfcheck.problems]
    if selfcheck.processes != processes:
        found.append(
            f"the client was checked with {selfcheck.processes} process(es), and this run had {processes}; "
            f"check it with selfcheck --processes {processes}"
        )
    for stage in stages:
        peak, tokens = stage.client.in_flight_peak, stage.client.output_tokens_per_s or 0.0
        if peak > users:
            found.append(
                f"{stage.plan.label}: {peak} requests under way, and the client was checked for {users}; "
                f"check it with selfcheck --users {peak}"
            )
        if tokens > users * rate:
            found.append(
                f"{stage.plan.label}: {tokens:.0f} tokens/s, and the client was checked for {users * rate:.0f} "
                f"({users} users x {rate:g}); check it with selfcheck --tokens-per-s {tokens / users:.0f}"
            )
    return found
