"""A Valkey far away or behind TLS: a slow one still counts, and who cannot show that it is the server gets nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.config.settings import ShareSettings
from gateway.share.server import ValkeySums
from gateway.share.sharing import Unreachable
from tests.gateway.far_boxes import Authority, Front
from tests.gateway.harness import Engine, Gateway, bearer, chat
from tests.gateway.share.test_sharing import PER_MINUTE, URL, Pair
from tests.gateway.share.valkeys import Valkey

# Each way: an exchange of one trip takes twice that, and must not take half a second.
SLOW_S = 0.1


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path) as found:
        yield found


def test_p242_a_slow_valkey_is_waited_for_by_nobody_and_the_limit_holds(
    tmp_path: Path, start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], shared: Valkey
) -> None:
    engine = start_engine(ttft_ms=1, itl_ms=1, tokens=1)
    with Front(None, shared.port, SLOW_S) as slow:
        pair = Pair(tmp_path, start_gateway, engine, f"valkey://127.0.0.1:{slow.port}")
        pair.heard()
        free = pair.key("free")
        took = []
        with httpx.Client(base_url=pair.both[0].url, headers=bearer(free), timeout=20) as client:
            for _ in range(60):
                began = time.monotonic()
                assert client.post(URL, json=chat(max_tokens=1)).status_code == 200
                took.append(time.monotonic() - began)
        assert sorted(took)[len(took) // 2] < 2 * SLOW_S, "a request has waited for an exchange"
        seconds = 15.0
        statuses = pair.flood(pair.key("limited", "--requests-per-minute", str(PER_MINUTE)), seconds)
        let_in, fair = statuses.count(200), PER_MINUTE + PER_MINUTE * seconds / 60
        # Half a bucket more at once is the bound of P240, which later comes off; both alone would let through 300.
        assert 0.9 * fair <= let_in <= 1.25 * fair, (let_in, fair)
        assert [pair.gateways(gateway) for gateway in pair.both] == [(1, 2), (1, 2)], "slow is not gone"


def test_p242_valkey_behind_tls_has_to_show_a_certificate_for_its_name(
    tmp_path: Path, authority: Authority, shared: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """valkey-py checks who has signed it, and, unless told to, not for which name."""
    other = Authority(tmp_path / "other")

    def asked(front: Front) -> None:
        sums = ValkeySums(ShareSettings(url=f"valkeys://127.0.0.1:{front.port}"), "test")
        sums.check()
        assert sums.exchange(b"{}", []) == {sums.id.encode(): b"{}"}
        sums.leave()

    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))  # as a machine that has this CA among its own
    with Front(authority.context(), shared.port) as front:
        asked(front)
    for context, why in (
        (authority.context("DNS:elsewhere.example"), "IP address mismatch"),
        (other.context(), "certificate verify failed"),
    ):
        with Front(context, shared.port) as front, pytest.raises(Unreachable, match=why):
            asked(front)
    with shared.client() as client:
        assert client.keys() == [b"fullbatch:test:protocol"], "what a gateway that has left leaves for an hour"
