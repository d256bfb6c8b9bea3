"""A gateway as a process: from its start until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable

from gateway import __version__
from gateway.app import Gateway, Inputs

# Requests leave no cycles behind, so Python need not look for them after every 700 objects that are in use.
GC_THRESHOLDS = (10_000, 20, 20)


async def serve(inputs: Inputs, say: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT. ``say`` gets a line for people when something begins or ends."""
    loop = asyncio.get_running_loop()
    gateway = Gateway(inputs, loop)
    gc.freeze()  # what was built by now stays
    gc.set_threshold(*GC_THRESHOLDS)
    host, port = await gateway.start()
    settings = inputs.settings
    models = ", ".join(model for engine in settings.engines for model in engine.models)
    say(f"gateway {__version__} listening on http://{host}:{port} (deployment {settings.deployment}, models: {models})")
    if gateway.metrics_address:
        say(f"metrics with keys on {gateway.metrics_address}/metrics, for everybody who can reach it")
    asked_to_stop = asyncio.Event()

    def stop() -> None:
        if asked_to_stop.is_set():
            gateway.hurry()
        asked_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    await asked_to_stop.wait()
    say(f"stopping: running answers have {gateway.drain_timeout_s:g} s to finish")
    cut = await gateway.stop()
    say(f"stopped; {cut} answers were cut short" if cut else "stopped; every answer was finished")
