"""How urgent a request is, by the names that keys and requests use for it."""

from __future__ import annotations

# The lower, the sooner; within one of them fairness decides.
PRIORITIES = {"interactive": 0, "normal": 1, "batch": 2}
