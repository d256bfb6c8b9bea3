"""Secrets that we make."""

from __future__ import annotations

import re

from common.api_key import new_key, new_secret


def test_a_key_is_long_url_safe_and_never_the_same() -> None:
    made = [new_key() for _ in range(100)]
    assert all(re.fullmatch(r"fb-[A-Za-z0-9_-]{32}", key) for key in made)
    assert len(set(made)) == 100
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", new_secret())
