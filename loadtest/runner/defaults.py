"""Defaults of options: from the environment, which `fullbatch loadtest` fills in, or fixed.

FULLBATCH_HOST       the server's address (default: the gateway's, http://127.0.0.1:8080)
FULLBATCH_API_KEY    the key itself, for who has it from a log and not in a file
FULLBATCH_KEY_FILE   a file with one key per line
FULLBATCH_LOG        the gateway's log, for `record`
FULLBATCH_TYPED      what was typed before the command's own words, for usage lines
    FULLBATCH_MODEL      Locust's page only: the model
    FULLBATCH_WEB_HOSTS  Locust's page only: by which hosts it may be asked for (loadtest/live/host_check.py)

The only place that reads it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from loadtest.runner.config import checked_keys, read_keys

_GATEWAY = "http://127.0.0.1:8080"


def environment() -> Mapping[str, str]:
    return os.environ


def base_url(given: str | None, told: Mapping[str, str]) -> str:
    return given or told.get("FULLBATCH_HOST") or _GATEWAY


def keys(given: Path | None, address: str, told: Mapping[str, str]) -> tuple[str | None, ...]:
    """UsageProblem when a file cannot be read or holds no key.

    The environment's file is of the environment's server: another address does not get its key.
    """
    if given is not None:
        return read_keys(given)
    key, file = told.get("FULLBATCH_API_KEY", "").strip(), told.get("FULLBATCH_KEY_FILE", "")
    if key:
        return checked_keys([key], "FULLBATCH_API_KEY")
    return read_keys(Path(file), "FULLBATCH_KEY_FILE") if file and address == base_url(None, told) else (None,)


def access_logs(told: Mapping[str, str]) -> list[str]:
    """The log of what runs here; none where it is not known."""
    return [told["FULLBATCH_LOG"]] if told.get("FULLBATCH_LOG") else []


def out(given: Path | None) -> Path:
    """A folder of its own for every run: reports/ and the time, as `fullbatch demo` has it."""
    return given or Path("reports") / time.strftime("%Y-%m-%d_%H-%M-%S")


def typed(told: Mapping[str, str]) -> str:
    return told.get("FULLBATCH_TYPED") or "python -m loadtest"
