"""What a plan writes and what the gateway has by itself are the same bounds."""

from __future__ import annotations

from dataclasses import asdict

from common.gateway_limits import GatewayLimits
from fullbatch.planning.gateway_limits import AdmissionBounds, limits
from gateway.config.settings import Limits


def test_without_a_plan_the_gateway_has_the_same_bounds() -> None:
    own = Limits()
    assert {name: getattr(own, name) for name in asdict(GatewayLimits())} == asdict(GatewayLimits())


def test_a_plan_sets_only_what_depends_on_it() -> None:
    planned = asdict(limits(400, AdmissionBounds(50, 400, 400, 100, 60, "", "", "")))
    usual = asdict(GatewayLimits())
    assert {name for name in usual if planned[name] != usual[name]} == {"max_in_flight"}
