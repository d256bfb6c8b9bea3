"""The variables that an engine gets: the launcher's own, the model's, and those of the guard."""

from __future__ import annotations

import os
from pathlib import Path

from launcher.config import CommandedModel

MIDDLEWARE = "launcher.guard.RouteGuard"
SECRET = "FULLBATCH_GUARD_SECRET"
_HERE = Path(__file__).resolve().parent.parent


def variables(model: CommandedModel, secret: str) -> dict[str, str]:
    """``secret``: what the guard asks for before it lets anybody put the engine to sleep or wake it."""
    found = {**os.environ, **dict(model.env)}
    paths = [str(_HERE), *filter(None, [found.get("PYTHONPATH")])]
    found["PYTHONPATH"] = os.pathsep.join(paths)
    found[SECRET] = secret
    if model.sleep:
        found["VLLM_SERVER_DEV_MODE"] = "1"
    return found


def command(model: CommandedModel) -> list[str]:
    """The model's command, with the guard in front of all its routes."""
    return [*model.command, "--middleware", MIDDLEWARE]
