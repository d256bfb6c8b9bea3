"""P3: every error class has a status of its kind and OpenAI's shape."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from gateway.core.errors import GatewayError
from gateway.http.messages import REASONS


def all_of(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for each in kind.__subclasses__():
        yield each
        yield from all_of(each)


@pytest.mark.parametrize("kind", list(all_of(GatewayError)))
def test_p3_every_error_has_openais_shape(kind: type[GatewayError]) -> None:
    error = kind('it is "so"')
    inner = {"message": 'it is "so"', "type": kind.kind, "param": None, "code": kind.code}
    assert orjson.loads(error.body()) == {"error": inner}
    assert error.event() == b"data: " + error.body() + b"\n\n"
    assert kind.status in REASONS
    assert (kind.kind == "server_error") == (kind.status >= 500 and kind.status != 501)
