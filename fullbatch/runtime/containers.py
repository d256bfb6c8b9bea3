"""Where things listen and lie inside containers, whatever runs these."""

from __future__ import annotations

from collections.abc import Mapping

from fullbatch.runtime.templates import Addresses

ENGINE_PORT = 8000
GATEWAY_PORT = 8080
# Tells of keys and addresses without asking for a key: for the stack's own Prometheus, and not published.
METRICS_PORT = 9091
# On a volume of its own: the only thing that the gateway writes.
STORE = "/var/lib/fullbatch/store"
# What runs the containers kills at this many seconds after the engine's own drain has ended.
STOP_MARGIN_SECONDS = 10

# The volume.
MODELS = "/models"


def addresses(engine_urls: Mapping[str, str]) -> Addresses:
    """`engine_urls`: where the gateway reaches each engine, by the name of its service."""
    return Addresses(
        listen_host="0.0.0.0",
        listen_port=GATEWAY_PORT,
        metrics_port=METRICS_PORT,
        metrics_socket="",
        api_keys_file="/run/fullbatch/api_keys",
        store=STORE,
        engine_host="0.0.0.0",
        engine_port=ENGINE_PORT,
        engine_urls=dict(engine_urls),
        models=MODELS,
        hub=f"{MODELS}/hf/hub",
    )
