from __future__ import annotations

import pytest

from gateway.core.errors import BadRequest
from gateway.pages.model_deeds import ModelDeed, read


def test_a_deed_is_read() -> None:
    assert read(b'{"do": "pin", "name": "big"}') == ModelDeed("pin", "big")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"do": "sleep", "name": "a"}', "'do' is one of load, unload, pin, unpin"),
        (b'{"do": ["load"], "name": "a"}', "'do' is one of"),
        (b'{"do": "load", "name": ""}', "'name' is the name"),
        (b'{"do": "load", "name": 7}', "'name' is the name"),
        (b'{"do": "load", "name": "a", "command": "rm"}', "'command' is not known"),
    ],
)
def test_anything_else_is_told_in_one_line(body: bytes, told: str) -> None:
    with pytest.raises(BadRequest, match=told) as refused:
        read(body)
    assert "\n" not in refused.value.message
