"""Keys."""

from __future__ import annotations

import pytest

from gateway.auth import Auth
from gateway.errors import Unauthorized


def test_p4_keys_are_told_apart() -> None:
    auth = Auth([b"first-key-000", b"second-key-00"])
    first = auth.principal(b"Bearer first-key-000", None)
    second = auth.principal(None, b"second-key-00")
    assert first != second
    assert "key" not in first.name
    for header in (b"Bearer first-key-00", b"Bearer first-key-0000", b"Bearer  ", b"first-key-000"):
        with pytest.raises(Unauthorized):
            auth.principal(header, None)
