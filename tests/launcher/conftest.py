from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.launchers import Launcher


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For sockets: pytest's own folders are too long for their paths."""
    folder = Path(tempfile.mkdtemp(prefix="fb-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start_launcher(short_folder: Path) -> Iterator[Callable[..., Launcher]]:
    started: list[Launcher] = []

    def start(models: list[dict[str, Any]], **more: Any) -> Launcher:
        started.append(Launcher(short_folder, models, **more))
        return started[-1]

    yield start
    for launcher in started:
        launcher.stop()
