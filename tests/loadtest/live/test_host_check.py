"""Which Host a request to Locust's page may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.core.errors import UsageProblem
from loadtest.live.host_check import allowed, authority, same_origin, told

LOOPBACK = (
    "localhost", "LOCALHOST:8089", "localhost.", "Localhost.:1", "127.0.0.1:8089", "127.9.8.7", "[::1]:8089",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]:8089", "[::FFFF:7f00:1]",
)  # fmt: skip
FOREIGN = (
    "evil.example:8089", "EVIL.example", "evil.example.", "localhost.evil.example", "127.0.0.1.evil.example:8089",
    "0.0.0.0:8089", "[::]:8089", "192.168.1.5:8089", "[fd00::1]:8089", "locust:8089", "xn--bcher-kva.example",
)  # fmt: skip
ODD = (
    None, "", " ", "localhost:", "localhost:0", "localhost:65536", "localhost:80:80", "localhost:8089,evil.example",
    "localhost/", "user@localhost", "localhost evil", "[::1", "::1", "[::1%lo]", "[localhost]", "[127.0.0.1]", "..",
    ".localhost", "127.1", "0x7f.1", "2130706433", "127.0.0.1.", "127.0.0.01", "1.2.3.4.5", "löcalhost",
    "localhost:\uff18\uff10", "localhost\n",
)  # fmt: skip


@pytest.mark.parametrize("text", LOOPBACK)
def test_loopback_is_allowed_at_any_port(text: str) -> None:
    asked = authority(text)
    assert asked is not None and allowed(asked, ())


@pytest.mark.parametrize("text", FOREIGN)
def test_nothing_else_is_allowed_that_was_not_told(text: str) -> None:
    asked = authority(text)
    assert asked is not None and not allowed(asked, told("box.lan, other.example:443"))


@pytest.mark.parametrize("text", ODD)
def test_what_is_no_host_is_none(text: str | None) -> None:
    assert authority(text) is None


def test_what_was_told_is_allowed_at_its_port_or_at_every_port() -> None:
    hosts = told(" Box.LAN. ,10.0.0.7:8089,[fd00:0::1]", bound="192.168.1.5")
    asked = {
        "box.lan": True, "BOX.lan:1234": True, "box.lan.:80": True, "a.box.lan": False, "10.0.0.7:8089": True,
        "10.0.0.7:80": False, "10.0.0.7": False, "[fd00::1]:9": True, "192.168.1.5:8089": True, "192.168.1.6": False,
    }  # fmt: skip
    for text, wanted in asked.items():
        found = authority(text)
        assert found is not None and allowed(found, hosts) is wanted, text


def test_being_bound_to_every_address_tells_no_host() -> None:
    assert [told("", bound) for bound in ("", "*", "0.0.0.0", "::")] == [()] * 4


@pytest.mark.parametrize("text", ["http://box.lan", "box.lan:99999", "a b", "*", "*.lan", "fd00::1"])
def test_a_host_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(UsageProblem, match="' is not a host; write one such as"):
        told(text)


def test_an_origin_is_the_same_host_at_the_same_port() -> None:
    cases = {
        ("http://localhost:8089", "localhost:8089"): True,
        ("http://LOCALHOST.:8089", "localhost:8089"): True,
        ("http://[::1]:8089", "[0::1]:8089"): True,
        ("https://box.lan", "box.lan"): True,
        ("http://box.lan", "box.lan:80"): True,
        ("https://box.lan", "box.lan:80"): False,
        ("http://localhost:3000", "localhost:8089"): False,
        ("http://127.0.0.1:8089", "localhost:8089"): False,
        ("null", "localhost"): False,
        ("", "localhost"): False,
        ("file://localhost", "localhost"): False,
        ("http://localhost:8089/x", "localhost:8089"): False,
        ("http://a@localhost:8089", "localhost:8089"): False,
        ("http://[::1", "localhost"): False,
    }
    for (origin, host), wanted in cases.items():
        asked = authority(host)
        assert asked is not None and same_origin(origin, asked) is wanted, (origin, host)


@given(st.text(max_size=60))
def test_no_text_is_an_exception(text: str) -> None:
    asked, own = authority(text), authority("localhost")
    assert own is not None
    assert asked is None or isinstance(allowed(asked, ()), bool)
    assert isinstance(same_origin(text, own), bool)
