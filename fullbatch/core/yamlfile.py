"""A YAML file of settings: what `common.yaml_file` finds wrong with it, as an error of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import yaml_file
from common.text_file import FileFault
from fullbatch.core.errors import UsageError

# A profile has some kilobytes; PyYAML reads a megabyte in a second and a half.
_MOST_BYTES = 256 * 2**10


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in `path`; UsageError naming file, line and column when it is none."""
    try:
        data = yaml_file.load(path, _MOST_BYTES)
    except FileFault as fault:
        raise UsageError(f"{path}: {fault}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a profile is a mapping of settings such as 'model: …', this is {_kind(data)}")
    return data


def _kind(data: object) -> str:
    return "empty" if data is None else f"a {type(data).__name__}"
