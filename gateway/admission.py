"""Admit or refuse. A slot is released exactly once."""

from __future__ import annotations

from types import TracebackType

from gateway.errors import Overloaded

RETRY_AFTER_S = 1


class Slot:
    """A place among the requests in flight; leaving the ``with`` block gives it back."""

    __slots__ = ("_admission",)

    def __init__(self, admission: Admission) -> None:
        self._admission: Admission | None = admission

    def release(self) -> None:
        """Give the place back; a second call does nothing."""
        if self._admission is not None:
            self._admission.in_flight -= 1
            self._admission = None

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class Admission:
    """Counts requests in flight over all engines and refuses those above the limit."""

    def __init__(self, max_in_flight: int) -> None:
        self._max_in_flight = max_in_flight
        self.in_flight = 0

    def slot(self) -> Slot:
        """Take a place.

        Raises:
            Overloaded: all places are taken; says when to come back.
        """
        if self.in_flight >= self._max_in_flight:
            message = f"all {self._max_in_flight} places are taken; try again in {RETRY_AFTER_S} s"
            raise Overloaded(message, retry_after=RETRY_AFTER_S)
        self.in_flight += 1
        return Slot(self)
