"""Estimates how long an engine compiles an answer format: JSON schemas, regexes, grammars. Pure.

vLLM compiles one after the other and does not stop when the client has gone, so one that takes an hour is an hour
without structured output for everybody. Measured with xgrammar 0.2.8 as in vLLM 0.32.0, a vocabulary of 131,000 tokens,
in seconds of one core (two cores, 2026; n: how many, L: bytes):

n places in a schema              1e-4 n                     1,000 required properties 0.11; 1,400 in anyOf 0.12
n optional properties             2.6e-6 n^2 + 8e-10 L^2     300 0.23, 500 0.61, 1,000 2.6; 400 with names of 100: 1.7
... with min- or maxProperties k  2e-6 n^2 k                 200, k 5: 0.33; 100, k 50: 1.0; 200, k 100: 10 to 15
texts in one enum or const        6e-6 L + 1.6e-10 L^2       54 kB 0.54, 162 kB 3.9; 50 of 1 kB: 0.18
n optional parts in a row: regex  4e-5 n^3                   (a[a-z])? 100 times 11, .?a? 50 times over 30
  ... in a grammar                5e-6 n^3                   "a"? 200 times 2.1, rules with classes 4.1
least or most items n             1e-8 n^2                   guidance: 100,000 over 20, a billion ends the API server
a format                          0.005                      560 of seven kinds 3.4
a place where outlines is asked   0.05, times 2 for a $ref   5 optional properties 0.27, 20 of them 1.5
a wide class (".", "[^a]")        0.017 each                 "." 1,000 times 8.8
  ... bounds on a text's length   the same, to 200 times     maxLength 50 0.85, 100 1.7, 200 3.5, 1,000,000 3.5
  ... every other such bound      1.25                       five from 500 to 1000+i 5.9; below 200 0.03
a narrow class ("[a-z]")          0.0015 each                [a-z]{1,100} 0.13, 3,000 times 3.0

The terms for classes grow with the vocabulary, and xgrammar spreads them over eight threads: they count an eighth.
"""

from __future__ import annotations

from typing import Any

from gateway.bodies.pattern_scan import MAX_REPEATS, Scan

THREADS = 8
# A place in a schema that is longer than this, on average, is not let through for its texts.
_NODE_BYTES = 100
_NODE_S = 1e-4
_TEXTS_S = 1.6e-10
_FORMAT_S = 5e-3
# Larger numbers say nothing more.
_MOST = 10**9
_WIDE_S, _NARROW_S, _BOUND_S, _SHORT_BOUND_S = 0.017, 0.0015, 1.25, 0.03
_REGEX_RUN_S, _GRAMMAR_RUN_S = 4e-5, 5e-6
# Members that hold schemas by a name that the client chooses.
_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
# What xgrammar may lack, by itself or beside others: then vLLM asks guidance, and outlines for patternProperties.
_ODD = frozenset(
    {"properties", "multipleOf", "uniqueItems", "contains", "minContains", "maxContains", "propertyNames", "allOf"}
    | {"unevaluatedProperties", "format", "not", "minLength", "maxLength"}
)
_OUTLINES_S = 0.05
_SILENT = frozenset({"description", "title", "default", "examples", "$comment", "$schema", "$id"})


