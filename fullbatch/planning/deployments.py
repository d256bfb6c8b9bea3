"""A profile of the checkout, of one model or of several, and its plan."""

from __future__ import annotations

from pathlib import Path

from fullbatch.planning import advice, profile, several, several_advice, several_plan
from fullbatch.planning.plan import Plan, make
from fullbatch.planning.profile import Profile
from fullbatch.planning.several import Several

Asked = Profile | Several


def read(root: Path, name: str) -> Asked:
    """The profile `name` of the checkout at `root`; UsageError with one line per fault, all at once."""
    data = profile.settings(root, name)
    source = f"profiles/{name}.yaml"
    return several.parse(root, data, source) if "models" in data else profile.resolved(root, data, source)


def planned(root: Path, name: str) -> Plan:
    """Its plan; what does not fit is refused with the smallest changes that would."""
    asked = read(root, name)
    return several_advice.plan(name, asked) if isinstance(asked, Several) else advice.plan(name, asked)


def made(name: str, asked: Asked) -> Plan:
    """The plan of what was read; what does not fit is refused without a word of what would."""
    return several_plan.make_several(name, asked) if isinstance(asked, Several) else make(name, asked)
