"""`fullbatch tune`: races named sets of settings, and says whether one serves more people than today's plan.

The race and its statistics are pure: they are driven by "boot an arm, measure a load" (`bench`), which engines of this
machine do (`engines`), or a simulated bench in tests. docs/decisions/0039-tuning.md has the rules and why.
"""
