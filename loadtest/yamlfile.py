"""Reads a YAML file that a person wrote. Its faults are told in one line, with the option that named it."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from loadtest.errors import UsageProblem


def load(path: Path, option: str) -> object:
    """Plain values only. UsageProblem when the file is not there, not YAML, or has a key twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise UsageProblem(f"{option} {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise UsageProblem(f"{option} {path}: not YAML: {' '.join(str(error).split())}") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that is written twice: YAML itself would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for index, key in enumerate(keys) if key in keys[:index]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"'{twice}' is there twice", node.start_mark)
        return super().construct_mapping(node, deep)
