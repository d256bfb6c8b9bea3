from __future__ import annotations

from gateway.residency.backoff import Backoff


def test_each_failure_waits_longer_until_one_goes_well() -> None:
    backoff = Backoff()
    assert backoff.may_try(0.0)
    for at, pause in ((0.0, 30.0), (100.0, 60.0), (200.0, 120.0), (400.0, 120.0)):
        backoff.failed("why", at)
        assert (backoff.why, backoff.retry_at) == ("why", at + pause)
        assert not backoff.may_try(at + pause - 1) and backoff.may_try(at + pause)
    backoff.succeeded()
    assert (backoff.why, backoff.may_try(0.0)) == ("", True)
    backoff.failed("why", 0.0)
    assert backoff.retry_at == 30.0
