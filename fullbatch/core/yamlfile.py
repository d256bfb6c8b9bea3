"""Reading a YAML file a person wrote: syntax errors with line and column, duplicate keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fullbatch.core.errors import UsageError

# A profile has some kilobytes; PyYAML reads a megabyte in a second and a half.
_MOST_BYTES = 256 * 2**10
# Values in it, repeated ones counted as often as they are repeated: an alias of an alias of an alias fills any memory.
_MOST_VALUES = 20_000
_MERGE = "tag:yaml.org,2002:merge"


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice; plain YAML silently keeps the last one."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values: dict[int, int] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str | int, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:  # `<<: *other`; what it brings is meant to be overridden
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int)):
                continue
            if before := lines.get(key):
                problem = f"the key '{key}' is given twice, first in line {before}; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            lines[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        self._count(node, [value for _, value in node.value])
        return node

    def compose_sequence_node(self, anchor: Any) -> yaml.SequenceNode:
        node: yaml.SequenceNode = super().compose_sequence_node(anchor)
        self._count(node, node.value)
        return node

    def _count(self, node: yaml.Node, parts: list[yaml.Node]) -> None:
        """Before merges are followed, which ten lines of can take for ever."""
        values, known = 1, self._values
        for part in parts:  # a list that is not known yet holds itself, and has no end
            endless = isinstance(part, yaml.CollectionNode) and id(part) not in known
            values += _MOST_VALUES if endless else known.get(id(part), 1)
        if values > _MOST_VALUES:
            problem = f"more than {_MOST_VALUES} values, aliases (*name) counted; write them out, and fewer"
            raise yaml.composer.ComposerError(None, None, problem, node.start_mark)
        known[id(node)] = values


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in `path`; UsageError naming file, line and column when it is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise UsageError(f"{path}: more than {_MOST_BYTES >> 10} KiB; that is no profile, write a shorter file")
        data = yaml.load(text.decode("utf-8"), Loader=_StrictLoader)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}: line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise UsageError(f"{where}: {error.problem or 'not valid YAML'}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except (ValueError, RecursionError) as error:
        # A date such as 2026-13-45, or brackets a thousand deep: PyYAML lets Python's own error through.
        raise UsageError(f"{path}: not valid YAML: {error}; put texts that look like dates in quotes") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a profile is a mapping of settings such as 'model: …', this is {_kind(data)}")
    return data


def _kind(data: object) -> str:
    return "empty" if data is None else f"a {type(data).__name__}"
