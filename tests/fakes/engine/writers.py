"""How the tokens of one request are written to its connection: at once, or as they come; and how it breaks off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.engine import shapes
from tests.fakes.engine.batch import Job

if TYPE_CHECKING:
    from tests.fakes.engine.connection import Connection


class Whole:
    """Answers once, when the last token is there."""

    def __init__(self, connection: Connection, answer: shapes.Shape, ask: shapes.Ask) -> None:
        self._connection = connection
        self._answer = answer
        self._ask = ask
        self.job: Job

    def on_token(self, last: bool) -> None:
        if self._connection.fault == "mid-stream" and self.job.generated * 2 >= self._ask.max_new:
            self._connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{")
            self._connection.die(self.job)
        elif last:
            self._connection.send_whole(self._answer.whole(self.job.generated))


class Stream:
    """Answers token by token as server-sent events."""

    def __init__(self, connection: Connection, answer: shapes.Shape, ask: shapes.Ask) -> None:
        self._connection = connection
        self._answer = answer
        self._ask = ask
        self.job: Job

    def on_token(self, last: bool) -> None:
        connection, fault = self._connection, self._connection.fault
        halfway = self.job.generated * 2 >= self._ask.max_new
        opening = chunk(self._answer.opening()) if self.job.generated == 1 else b""
        if fault == "mid-stream" and halfway:
            connection.send(opening + b"ff\r\ndata: {")
            connection.die(self.job)
        elif fault == "error-event" and halfway:
            connection.send(opening + chunk(self._answer.failure()) + b"0\r\n\r\n")
            connection.finish_early(self.job)
        else:
            token = chunk(self._answer.token(self.job.generated, last))
            connection.send(opening + token + (self._ending(fault) if last else b""))
            if last:
                connection.finished()

    def _ending(self, fault: str) -> bytes:
        generated = self.job.generated
        end = b"" if fault == "no-done" else chunk(self._answer.end(generated))
        return chunk(self._answer.closing(generated)) + end + b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""
