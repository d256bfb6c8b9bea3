"""Bounds of the gateway that are the same for every plan: what a plan writes, and what holds without one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GatewayLimits:
    """Seconds and bytes. Each exists for one failure, named in docs/gateway-behaviour.md."""

    max_body_bytes: int = 10 * 2**20
    header_timeout_s: float = 10
    body_timeout_s: float = 30
    connect_timeout_s: float = 5
    first_token_timeout_s: float = 600
    idle_timeout_s: float = 120
    max_in_flight: int = 512
