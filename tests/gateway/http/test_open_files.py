"""Limits that fit into so many open files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.loader import SettingsError
from gateway.config.settings import Limits
from gateway.http.open_files import LEAST_FILES, LEAST_REQUESTS, OTHER_FILES, share
from gateway.http.server import SPARE_CONNECTIONS


def test_p151_what_fits_is_left_alone() -> None:
    assert share(Limits(), 65536) == (Limits(), "")


def test_p151_requests_come_before_idle_connections() -> None:
    limits, told = share(Limits(max_in_flight=231, max_connections=2048), 1024)
    assert (limits.max_in_flight, limits.max_connections) == (231, 713)
    assert "limits.max_connections is 713" in told and "max_in_flight" not in told


@given(files=st.integers(LEAST_FILES, 10_000), requests=st.integers(1, 5000), connections=st.integers(1, 5000))
def test_p151_it_always_fits(files: int, requests: int, connections: int) -> None:
    asked = Limits(max_in_flight=requests, max_connections=connections)
    limits, told = share(asked, files)
    fits = requests + connections + SPARE_CONNECTIONS + OTHER_FILES <= files
    assert (limits == asked) == fits == (told == "")
    assert limits.max_in_flight + limits.max_connections + SPARE_CONNECTIONS + OTHER_FILES <= files
    assert limits.max_in_flight >= min(requests, LEAST_REQUESTS)
    assert limits.max_connections >= min(connections, LEAST_REQUESTS)


def test_p151_too_few_are_refused_in_a_line() -> None:
    with pytest.raises(SettingsError, match=f"may have 111, and at least {LEAST_FILES} are needed") as refused:
        share(Limits(), 111)
    assert len(refused.value.lines) == 1
