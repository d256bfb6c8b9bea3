"""A page of Locust that waits for its start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.loadtest.live.locust_page import QUICK, get, locust, wait_for


@pytest.fixture
def page(engine: tuple[str, int], tmp_path: Path, free_port: Callable[[], int]) -> Iterator[str]:
    """The address of a web UI that waits for its start."""
    port = free_port()
    environment = {"FULLBATCH_HOST": engine[0], "FULLBATCH_MODEL": "tiny"}
    with locust(tmp_path, "--web-host", "127.0.0.1", "--web-port", str(port), *QUICK, **environment):
        wait_for(lambda: get(f"http://127.0.0.1:{port}/"))
        yield f"http://127.0.0.1:{port}"
