"""Reads a YAML file that a person wrote. Its faults are told in one line, with the option that named it."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from loadtest.core.errors import UsageProblem
from loadtest.core.files import read_text


def load(path: Path, option: str) -> object:
    """Plain values only. UsageProblem when the file is not there, not YAML, has a key twice, or repeats a part."""
    text = read_text(path, option)
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UsageProblem(f"{option} {path}: not YAML: {' '.join(str(error).split())}") from error
    except (TypeError, ValueError, OverflowError) as error:  # a date that is none, a number of 5,000 digits
        raise UsageProblem(f"{option} {path}: not YAML: a value that is none: {error}") from error
    except RecursionError as error:
        raise UsageProblem(f"{option} {path}: not YAML: nested too deep") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that is written twice: YAML itself would keep the last without a word. Refuses references too: a
    file of ten lines can name a part a billion times.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "references (*) are not read, write the part out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if before := lines.get(key):
                problem = f"'{key}' is there twice, first in line {before}"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            lines[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)
