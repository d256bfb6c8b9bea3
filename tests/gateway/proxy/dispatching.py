"""What tests of dispatching share: how to start what they need, and how patient polls are."""

from __future__ import annotations

from collections.abc import Callable

from tests.gateway.harness import (
    Engine,
    Gateway,
)

StartEngine = Callable[..., Engine]
StartGateway = Callable[..., Gateway]
POLLING = {"health_interval_s": 0.2, "frozen_after_s": 60.0}
RARELY = {"health_interval_s": 30.0}
