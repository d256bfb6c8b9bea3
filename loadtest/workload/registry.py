"""The registry of sources of requests. A further source is a file beside this one, and a line here."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from loadtest.core.errors import UsageProblem
from loadtest.workload import dataset, synthetic, trace
from loadtest.workload.schema import WorkloadFile
from loadtest.workload.source import RequestSource, SourceEntry, SourceOption

SOURCES: Mapping[str, SourceEntry] = {
    "synthetic": synthetic.ENTRY,
    "dataset": dataset.ENTRY,
    "trace": trace.ENTRY,
}
_DEFAULT = "synthetic"


def source_options() -> list[SourceOption]:
    """Of all sources, for a command line."""
    return [option for entry in SOURCES.values() for option in entry.options]


def make_source(workload: WorkloadFile, options: Namespace) -> RequestSource:
    """What the options choose; made up from the workload where they choose nothing. UsageProblem, in one line."""
    chosen = [entry for entry in SOURCES.values() if entry.options and _given(entry.options[0], options)]
    if len(chosen) > 1:
        raise UsageProblem(
            f"{' and '.join(entry.options[0].flag for entry in chosen)} do not go together; give one of them"
        )
    made_by = chosen[0] if chosen else SOURCES[_DEFAULT]
    for entry in SOURCES.values():
        stray = [option.flag for option in entry.options if _given(option, options)]
        if entry is not made_by and stray:
            raise UsageProblem(f"{stray[0]} needs {entry.options[0].flag}")
    return made_by.make(workload, options)


def _given(option: SourceOption, options: Namespace) -> bool:
    return getattr(options, option.name, None) is not None