class CompileCost:
    """Adds up what one request has an engine compile, and stops where it is too much.

    ``seconds``: about how long; ``why``: what costs most; ``pattern_bytes``: of regexes and grammars. Those that are
    over ``max_pattern_bytes`` in all are not read.
    """

    def __init__(self, enough_s: float = 1.0, max_pattern_bytes: int = 16_384) -> None:
        self.pattern_bytes = 0
        self._max_pattern_bytes = max_pattern_bytes
        self._max_nodes = int(enough_s / _NODE_S) + 1
        self._costs: dict[str, float] = {}
        self._texts = 0
        self._nodes = 0
        self._bounds: set[tuple[int, int]] = set()
        self._patterns: set[str] = set()
        self._refs = 0
        self._odd = 0
        self._by_pattern = False

    @property
    def seconds(self) -> float:
        return sum(self._all().values())

    @property
    def why(self) -> str:
        costs = self._all()
        return max(costs, key=lambda name: costs[name])

    def too_long(self, size: int) -> bool:
        """Whether a text of ``size`` bytes cannot be a schema that is let through."""
        return size > self._max_nodes * _NODE_BYTES

    def schema(self, schema: Any) -> None:
        """A JSON schema, or anything that holds some, such as a structural tag."""
        waiting = [schema]
        while waiting and self._nodes <= self._max_nodes:
            node = waiting.pop()
            if isinstance(node, list):
                waiting += node
                self._nodes += len(node)
            elif isinstance(node, dict):
                self._node(node, waiting)
            elif isinstance(node, str):
                self._texts += len(node)

    def regex(self, pattern: str) -> None:
        if pattern not in self._patterns:
            self._patterns.add(pattern)
            self._text(pattern, grammar=False)

    def grammar(self, grammar: str) -> None:
        """EBNF, or Lark's."""
        self._text(grammar, grammar=True)

    def texts(self, texts: Any) -> None:
        """Literal texts to choose from, however deep."""
        before = self._texts
        waiting = [texts]
        while waiting and self._texts <= self._max_nodes * _NODE_BYTES:
            each = waiting.pop()
            if isinstance(each, str):
                self._texts += len(each) if each.isascii() else 3 * len(each)
            elif isinstance(each, list):
                self._texts += 2 * len(each)
                waiting += each
            elif isinstance(each, dict):
                waiting += each.keys()
                waiting += each.values()
            else:
                self._texts += 8
        self._add("texts", _TEXTS_S * float(self._texts - before) ** 2)

    def _node(self, node: dict[str, Any], waiting: list[Any]) -> None:
        self._nodes += 1
        for name, value in node.items():
            if name in ("enum", "const"):
                self.texts(value)
            elif name in _BY_NAME and isinstance(value, dict):
                self._named(name, value, waiting)
            elif isinstance(value, str):
                self._member(name, value)
            elif isinstance(value, dict) or (isinstance(value, list) and name not in _SILENT):
                waiting.append(value)
        self._properties(node)
        self._counts(node)
        self._refs += "$ref" in node
        self._by_pattern = self._by_pattern or "patternProperties" in node
        if not _ODD.isdisjoint(node):
            self._odd += 1

    def _named(self, name: str, schemas: dict[str, Any], waiting: list[Any]) -> None:
        waiting += schemas.values()
        self._nodes += len(schemas)
        if name == "patternProperties":
            for pattern in schemas:
                self.regex(pattern)

    def _member(self, name: str, text: str) -> None:
        if name in ("pattern", "regex"):
            self.regex(text)
        elif name == "grammar":
            self.grammar(text)
        elif name not in _SILENT:
            self._texts += len(text)

    def _properties(self, node: dict[str, Any]) -> None:
        properties = node.get("properties")
        if not isinstance(properties, dict):
            return
        required = node.get("required")
        names = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        optional = [name for name in properties if name not in names]
        size = sum(map(len, optional))
        self._texts += sum(map(len, properties)) - size
        self._add("optional properties", 2.6e-6 * len(optional) ** 2 + 8e-10 * size**2)
        if "minProperties" in node or "maxProperties" in node:
            levels = min(len(properties), _integer(node, "maxProperties", len(properties)))
            self._add("minProperties and maxProperties", 2e-6 * len(optional) ** 2 * levels)

    def _counts(self, node: dict[str, Any]) -> None:
        if "minLength" in node or "maxLength" in node:
            low = _integer(node, "minLength", 0)
            self._bounds.add((low, _integer(node, "maxLength", low)))
        # Not for xgrammar, but whatever it does not understand is handed to guidance as a whole.
        items = max(_integer(node, name, 0) for name in ("minItems", "maxItems", "minContains", "maxContains"))
        self._add("minItems and maxItems", 1e-8 * float(items) ** 2)
        if isinstance(node.get("format"), str):
            self._add("formats", _FORMAT_S)

    def _text(self, text: str, grammar: bool) -> None:
        self.pattern_bytes += len(text)
        if self.pattern_bytes > self._max_pattern_bytes:
            return
        part = Scan(text, grammar).whole()
        self._add("classes of characters", (_WIDE_S * part.wide + _NARROW_S * part.narrow) / THREADS)
        self._add("optional parts of a pattern", (_GRAMMAR_RUN_S if grammar else _REGEX_RUN_S) * part.cubes)
        self._texts += int(part.literal)
        self._add("texts", _TEXTS_S * part.literal**2)

    def _add(self, name: str, seconds: float) -> None:
        self._costs[name] = self._costs.get(name, 0.0) + seconds

    def _all(self) -> dict[str, float]:
        texts = 6e-6 * self._texts + self._costs.get("texts", 0.0)
        outlines = _OUTLINES_S * self._nodes * 2.0 ** min(self._refs, 30) if self._by_pattern and self._odd else 0.0
        return self._costs | {
            "patternProperties beside what xgrammar lacks": outlines,
            "places in the schema": _NODE_S * self._nodes,
            "texts": texts,
            "minLength and maxLength": self._bounds_s() / THREADS,
        }

    def _bounds_s(self) -> float:
        """The first long bound is paid for in full; others share its states where they count from nought."""
        if not self._bounds:
            return 0.0
        longest = max(max(bounds) for bounds in self._bounds)
        seconds = _WIDE_S * min(longest, MAX_REPEATS)
        for low, high in self._bounds:
            if max(low, high) > MAX_REPEATS:
                seconds += _BOUND_S
            else:
                seconds += _SHORT_BOUND_S + (0.006 * high if low else 0.0)
        return seconds


def _integer(node: dict[str, Any], name: str, default: int) -> int:
    value = node.get(name)
    if isinstance(value, float) and value.is_integer():
        return int(min(max(value, 0.0), _MOST))
    return min(value, _MOST) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default
