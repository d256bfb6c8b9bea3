"""A YAML file that a person wrote, as plain values. PyYAML by itself takes a key given twice, and takes any expansion.

YamlFault   the file cannot be read, or is not YAML to work with; one line that says where, and never quotes the file
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

# Far more than any settings: a wrong file (a disk, a log, a model) is refused before it fills the memory.
MAX_BYTES = 1 << 20
# Values after aliases are followed: ten lines of aliases to aliases can stand for billions.
MAX_VALUES = 50_000


class YamlFault(Exception):
    """The message is one line without the file's name."""


class Unreadable(YamlFault):
    """It may be the wrong file."""


class _Loader(yaml.SafeLoader):
    """Looks at each mapping and list as it is put together, before aliases and merges are followed."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values: dict[int, int] = {}

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if before := lines.get((key.tag, key.value)):
                raise _fault(key, f"the key '{key.value[:60]}' is given twice, first in line {before}; keep one")
            lines[key.tag, key.value] = key.start_mark.line + 1
        self._count(node, [part for pair in node.value for part in pair])
        return node

    def compose_sequence_node(self, anchor: Any) -> yaml.SequenceNode:
        node: yaml.SequenceNode = super().compose_sequence_node(anchor)
        self._count(node, node.value)
        return node

    def _count(self, node: yaml.Node, parts: list[yaml.Node]) -> None:
        values = 1
        for part in parts:
            if isinstance(part, yaml.CollectionNode) and id(part) not in self._values:
                raise _fault(node, "holds itself; write out what is meant")
            values += self._values.get(id(part), 1)
        if values > MAX_VALUES:
            raise _fault(node, f"stands for more than {MAX_VALUES} values; write out what is meant")
        self._values[id(node)] = values


def read(path: Path) -> Any:
    """What is in the file; None for an empty one.

    Raises:
        YamlFault: it cannot be read, is too large, not UTF-8, not YAML, or has a key twice.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Unreadable(f"is larger than {MAX_BYTES >> 20} MiB")
        return yaml.load(data.decode("utf-8-sig"), Loader=_Loader)
    except OSError as error:
        raise Unreadable(f"cannot be read ({(error.strerror or str(error)).lower()})") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"cannot be read (byte {error.start} is not UTF-8 text)") from None
    except yaml.MarkedYAMLError as error:
        # Not the error's own text, which quotes the line: there may be a password in it.
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlFault(f"{where}not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise YamlFault(f"not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise YamlFault("not valid YAML: brackets are nested too deep") from None
    except ValueError as error:
        # A date such as 2026-13-45, or a number of five thousand digits: PyYAML lets Python's own error through.
        raise YamlFault(f"not valid YAML: {error}; put texts that look like dates or numbers in quotes") from None


def _fault(node: yaml.Node, problem: str) -> yaml.composer.ComposerError:
    return yaml.composer.ComposerError(None, None, problem, node.start_mark)
