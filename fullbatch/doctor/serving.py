"""Checks of downloads from the hub, and of how the last run of a profile ended."""

from __future__ import annotations

from collections.abc import Sequence

from fullbatch.core.check_result import CheckResult, ok, warn
from fullbatch.lifecycle import diagnosis
from fullbatch.planning.plan import Plan
from fullbatch.runtime import requirements

LOG_LINES = 4000


def network() -> list[CheckResult]:
    """Proxies and a mirror, where there are any: what goes through them, and what does not."""
    through = ", ".join(f"{name} is {url}" for name, url in requirements.proxies().items())
    found = [ok("proxy", f"{through}: downloads go through it, nothing on this machine does")] if through else []
    mirror = requirements.hub()
    return [*found, ok("mirror", f"weights come from {mirror} (HF_ENDPOINT)")] if mirror else found


def last_run(log: Sequence[str], plan: Plan) -> list[CheckResult]:
    """What the `log` of the last run of `plan` names as its end."""
    found = diagnosis.findings(list(log), plan)[:1]
    return [warn("last run", f"it ended: {one.cause}", one.change) for one in found]
