"""The bounded queue in front of one model's engines: who is next, who is put out when it is full. No clock, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from gateway.core.priority import PRIORITIES

Entry = TypeVar("Entry")


class Waiting(Generic[Entry]):
    """One request in the queue.

    ``level``: 0 is most urgent. ``since`` and ``until``: seconds of the caller's clock. ``put_off``: seconds in which
    its model was not there, which the limit does not count.
    """

    __slots__ = ("entry", "key", "level", "put_off", "since", "until")

    def __init__(self, key: str, level: int, since: float, until: float, entry: Entry) -> None:
        self.key = key
        self.level = level
        self.since = since
        self.until = until
        self.put_off = 0.0
        self.entry = entry


class _Line(Generic[Entry]):
    """One key's requests: a line for each level, each in order of arrival."""

    __slots__ = ("levels",)

    def __init__(self) -> None:
        self.levels: tuple[deque[Waiting[Entry]], ...] = tuple(deque() for _ in PRIORITIES)

    def __len__(self) -> int:
        return sum(map(len, self.levels))

    def __bool__(self) -> bool:
        return any(self.levels)

    def __iter__(self) -> Iterator[Waiting[Entry]]:
        return (waiting for line in self.levels for waiting in line)

    def heads(self) -> Iterator[Waiting[Entry]]:
        return (line[0] for line in self.levels if line)

    def newest(self) -> Waiting[Entry]:
        return max((line[-1] for line in self.levels if line), key=lambda waiting: waiting.since)


class FairQueue(Generic[Entry]):
    """Requests by key. The order between keys is the caller's (`pop`); within a key and level, first come first served.

    Priority ages: a request that has waited ``ageing_s`` counts as much as one that is a level more urgent. So the
    lowest level is delayed and never starved, and among equals waiting long is no advantage over having had little.
    """

    def __init__(self, ageing_s: float) -> None:
        self.ageing_s = ageing_s
        self._lines: dict[str, _Line[Entry]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        # mypyc takes an object that may be None and has only a length for true, even when it is empty.
        return self._length > 0

    def __iter__(self) -> Iterator[Waiting[Entry]]:
        return (waiting for line in self._lines.values() for waiting in line)

    def has(self, key: str) -> bool:
        """Whether the key has a request waiting."""
        return key in self._lines

    def keys(self) -> dict[str, int]:
        """How many wait for each key."""
        return {key: len(line) for key, line in self._lines.items()}

    def most_urgent(self) -> list[str]:
        """The keys that wait with the most urgent level that anybody waits with."""
        levels = {key: min(head.level for head in line.heads()) for key, line in self._lines.items()}
        least = min(levels.values(), default=0)
        return [key for key, level in levels.items() if level == least]

    def push(self, waiting: Waiting[Entry]) -> int:
        """Queue it; returns how many are likely to be served before it, were all weights and levels the same.

        Keys take turns, so of another key's requests at most as many come before it as there are in its own line.
        """
        line = self._lines.setdefault(waiting.key, _Line())
        line.levels[waiting.level].append(waiting)
        self._length += 1
        turns = len(line)
        return sum(min(len(other), turns) for other in self._lines.values()) - 1

    def remove(self, waiting: Waiting[Entry]) -> bool:
        """Take it out; False if it is not there any more."""
        line = self._lines.get(waiting.key)
        if line is None or waiting not in line.levels[waiting.level]:
            return False
        line.levels[waiting.level].remove(waiting)
        self._length -= 1
        if not line:
            del self._lines[waiting.key]
        return True

    def candidates(self, now: float, rank: Callable[[str], float], may: Callable[[str], bool]) -> list[Waiting[Entry]]:
        """Whose turn it is: the first of each line, the next one first. They stay until they are removed.

        While a more urgent request waits, a less urgent one has to have waited ``ageing_s`` for every level between
        them to be considered. Among all that are considered the key with the least ``rank`` is next, then the oldest.

        Args:
            rank: a key's attained service.
            may: whether a key may be served at this moment; the others stay.
        """
        heads = [head for key, line in self._lines.items() if may(key) for head in line.heads()]
        urgent = min((head.level for head in heads), default=0)
        due = (head for head in heads if now - head.since >= (head.level - urgent) * self.ageing_s)
        return sorted(due, key=lambda head: (rank(head.key), head.since))

    def make_room_for(self, key: str) -> Waiting[Entry] | None:
        """The queue is full: take out the newest request of whoever has the longest line, if ``key`` has less.

        So a batch of hundreds cannot fill the queue and have everybody else refused. None: the newcomer has to go.
        """
        longest = max(self._lines.values(), key=len, default=None)
        if longest is None or len(longest) <= len(self._lines.get(key, ())) + 1:
            return None
        victim = longest.newest()
        self.remove(victim)
        return victim

    def put_off(self, seconds: float, now: float) -> None:
        """These last seconds do not count for anybody's limit."""
        for waiting in self if seconds else ():
            more = min(seconds, now - waiting.since)
            waiting.put_off += more
            waiting.until += more

    def late(self, now: float, most: int) -> list[Waiting[Entry]]:
        """Take out those whose time in the queue is over, at most so many: the ones that came last."""
        over = [waiting for waiting in self if waiting.until <= now]
        over.sort(key=lambda waiting: waiting.since, reverse=True)
        found = over[: max(0, most)]
        for waiting in found:
            self.remove(waiting)
        return found
