"""Adds fields of the gateway to a body that otherwise passes byte for byte."""

from __future__ import annotations

from typing import Any

import orjson


def with_members(body: bytes | bytearray, members: dict[str, Any]) -> bytes:
    """The body, an object that is not empty, with ``members`` put before its closing brace.

    Of two members with one name the last counts, for engines as for the gateway itself; so these win.
    """
    return b"".join((body[: body.rindex(b"}")], b",", orjson.dumps(members)[1:]))
