"""A model directory of true shapes, made once for the tests of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.gpubench import models

REPOSITORY = "Qwen/Qwen2.5-1.5B-Instruct"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    models.write(place, "qwen", REPOSITORY, quantised=False)
    return models.directory(place, "qwen")
