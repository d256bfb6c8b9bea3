"""The word for how a refused request ended."""

from __future__ import annotations

import pytest

from gateway.api import outcome
from gateway.core import errors
from gateway.core.record import RequestRecord


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (errors.NotFound("no such path"), "refused"),
        (errors.Internal("a defect"), "internal"),
        (errors.Stopping("soon", retry_after=5), "stopping"),
        (errors.TooManyBodies("full"), "overloaded"),
        (errors.TooManyConnections("full"), "overloaded"),
    ],
)
def test_the_word(error: errors.GatewayError, word: str) -> None:
    record = RequestRecord("id", 0.0)
    outcome.judge(record, error)
    assert record.outcome == word


def test_only_a_fault_of_ours_or_the_engines_is_kept_as_one() -> None:
    refused, broken = RequestRecord("id", 0.0), RequestRecord("id", 0.0)
    outcome.judge(refused, errors.NotFound("no such path"))
    outcome.judge(broken, errors.Internal("a defect"))
    assert (refused.error, broken.error) == ("", "a defect")
