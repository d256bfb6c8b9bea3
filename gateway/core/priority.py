"""Priorities by name: how urgent a request is."""

from __future__ import annotations

# The lower, the sooner; within one of them fairness decides.
PRIORITIES = {"interactive": 0, "normal": 1, "batch": 2}
BATCH = PRIORITIES["batch"]
