"""Scans a regex or grammar for what costs time to compile. Pure."""

from __future__ import annotations

# Of a count like {0,1000000} so many make states; xgrammar counts the rest.
MAX_REPEATS = 200
# Of optional parts that are repeated together so many stand beside each other.
_UNROLLED = 10
_MAX_RUN = 10_000
_WIDE_ESCAPES = frozenset("wWDSpPxuUX")
_WIDE_SPAN = 64


class PatternPart:
    """A piece of a pattern.

    ``wide``, ``narrow``: classes of characters, by how many tokens of a vocabulary fit. ``literal``: characters.
    ``cubes``: the sum over its runs of parts that may all be left out of the run's length to the third, without the
    last run; ``run``: the length of that. ``empty``: whether it matches nothing at all. ``branches``: the sum over its
    branches but the last of their last runs, ``longest`` the largest of them; ``empty_branch``: whether one is empty.
    """

    __slots__ = ("branches", "cubes", "empty", "empty_branch", "literal", "longest", "narrow", "run", "wide")

    def __init__(self, wide: float = 0.0, narrow: float = 0.0, literal: float = 0.0, empty: bool = False) -> None:
        self.wide = wide
        self.narrow = narrow
        self.literal = literal
        self.cubes = 0.0
        self.run = 1.0 if empty else 0.0
        self.empty = empty
        self.empty_branch = False
        self.branches = 0.0
        self.longest = 0.0

    def follow(self, part: PatternPart) -> None:
        """``part`` stands after what there is."""
        self.wide += part.wide
        self.narrow += part.narrow
        self.literal += part.literal
        self.cubes += part.cubes
        if part.empty:
            self.run = min(self.run + max(part.run, 1.0), _MAX_RUN)
        else:
            self.cubes += (self.run + part.run) ** 3
            self.run = part.run
            self.empty = False

    def end_branch(self) -> None:
        self.empty_branch = self.empty_branch or self.empty
        self.empty = True
        self.longest = max(self.longest, self.run)
        self.branches += self.run
        self.run = 0.0

    def end_rule(self) -> None:
        self.cubes += max(self.longest, self.run) ** 3
        self.run = self.branches = self.longest = 0.0


class Scan:
    """Reads a regex or a grammar once, from left to right; wrong ones too, for which an engine has its own words."""

    def __init__(self, text: str, grammar: bool) -> None:
        self._text = text
        self._grammar = grammar
        self._lark = int(grammar and "::=" not in text)  # whose brackets are optional parts as well as classes
        self._at = 0
        self._open = [_group()]
        self._last: PatternPart | None = None
        self._optionals = 0

    def whole(self) -> PatternPart:
        """All of it. Rules of a grammar run into each other by their names: there all that may be left out counts."""
        while self._at < len(self._text):
            self._step(self._text[self._at])
        while len(self._open) > 1:
            self._close()
        self._settle()
        whole = self._open[0]
        whole.end_rule()
        if self._grammar:
            whole.cubes = max(whole.cubes, float(self._optionals) ** 3)
        return whole

    def _step(self, char: str) -> None:
        self._at += 1
        if char in "?*":
            self._optional()
        elif char == "{":
            self._repeat()
        elif char == "(":
            self._settle()
            self._open.append(_group())
        elif char == ")":
            if len(self._open) > 1:
                self._close()
        elif char == "|":
            self._branch()
        else:
            self._single(char)

    def _single(self, char: str) -> None:
        if char == "[":
            self._optionals += self._lark
            self._class()
        elif char == "\\":
            self._escape()
        elif char == ".":
            self._part(PatternPart(wide=1.0))
        elif self._grammar:
            self._of_grammar(char)
        elif char != "+":
            self._part(PatternPart(literal=1.0 if char.isascii() else 3.0))

    def _of_grammar(self, char: str) -> None:
        """Quoted texts, Lark's counts, names of other rules (which may match nothing), and where a rule begins."""
        if char == '"':
            self._quoted()
        elif char == "~":
            self._optional()
        elif char.isalnum() or char == "_":
            while self._at < len(self._text) and (self._text[self._at].isalnum() or self._text[self._at] in "_-"):
                self._at += 1
            self._part(PatternPart(literal=1.0, empty=True))
        elif char == ":" and len(self._open) == 1:
            self._settle()
            self._open[0].end_rule()

    def _part(self, part: PatternPart) -> None:
        self._settle()
        self._last = part

    def _settle(self) -> None:
        """What stood last is not repeated any more."""
        if self._last is not None:
            self._open[-1].follow(self._last)
            self._last = None

    def _branch(self) -> None:
        self._settle()
        self._open[-1].end_branch()

    def _close(self) -> None:
        self._settle()
        group = self._open.pop()
        group.empty = group.empty or group.empty_branch
        group.run = min(group.run + group.branches, _MAX_RUN)
        self._last = group

    def _optional(self) -> None:
        self._optionals += 1
        if self._last is not None:
            self._last.empty = True
            self._last.run += 2.0 if self._last.wide else 1.0

    def _repeat(self) -> None:
        end = self._text.find("}", self._at, self._at + 32)
        low, comma, high = self._text[self._at : max(end, self._at)].partition(",")
        low, high = low.strip(), high.strip()
        if end < 0 or not (low + high).isdigit() or self._last is None:
            return
        self._at = end + 1
        most = int(high or low) if high or not comma else MAX_REPEATS
        times = max(1, min(max(most, int(low or 0)), MAX_REPEATS))
        last = self._last
        last.wide *= times
        last.narrow *= times
        last.run *= min(times, _UNROLLED)
        if int(low or 0) == 0:
            self._optional()

    def _class(self) -> None:
        end = self._past("]")
        inside = self._text[self._at : end]
        self._at = end + 1
        self._part(PatternPart(wide=1.0) if _is_wide(inside) else PatternPart(narrow=1.0))

    def _escape(self) -> None:
        char = self._text[self._at : self._at + 1]
        self._at += 1
        self._part(PatternPart(wide=1.0) if char and char in _WIDE_ESCAPES else PatternPart(narrow=1.0))

    def _quoted(self) -> None:
        end = self._past('"\n')
        self._optionals += end == self._at
        self._part(PatternPart(literal=float(end - self._at), empty=end == self._at))
        self._at = end + 1

    def _past(self, ends: str) -> int:
        end = self._at
        text = self._text
        while end < len(text) and text[end] not in ends:
            end += 2 if text[end] == "\\" else 1
        return end


def _group() -> PatternPart:
    group = PatternPart(empty=True)
    group.run = 0.0
    return group


def _is_wide(inside: str) -> bool:
    if inside.startswith("^") or not inside.isascii():
        return True
    for index, char in enumerate(inside):
        after = inside[index + 1 : index + 2]
        if char == "\\" and after and after in _WIDE_ESCAPES:
            return True
        if char == "-" and index and after and ord(after) - ord(inside[index - 1]) > _WIDE_SPAN:
            return True
    return False
