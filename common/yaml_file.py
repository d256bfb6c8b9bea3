"""A YAML file that a person wrote, as plain values. PyYAML by itself takes a key given twice, and takes any expansion.

No fault quotes the file: there may be a password in it.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from common.text_file import MAX_BYTES, FileFault, read_text

# Values after aliases are followed: ten lines of aliases to aliases can stand for billions.
MAX_VALUES = 50_000
_MERGE = "tag:yaml.org,2002:merge"


class YamlFault(FileFault):
    """Not YAML to work with; line and column where there is one."""


class _Loader(yaml.SafeLoader):
    """Looks at each mapping and list as it is put together, before aliases and merges are followed."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values: dict[int, int] = {}

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[Hashable, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if before := lines.get(self._compared(key)):
                raise _fault(key, f"the key '{key.value[:60]}' is given twice, first in line {before}; keep one")
            lines[self._compared(key)] = key.start_mark.line + 1
        self._count(node, [part for pair in node.value for part in pair])
        return node

    def _compared(self, key: yaml.ScalarNode) -> Hashable:
        """1, 0x1 and true are one key to Python, 1 and '1' are two."""
        made: Hashable = key.tag if key.tag == _MERGE else self.construct_object(key)
        return made

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


def load(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """What is in the file; None for an empty one.

    Raises:
        FileFault: it cannot be read, is too large, not UTF-8, not YAML, or has a key twice.
    """
    text = read_text(path, max_bytes)
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        # Not the error's own text, which quotes the line.
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlFault(f"{where}not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise YamlFault(f"not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise YamlFault("not valid YAML: brackets are nested too deep") from None
    except (AttributeError, KeyError, TypeError):  # what PyYAML meets in `!!timestamp many` or `!!bool many`
        raise YamlFault("not valid YAML: a value is not of the kind that its tag (!!) says") from None
    except (ValueError, OverflowError) as error:
        # A date such as 2026-13-45, or a number of five thousand digits: PyYAML lets Python's own error through.
        raise YamlFault(f"not valid YAML: {error}; put texts that look like dates or numbers in quotes") from None


def _fault(node: yaml.Node, problem: str) -> yaml.composer.ComposerError:
    return yaml.composer.ComposerError(None, None, problem, node.start_mark)
