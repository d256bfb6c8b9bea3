"""How many switches each key may cause in an hour. No clock."""

from __future__ import annotations

from collections import deque

HOUR_S = 3600.0


class SwitchBudget:
    """A window that slides. ``most``: in an hour."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._caused: dict[str, deque[float]] = {}

    def caused(self, key: str, now: float) -> None:
        """A switch was begun for this key's request."""
        self._caused.setdefault(key, deque()).append(now)

    def may(self, key: str, now: float) -> bool:
        return self.free_in(key, now) == 0.0

    def free_in(self, key: str, now: float) -> float:
        """Seconds until the key may cause another one; 0 if it may now."""
        times = self._caused.get(key)
        if times is None:
            return 0.0
        while times and times[0] <= now - HOUR_S:
            times.popleft()
        if not times:
            del self._caused[key]
            return 0.0
        return times[-self.most] + HOUR_S - now if len(times) >= self.most else 0.0
